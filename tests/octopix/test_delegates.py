"""Delegates where no driver is needed: names, refusals, fall-back, half precision on the CPU, rules about GPUs."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from octopix import compiled, proof
from octopix.compiled import Adapter
from octopix.delegates import find_delegate
from octopix.errors import ConfigError, DelegateError
from octopix.gpu_rules import findings
from octopix.graph import read_graph
from octopix.runtime import open_session
from tests.octopix.gpu_networks import NETWORKS, NO_DRIVER, network


@pytest.fixture
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a GPU, whatever this one has."""
    for name, value in NO_DRIVER.items():
        monkeypatch.setenv(name, value)


def octopix(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "octopix", *map(str, words)], capture_output=True, text=True, check=False
    )


@pytest.mark.usefixtures("no_driver")
def test_without_a_driver_the_gpu_is_an_error(models: Mapping[str, Path]) -> None:
    done = octopix("bench", models["nearest"], "--delegate", "gpu", "--json")

    assert (done.returncode, done.stdout) == (2, "")
    # One line, whatever the runtime writes about itself.
    assert done.stderr.splitlines() == [done.stderr.strip()]
    assert "got no adapter" in done.stderr


@pytest.mark.usefixtures("no_driver")
def test_the_cpu_stands_in_where_that_is_allowed_and_said(models: Mapping[str, Path], tmp_path: Path) -> None:
    words = ("--delegate", "gpu", "--allow-fallback", "--json")
    bench = octopix("bench", models["nearest"], "--seconds", "0", "--runs", "1", *words)
    assert bench.returncode == 0, bench.stderr

    facts = json.loads(bench.stdout)["rows"][0]["facts"]
    assert (facts["delegate_asked"], facts["delegate_got"], facts["adapter"]) == ("gpu", "cpu-xnnpack", None)
    assert "no adapter" in facts["fallback"]
    assert bench.stderr.startswith("warning: gpu was not to be had (")
    assert len(bench.stderr.splitlines()) == 1


@pytest.mark.usefixtures("no_driver")
def test_a_fall_back_restores_pictures_as_the_cpu_does(
    models: Mapping[str, Path], photos: Path, tmp_path: Path
) -> None:
    words = ("run", photos / "rocket.jpg", "--model", models["gains-uint8"], "--out")
    plain = octopix(*words, tmp_path / "plain.png", "--json")
    fallen = octopix(*words, tmp_path / "fallen.png", "--delegate", "gpu", "--allow-fallback", "--json")

    assert (plain.returncode, fallen.returncode) == (0, 0), fallen.stderr
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "fallen.png").read_bytes()
    assert json.loads(plain.stdout)["facts"]["fallback"] is None
    assert json.loads(fallen.stdout)["facts"]["fallback"] is not None


def test_half_precision_shows_and_is_named(models: Mapping[str, Path]) -> None:
    ramp = np.linspace(0, 1, 256, dtype=np.float32).reshape(1, 16, 16, 1)
    session = open_session(models["nearest"], delegate="cpu-fp16")

    assert session.facts.delegate_asked == "cpu-xnnpack-fp16"
    assert session.facts.delegate_got in ("cpu-xnnpack-fp16", "cpu-xnnpack")
    # Ten bits of mantissa: half a step below 1 is 2^-12, and one rounding more may add as much.
    np.testing.assert_allclose(session.invoke(ramp)[:, ::2, ::2], ramp, atol=2**-11)
    wide = np.zeros((1, 8, 24, 1), np.float32)
    assert session.invoke(wide).shape == (1, 16, 48, 1)


@pytest.mark.parametrize(
    ("name", "delegate", "says"),
    [
        ("nearest-uint8", "cpu-fp16", "a float network"),
        ("nearest", "library:/no/such/library.so", "library.so"),
        ("nearest", f"library:{np.linalg._umath_linalg.__file__}", "without tflite_plugin_create_delegate"),  # type: ignore[attr-defined]
    ],
)
def test_what_a_delegate_does_not_do_is_said(models: Mapping[str, Path], name: str, delegate: str, says: str) -> None:
    with pytest.raises(DelegateError, match=says):
        open_session(models[name], delegate=delegate)


