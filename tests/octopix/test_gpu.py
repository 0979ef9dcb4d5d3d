"""The GPU delegate on SwiftShader, a Vulkan driver that computes on the CPU: in processes of their own, for drivers are
found once per process. Networks are small; nothing here looks at a time.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from octopix.images import read_picture
from tests.octopix.gpu_networks import NO_DRIVER, network

pytestmark = pytest.mark.devices

DRIVER = Path("/usr/lib/chromium/vk_swiftshader_icd.json")
SIDES = (24, 40)
"""Not what networks are opened at, so that each is resized there."""

COMPARE = """
import json, sys
from pathlib import Path
import numpy as np
from octopix.runtime import open_session

gpu, cpu = (open_session(Path(sys.argv[1]), delegate=name) for name in (sys.argv[2], "cpu"))
values = np.load(sys.argv[3]).astype(gpu.input_dtype)
there, here = gpu.invoke(values), cpu.invoke(values)
apart = np.abs(there.astype(np.float64) - here)
print(json.dumps({"got": gpu.facts.delegate_got, "asked": gpu.facts.delegate_asked, "adapter": gpu.facts.adapter,
    "taken": [gpu.facts.operators_delegated, gpu.facts.operators], "timed": gpu.facts.timed,
    "largest": float(apart.max()), "mean": float(apart.mean()), "spread": float(here.std())}))
"""

FIT = """
import dataclasses, json, sys
from pathlib import Path
from octopix.gpu_fit import gpu_fit

print(json.dumps({path.stem: dataclasses.asdict(gpu_fit(path)) for path in Path(sys.argv[1]).iterdir()}))
"""


@pytest.fixture(scope="session")
def environment() -> Mapping[str, str]:
    """Of a process that finds SwiftShader and no other driver."""
    assert DRIVER.is_file(), "SwiftShader is missing; run: apt-get install --no-install-recommends chromium-common"
    return {**os.environ, "VK_DRIVER_FILES": str(DRIVER), "VK_ICD_FILENAMES": str(DRIVER)}


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def run(environment: Mapping[str, str]) -> Run:
    """Runs Python with that driver."""

    def start(*words: str | Path, **changes: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, *map(str, words)],
            env={**environment, **changes},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )

    return start


@pytest.fixture
def compare(run: Run, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """What a delegate and the CPU make of the same noise."""

    def measure(model: Path, values: np.ndarray, *, delegate: str = "gpu") -> dict[str, Any]:
        np.save(tmp_path / "values.npy", values)
        done = run("-c", COMPARE, model, delegate, tmp_path / "values.npy")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return measure


@pytest.fixture(scope="session")
def small(to_tflite: Callable[..., bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of any size with what restoration is made of: convolutions, a skip, a pixel shuffle."""
    layers, image = tf_keras.layers, tf_keras.Input((None, None, 1))
    tf_keras.utils.set_random_seed(0)
    first = layers.Conv2D(8, 5, padding="same", activation="relu")(image)
    second = layers.PReLU(shared_axes=[1, 2])(layers.Conv2D(8, 3, padding="same")(first))
    wide = layers.Lambda(lambda value: tf.nn.depth_to_space(value, 2))(layers.add([first, second]))
    path = tmp_path_factory.mktemp("small") / "small.tflite"
    path.write_bytes(to_tflite(tf_keras.Model(image, layers.Conv2D(1, 3, padding="same")(wide))))
    return path


def test_a_software_adapter_is_called_one(compare: Callable[..., dict[str, Any]], models: Mapping[str, Path]) -> None:
    found = compare(models["nearest"], np.random.default_rng(0).random((1, *SIDES, 1)))

    # GPU alone: accepted for all operators, or not at all.
    assert (found["asked"], found["got"], found["taken"]) == ("gpu", "software-gpu", [2, 2])
    assert "SwiftShader" in found["adapter"]
    assert found["timed"] == "write+run+read"  # only the copy back shows that it is done
    assert found["largest"] == 0  # each pixel times 1


def test_floats_are_the_cpus(compare: Callable[..., dict[str, Any]], small: Path) -> None:
    found = compare(small, np.random.default_rng(0).random((1, *SIDES, 1)))

    # The same products, summed up in another order: 200 at most, each rounded to 2^-24.
    assert found["largest"] < 1e-5 * max(1.0, found["spread"])


