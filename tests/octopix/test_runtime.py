import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tf_keras

from octopix import interpreters, runtime
from octopix.errors import ConfigError, ImageError, ModelFileError, RuntimeMissingError
from octopix.interpreters import Interpreter, delegation
from octopix.runtime import RUNTIMES, Session, load_runtime, open_session

RAMP = np.linspace(0, 1, 256, dtype=np.float32).reshape(1, 16, 16, 1)


def test_xnnpack_is_asked_for_and_got(models: Mapping[str, Path]) -> None:
    facts = open_session(models["nearest"], threads=2).facts

    assert (facts.delegate_asked, facts.delegate_got) == ("cpu-xnnpack", "cpu-xnnpack")
    assert (facts.operators, facts.operators_delegated) == (2, 2)
    assert facts.threads == 2
    assert facts.runtime in RUNTIMES
    assert facts.version[0].isdigit()


def test_builtin_kernels_are_asked_for_and_got(models: Mapping[str, Path]) -> None:
    builtin = open_session(models["nearest-uint8"], delegate="cpu-builtin")
    facts, noise = builtin.facts, np.random.default_rng(0).integers(0, 256, (1, 16, 16, 1), dtype=np.uint8)

    assert (facts.delegate_asked, facts.delegate_got, facts.operators_delegated) == ("cpu-builtin", "cpu-builtin", 0)
    np.testing.assert_array_equal(builtin.invoke(noise), open_session(models["nearest-uint8"]).invoke(noise))


def _node(name: str, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> dict[str, Any]:
    return {"op_name": name, "inputs": inputs, "outputs": outputs}


BRANCHED = [_node("A", (0,), (1,)), _node("B", (1, 9), (2,)), _node("C", (1,), (3,)), _node("D", (2, 3), (4,))]


@pytest.mark.parametrize(
    ("partitions", "delegated"),
    [
        ([], 0),
        ([_node("DELEGATE", (0, 9), (4,))], 4),
        ([_node("DELEGATE", (1, 9), (2,))], 1),
        ([_node("DELEGATE", (1, 9), (2,)), _node("DELEGATE", (2, 3), (4,))], 2),
        ([_node("DELEGATE", (0, 9), (2, 3))], 3),
    ],
)
def test_delegated_operators_are_counted(partitions: list[dict[str, Any]], delegated: int) -> None:
    listing = SimpleNamespace(_get_ops_details=lambda: [*BRANCHED, *partitions])

    assert delegation(listing) == (4, delegated)


def test_a_runtime_that_does_not_list_its_plan_leaves_the_fact_unknown() -> None:
    assert delegation(SimpleNamespace()) == (None, None)


def test_opening_a_model_prints_nothing(models: Mapping[str, Path]) -> None:
    code = "import sys, pathlib, octopix.runtime as r; r.open_session(pathlib.Path(sys.argv[1]), keep_tensors=True)"
    command = [sys.executable, "-c", code, models["nearest"]]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert (done.stdout, done.stderr) == ("", "")


def test_other_lines_on_stderr_are_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    with interpreters._quiet_creation():
        os.write(2, b"before\nINFO: Created TensorFlow Lite XNNPACK delegate for CPU.\nERROR: real trouble")
    os.write(2, b"\nafter\n")

    assert capfd.readouterr().err == "before\nERROR: real trouble\nafter\n"


def test_integers_are_never_taken_for_others(models: Mapping[str, Path]) -> None:
    session = open_session(models["nearest-uint8"])

    for wrong in (np.int8, np.float32):
        with pytest.raises(ImageError, match=f"uint8 values .* got {np.dtype(wrong)}"):
            session.invoke(np.zeros((1, 16, 16, 1), wrong))


def test_types_and_quantization_are_told(models: Mapping[str, Path]) -> None:
    uint8, int8, floating = (open_session(models[name]) for name in ("nearest-uint8", "nearest-int8", "nearest"))

    assert (uint8.input_dtype, uint8.output_dtype) == (np.uint8, np.uint8)
    assert uint8.input_quantization == uint8.output_quantization == (pytest.approx(1 / 255), 0)
    assert (int8.input_dtype, int8.input_quantization[1]) == (np.int8, -128)
    assert (floating.input_dtype, floating.input_quantization) == (np.float32, (0.0, 0))


def test_another_size_gives_another_output(models: Mapping[str, Path]) -> None:
    session = open_session(models["nearest"])
    wide = np.random.default_rng(0).random((1, 5, 9, 1), dtype=np.float32)

    assert session.invoke(RAMP).shape == (1, 32, 32, 1)
    np.testing.assert_array_equal(session.invoke(wide), wide.repeat(2, axis=1).repeat(2, axis=2))
    assert session.input_shape == (1, 5, 9, 1)


def test_a_network_too_large_for_one_pixel_is_opened(to_tflite: Callable[..., bytes]) -> None:
    image = tf_keras.Input((None, None, 1))
    session = open_session(to_tflite(tf_keras.Model(image, tf_keras.layers.Conv2D(1, 5)(image))))

    assert session.input_shape == (1, 128, 128, 1)
    assert session.invoke(np.zeros((1, 8, 9, 1), np.float32)).shape == (1, 4, 5, 1)


def test_allocation_happens_only_when_the_shape_changes(models: Mapping[str, Path]) -> None:
    session = open_session(models["nearest"])
    engine = session._engine
    assert isinstance(engine, Interpreter)
    counted = Counting(engine._interpreter)
    engine._interpreter = counted

    for size in (16, 16, 8, 8, 16):
        session.invoke(np.zeros((1, size, size, 1), np.float32))

    assert counted.allocations == 2


class Counting:
    """An interpreter that counts how often it is allocated."""

    def __init__(self, interpreter: Any) -> None:
        self._interpreter, self.allocations = interpreter, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._interpreter, name)

    def allocate_tensors(self) -> None:
        self.allocations += 1
        self._interpreter.allocate_tensors()