def test_tensors_within_are_not_to_be_had_of_it(models: Mapping[str, Path]) -> None:
    with pytest.raises(ConfigError, match="shows tensors"):
        open_session(models["nearest"], delegate="cpu-fp16", keep_tensors=True)


@pytest.mark.parametrize("name", ["tpu", "library:", "gpu:lib.so", ""])
def test_unknown_names(name: str) -> None:
    with pytest.raises(ConfigError, match="gpu, gpu-fp16, library:PATH"):
        find_delegate(name)


@pytest.mark.parametrize(
    ("line", "name", "got"),
    [
        (
            "I0000 1 2 environment.cc:532] Selected adapter: SwiftShader Device (Subzero), arch=swiftshader, "
            "vendor=google, backend=Vulkan, adapterType=CPU / Software",
            "SwiftShader Device (Subzero), Vulkan",
            "software-gpu",
        ),
        (
            "Selected adapter: llvmpipe (LLVM 19, 256 bits), arch=, vendor=mesa, backend=Vulkan, adapterType=CPU",
            "llvmpipe (LLVM 19, 256 bits), Vulkan",
            "software-gpu",
        ),
        ("Selected adapter: A100, vendor=x, backend=Vulkan, adapterType=Discrete GPU", "A100, Vulkan", "gpu"),
        # What does not call itself a GPU is not called one.
        ("Selected adapter: Riddle, backend=Vulkan, adapterType=Unknown", "Riddle, Vulkan", "unnamed-gpu"),
    ],
)
def test_only_hardware_is_called_a_gpu(line: str, name: str, got: str) -> None:
    (adapter,) = compiled._adapters(["something else", line])

    assert (adapter.name, adapter.got) == (name, got)


def test_nothing_said_is_no_proof() -> None:
    assert compiled._adapters(["INFO: nothing"]) == []
    assert Adapter("unknown", "").got == "unnamed-gpu"


def test_a_wrong_output_is_caught(models: Mapping[str, Path]) -> None:
    nearest, bare = open_session(models["nearest"]), open_session(models["nearest"])

    assert not proof.is_half_precise(nearest, bare, asked="gpu")

    class Off:
        """Forgets what it computed, as drivers do that leave a step out."""

        def __getattr__(self, name: str) -> object:
            return getattr(bare, name)

        def run(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
            return [np.zeros_like(array) for array in bare.run(inputs)]

    with pytest.raises(DelegateError, match="the CPU's output on gpu, got a wrong one"):
        proof.is_half_precise(Off(), nearest, asked="gpu")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NETWORKS)
def test_rules(name: str) -> None:
    found = findings(read_graph(network(name)))

    assert [(each.name, each.effect) for each in found] == NETWORKS[name][1]
    assert all(each.why and each.do for each in found)


def test_what_would_end_the_process_never_gets_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("octopix.runtime.compile_model", None)

    with pytest.raises(DelegateError, match="BATCH_MATMUL, which takes one tensor twice"):
        open_session(network("with itself"), delegate="gpu")


@pytest.mark.usefixtures("no_driver")
def test_inspect_needs_no_gpu(tmp_path: Path) -> None:
    model = tmp_path / "shuffle.tflite"
    model.write_bytes(network("shuffle"))

    done = octopix("inspect", model, "--delegate", "gpu", "--json")
    assert done.returncode == 0, done.stderr

    gpu = json.loads(done.stdout)["gpu"]
    assert [each["operator"] for each in gpu["findings"]] == [0, 1, 2]
    assert "DEPTH_TO_SPACE" in gpu["findings"][0]["do"]
    assert gpu["got"] is None
    assert "no adapter" in gpu["why"]
    assert "not run here: expected a GPU" in octopix("inspect", model, "--delegate", "gpu").stdout
