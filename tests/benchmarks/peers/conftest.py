"""A comparison with known figures, and the network it is of."""

import dataclasses
from collections.abc import Callable, Mapping

import pytest

from benchmarks.peers.contenders import CONTENDERS, FLOAT, OURS
from benchmarks.peers.results import Calibration, Entry, Row
from octopix.conditions import read_conditions
from octopix.latency import Latency

DROPS = {"octopix": 0.02, "tflite-converter": 0.1, "onnxruntime": 0.05, "openvino": 0.08}
MILLISECONDS = {"octopix": 4.0, "tflite-converter": 4.0, "onnxruntime": 8.0, "openvino": 3.5}


def _row(name: str) -> Row:
    contender = CONTENDERS[name]
    plain = Row(name, contender.group, contender.precision, contender.settings)
    if contender.precision != "int8":
        return dataclasses.replace(plain, psnr_db=30.0, drop_db=0.0, latency=Latency((10.0,) * 12, 3))
    drop = DROPS[contender.group]
    return dataclasses.replace(
        plain,
        psnr_db=30.0 - drop,
        drop_db=drop,
        fidelity_db=45.0,
        psnr_per_set={"Set5": 30.0 - drop},
        psnr_per_image={"Set5/baby.png": 30.0 - drop, "Set5/flat.png": None},
        seconds=20.0,
        peak_memory_mib=500.0,
        latency=Latency((MILLISECONDS[contender.group],) * 12, 3, init_ms=1.0),
    )


def _entry(changes: Mapping[str, Mapping[str, object]] | None = None, **fields: object) -> Entry:
    rows = tuple(dataclasses.replace(_row(name), **(changes or {}).get(name, {})) for name in CONTENDERS)  # type: ignore[arg-type]
    entry = Entry(
        model="espcn_x4",
        created="2026-11-22T00:00:00+00:00",
        conditions=read_conditions(),
        versions={"onnxruntime": "1.0"},
        threads=1,
        protocol="y",
        sets={"Set5": 2},
        shape=(1, 128, 128, 1),
        quick=False,
        calibration=Calibration(64, (128, 128, 1), "c0ffee" * 8),
        ours="int8-ptq-mse",
        graph_sha256={FLOAT: "0" * 64, OURS: "1" * 64},
        onnx_difference=1e-6,
        rows=rows,
    )
    return dataclasses.replace(entry, **fields)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def make_entry() -> Callable[..., Entry]:
    """A comparison that ours wins in every point; ``changes`` (contender -> fields of its row) make others of it.

    int8 rows drop and take what `DROPS` and `MILLISECONDS` say by group; all conversions take 20 s.
    """
    return _entry
