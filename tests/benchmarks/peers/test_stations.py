"""Peers get pictures by the code that ours get them by; ONNX Runtime stands for all, as it is always installed."""

import functools
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers import onnxruntime_int8, stations
from benchmarks.peers.contenders import FLOAT, OURS
from benchmarks.peers.stations import Clock, Entrant
from octopix.metrics import psnr
from octopix.restore import Restorer, plane_bytes

PLAIN, MINMAX = "ONNX Runtime float32", "ONNX Runtime int8 minmax"


@pytest.fixture(scope="module")
def reference(artifacts: Path) -> Path:
    return artifacts / "espcn_x4/float32.tflite"


@pytest.fixture(scope="module")
def pictures(photographs: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two of other sizes."""
    folder = tmp_path_factory.mktemp("pictures")
    for place, (height, width) in enumerate([(64, 64), (31, 50)]):
        np.save(folder / f"{place}.npy", photographs[place][:height, :width])
    return [folder / "0.npy", folder / "1.npy"]


@pytest.fixture(scope="module")
def photographs() -> list[np.ndarray]:
    """uint8 (64, 64, 1), eight of them."""
    import skimage.data

    camera = skimage.data.camera()
    return [camera[top : top + 64, top : top + 64, None] for top in range(0, 512, 64)]


@pytest.fixture(scope="module")
def crops(photographs: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("crops") / "calibration.npz"
    np.savez(path, crops=np.stack(photographs))
    return path


@pytest.fixture(scope="module")
def onnx(reference: Path, crops: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "float32.onnx"
    assert stations.write_onnx(reference, path, crops) < 1e-4  # the limit of the comparison
    return path


def _restored(entrant: Entrant, reference: Path, pictures: list[Path], folder: Path) -> list[np.ndarray]:
    return [np.load(path) for path in stations.restore(entrant, reference, pictures, folder, 1)]


def test_float_peers_restore_what_our_float_restores(
    reference: Path, onnx: Path, pictures: list[Path], tmp_path: Path
) -> None:
    ours = [plane_bytes(Restorer(reference, tile="none").run_plane(np.load(path))) for path in pictures]

    theirs = _restored(Entrant(PLAIN, onnx), reference, pictures, tmp_path)

    assert [plane.shape for plane in theirs] == [(256, 256, 1), (124, 200, 1)]
    for mine, other in zip(ours, theirs, strict=True):
        # Float sums differ in the last digits: a value halfway between two bytes may fall to either.
        assert np.abs(mine.astype(int) - other).max() <= 1


def test_our_files_go_the_same_way(reference: Path, pictures: list[Path], tmp_path: Path) -> None:
    (got, _) = _restored(Entrant(FLOAT, reference), reference, pictures, tmp_path)

    np.testing.assert_array_equal(got, plane_bytes(Restorer(reference).run_plane(np.load(pictures[0]))))


@pytest.mark.parametrize(
    ("method", "extra"),
    [
        ("MinMax", {}),
        ("MinMax", {"CalibMovingAverage": True}),
        ("Entropy", {}),
        ("Percentile", {"CalibTensorRangeSymmetric": False}),
    ],
)
def test_onnxruntime_quantizes_by_every_calibrator(
    reference: Path, onnx: Path, crops: Path, pictures: list[Path], tmp_path: Path, method: str, extra: dict[str, bool]
) -> None:
    with np.load(crops) as stored:
        path = onnxruntime_int8.quantize_static(method, extra, onnx, stored["crops"], tmp_path)

    (plain, _) = _restored(Entrant(PLAIN, onnx), reference, pictures, tmp_path)
    (int8, _) = _restored(Entrant(MINMAX, path), reference, pictures, tmp_path)
    # int8 of ESPCN keeps about 40 dB; 25 is far from chance (a shuffled picture has 10) and from float (inf).
    assert 25 < psnr(plain, int8) < 100


def test_everyone_is_timed_at_the_one_shape(reference: Path, onnx: Path, artifacts: Path, pictures: list[Path]) -> None:
    int8 = artifacts / "espcn_x4/int8-ptq-minmax.tflite"
    entrants = [Entrant(FLOAT, reference), Entrant(OURS, int8), Entrant(PLAIN, onnx)]

    timed = stations.clock(entrants, reference, pictures[1], Clock(threads=1, runs=3, min_seconds=0.0))

    assert list(timed) == [FLOAT, OURS, PLAIN]
    assert all(len(each.latency.samples_ms) == 3 for each in timed.values())
    assert timed[PLAIN].facts.runtime == "onnxruntime"


def test_types_that_onnxruntime_advises(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    types = functools.partial(onnxruntime_int8.number_types, cpuinfo=cpuinfo)

    assert types("x86_64") == ("QUInt8", True)  # unknown: the careful choice
    cpuinfo.write_text("flags : fpu avx2 avx512_vnni\n")
    assert types("x86_64") == ("QUInt8", False)
    cpuinfo.write_text("flags : fpu avx2\n")
    assert types("x86_64") == ("QUInt8", True)
    assert types("aarch64") == ("QInt8", False)