def test_a_refused_size_leaves_the_session_usable(models: Mapping[str, Path]) -> None:
    session = open_session(models["nearest"])

    with pytest.raises(ModelFileError, match="accepts input"):
        session.invoke(np.zeros((1, 16, 16, 3), np.float32))

    np.testing.assert_array_equal(session.invoke(RAMP)[:, ::2, ::2], RAMP)


def test_many_inputs(models: Mapping[str, Path]) -> None:
    (total,) = open_session(models["sum"]).run([RAMP, 2 * RAMP])

    np.testing.assert_allclose(total, 3 * RAMP, rtol=1e-6)  # one rounding of a float32 sum


def test_kept_tensors_are_readable(models: Mapping[str, Path]) -> None:
    session = open_session(models["nearest"], keep_tensors=True)
    session.invoke(RAMP)
    convolution = session.graph.operators[0]

    np.testing.assert_array_equal(session.tensor(convolution.outputs[0]), RAMP.repeat(4, axis=3))


def test_tensors_that_are_not_kept_are_not_shown(models: Mapping[str, Path]) -> None:
    with pytest.raises(ConfigError, match="keep_tensors=True"):
        open_session(models["nearest"]).tensor(0)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_model_never_reaches_a_runtime(
    models: Mapping[str, Path], share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "load_runtime", lambda name: ("none", None))  # any use of it is an AttributeError
    content = models["nearest"].read_bytes()

    with pytest.raises(ModelFileError):
        open_session(content[: int(share * len(content))])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"none\.tflite"):
        open_session(tmp_path / "none.tflite")