def test_int8_is_within_what_parity_allows(compare: Callable[..., dict[str, Any]], artifacts: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (1, *SIDES, 1))

    found = compare(artifacts / "espcn_x4/int8-ptq-minmax.tflite", values)

    # Integers are computed as floats there and rounded after each layer: ties may go the other way, and each counts
    # once more in the layers behind it. What `deploy` allows another processor: 5 levels, 1 in the mean.
    assert found["largest"] <= 5
    assert found["mean"] <= 1


REFUSED = ("shuffle", "first channel", "backwards", "symmetric")
WRONG = ("groups", "halves")


@pytest.fixture(scope="session")
def fits(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, dict[str, Any]]:
    """Name -> what `octopix.gpu_fit` says of the networks."""
    folder = tmp_path_factory.mktemp("fits")
    for name in (*REFUSED, *WRONG):
        (folder / f"{name}.tflite").write_bytes(network(name))
    done = run("-c", FIT, folder)
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_gpu_refuses_is_what_the_rules_say(fits: Mapping[str, dict[str, Any]], name: str) -> None:
    assert fits[name]["got"] is None
    # Each operator that the driver names, the rules name, and no other.
    said = {line.partition(":")[0] for line in fits[name]["said"]}
    assert said == {each["name"] for each in fits[name]["findings"]}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_output_is_never_handed_out(fits: Mapping[str, dict[str, Any]], name: str) -> None:
    # Should a later runtime compute it rightly, the rule has to go.
    assert fits[name]["got"] is None
    assert fits[name]["findings"][0]["effect"] == "wrong"


def test_pictures_go_through_in_tiles(run: Run, models: Mapping[str, Path], photos: Path, tmp_path: Path) -> None:
    words = ("-m", "octopix", "run", photos / "rocket.jpg", "--model", models["nearest"], "--tile", "320", "--json")
    there = run(*words, "--delegate", "gpu", "--threads", "2", "--out", tmp_path / "gpu.png")
    here = run(*words, "--out", tmp_path / "cpu.png")
    assert there.returncode == 0, there.stderr

    said = json.loads(there.stdout)
    assert said["facts"]["delegate_got"] == "software-gpu"
    assert said["images"][0]["tiling"]["interpreters"] == 1  # a GPU takes one after the other
    assert here.returncode == 0
    # Pixels times 1, which no order of sums can change.
    np.testing.assert_array_equal(read_picture(tmp_path / "gpu.png").pixels, read_picture(tmp_path / "cpu.png").pixels)


def test_bench_says_what_it_measured(run: Run, models: Mapping[str, Path]) -> None:
    words = ("-m", "octopix", "bench", models["nearest"], "--delegate", "gpu", "--seconds", "0", "--runs", "2")

    done = run(*words)

    assert (done.returncode, done.stderr) == (0, "")
    assert "asked gpu, got software-gpu (SwiftShader" in done.stdout
    assert "timed: write+run+read" in done.stdout


def test_without_its_driver_there_is_no_gpu(run: Run, models: Mapping[str, Path]) -> None:
    done = run("-m", "octopix", "bench", models["nearest"], "--delegate", "gpu", **NO_DRIVER)

    assert (done.returncode, done.stdout) == (2, "")
    assert "got no adapter" in done.stderr


def test_deploy_reports_no_software_as_a_gpu(run: Run, artifacts: Path, tmp_path: Path) -> None:
    words = ("--target", "local", "--model", "espcn_x4", "--artifacts", artifacts, "--out", tmp_path)
    quick = ("--size", "16x16", "--processes", "1", "--runs", "2", "--warmup", "1", "--cooldown", "0")

    done = run("-m", "deploy", "bench", *words, *quick)
    assert done.returncode == 0, done.stderr

    result = json.loads((tmp_path / "local/results.json").read_text())
    assert {row["facts"]["delegate_asked"] for row in result["rows"]} == {"cpu-xnnpack"}
    assert any(note.startswith("gpu: not got: software-gpu") for note in result["notes"])