def test_what_the_runtime_cannot_run_is_the_users_to_know(
    models: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_options: object) -> None:
        raise ValueError("Didn't find op for builtin opcode 'CONV_2D' version '9'.\nRegistration failed.\n")

    module = SimpleNamespace(Interpreter=refuse, OpResolverType={"BUILTIN": 1})
    monkeypatch.setattr(runtime, "load_runtime", lambda name: ("tflite-runtime", module))

    with pytest.raises(ModelFileError, match=r"from tflite-runtime: Didn't find op .* try another .*ai-edge-litert"):
        open_session(models["nearest"])


@pytest.mark.parametrize("threads", [0, 999999999999])
def test_a_number_of_threads_no_cpu_has(models: Mapping[str, Path], threads: int) -> None:
    with pytest.raises(ConfigError, match=f"1 to 1024 threads, got {threads}"):
        open_session(models["nearest"], threads=threads)


def test_unknown_names_are_told_the_known_ones(models: Mapping[str, Path]) -> None:
    with pytest.raises(ConfigError, match="ai-edge-litert, tflite-runtime"):
        open_session(models["nearest"], runtime="tensorrt")
    with pytest.raises(ConfigError, match="cpu, cpu-builtin, cpu-fp16, gpu, gpu-fp16, library:PATH"):
        open_session(models["nearest"], delegate="tpu")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The runtimes that can be imported: what the test puts in."""
    names: set[str] = set()
    homes = {entry.module: name for name, entry in RUNTIMES.items()}

    def find(module: str) -> SimpleNamespace:
        if homes[module] not in names:
            raise ModuleNotFoundError(f"No module named {module!r}")
        return SimpleNamespace()

    monkeypatch.setattr(runtime, "importlib", SimpleNamespace(import_module=find))
    monkeypatch.setattr(runtime, "np", SimpleNamespace(__version__="1.26.4"))
    monkeypatch.delenv(runtime.RUNTIME_VARIABLE, raising=False)
    return names


def test_the_preferred_runtime_is_the_first(installed: set[str]) -> None:
    installed |= {"tflite-runtime"}
    assert load_runtime()[0] == "tflite-runtime"

    installed |= {"ai-edge-litert"}
    assert load_runtime()[0] == "ai-edge-litert"


def test_argument_before_variable_before_preference(installed: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    installed |= set(RUNTIMES)
    monkeypatch.setenv(runtime.RUNTIME_VARIABLE, "tflite-runtime")

    assert load_runtime()[0] == "tflite-runtime"
    assert load_runtime("ai-edge-litert")[0] == "ai-edge-litert"


def test_no_runtime_names_the_command_that_installs_one(installed: set[str]) -> None:
    with pytest.raises(RuntimeMissingError, match=r'pip install "octopix\[litert\]"'):
        load_runtime()
    with pytest.raises(RuntimeMissingError, match=r'pip install "octopix\[tflite-runtime\]"'):
        load_runtime("tflite-runtime")


def test_a_runtime_whose_library_does_not_load_counts_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(module: str) -> None:
        raise OSError("libruntime.so: invalid ELF header")

    monkeypatch.setattr(runtime, "importlib", SimpleNamespace(import_module=fail))

    with pytest.raises(RuntimeMissingError, match="invalid ELF header"):
        load_runtime("ai-edge-litert")


def test_a_runtime_without_package_records_has_an_unknown_version(
    models: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> None:
        raise runtime.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(runtime.importlib.metadata, "version", fail)

    assert open_session(models["nearest"]).facts.version == "unknown"


def test_a_runtime_of_another_numpy_counts_as_missing(installed: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    installed |= {"tflite-runtime"}
    monkeypatch.setattr(runtime, "np", SimpleNamespace(__version__="2.4.6"))

    with pytest.raises(RuntimeMissingError, match=r"NumPy below 2, but this is NumPy 2\.4\.6"):
        load_runtime()


def test_sessions_hold_their_graph(models: Mapping[str, Path]) -> None:
    session: Session = open_session(models["nearest"])

    assert [operator.name for operator in session.graph.operators] == ["CONV_2D", "DEPTH_TO_SPACE"]
    assert session.init_ms > 0
