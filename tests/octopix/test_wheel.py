"""The wheel as a user gets it: two clean environments, one for each TFLite runtime, and no TensorFlow in either."""

import json
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage

from octopix.card import graph_sha256
from octopix.images import read_picture

MODULES = {"litert": "ai_edge_litert", "tflite-runtime": "tflite_runtime"}
"""Extra -> the runtime's module."""
RUNTIMES = {"litert": "ai-edge-litert", "tflite-runtime": "tflite-runtime"}
"""Extra -> the runtime's name in results."""
NEVER = ("tensorflow", "keras", "tf_keras", "train", "quantize", "deploy", "benchmarks")
PHOTO = Path(skimage.__file__).parent / "data/camera.png"
"""Grey, so the network's output is the picture itself."""

WHEELS_END = pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="tflite-runtime 2.14, the last, has no wheels for Python 3.12 and later"
)
EXTRAS = ["litert", pytest.param("tflite-runtime", marks=WHEELS_END)]


@dataclass(frozen=True)
class Clean:
    """An environment that holds ``octopix[extra]`` and what it needs."""

    extra: str
    bin: Path

    def octopix(self, *words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
        # No variable of ours reaches it: no PYTHONPATH, no OCTOPIX_RUNTIME.
        command = [self.bin / "octopix", *words]
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env={})

    def json(self, *words: str | Path, cwd: Path) -> Any:
        done = self.octopix(*words, "--json", cwd=cwd)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="session")
def make_clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Clean]:
    made: dict[str, Clean] = {}

    def make(extra: str) -> Clean:
        if extra not in made:
            folder = tmp_path_factory.mktemp(extra)
            venv.create(folder, symlinks=True)
            pip = [sys.executable, "-m", "pip", "--python", folder / "bin/python", "--disable-pip-version-check"]
            subprocess.run([*pip, "install", "--quiet", f"{wheel}[{extra}]"], check=True)
            made[extra] = Clean(extra, folder / "bin")
        return made[extra]

    return make


@pytest.fixture(params=EXTRAS)
def clean(request: pytest.FixtureRequest, make_clean: Callable[[str], Clean]) -> Clean:
    """Each environment in turn, shown to hold its own runtime, and neither the other one nor the workbench."""
    environment = make_clean(request.param)
    names = [*MODULES.values(), *NEVER]
    code = "import importlib.util, sys; print(*[name for name in sys.argv[1:] if importlib.util.find_spec(name)])"
    command = [environment.bin / "python", "-c", code, *names]
    there = subprocess.run(command, cwd=environment.bin, capture_output=True, text=True, check=True, env={})
    assert there.stdout.split() == [MODULES[request.param]]
    return environment


@pytest.fixture(scope="session")
def model(artifacts: Path) -> Path:
    return artifacts / "espcn_x4/int8-ptq-minmax.tflite"


def test_run(clean: Clean, model: Path, tmp_path: Path) -> None:
    result = clean.json("run", PHOTO, "--model", model, "--out", "large.png", cwd=tmp_path)

    assert result["facts"]["runtime"] == RUNTIMES[clean.extra]
    small, large = read_picture(PHOTO).pixels, read_picture(tmp_path / "large.png").pixels
    assert large.shape == (4 * small.shape[0], 4 * small.shape[1], 1)


def test_inspect(clean: Clean, model: Path, tmp_path: Path) -> None:
    result = clean.json("inspect", model, cwd=tmp_path)

    assert result["card"]["model"] == "espcn_x4"
    assert result["graph_sha256"] == graph_sha256(model)


def test_bench(clean: Clean, model: Path, tmp_path: Path) -> None:
    result = clean.json("bench", model, "--out", "result.json", cwd=tmp_path)

    assert result == json.loads((tmp_path / "result.json").read_text())
    (row,) = result["rows"]
    assert row["facts"]["runtime"] == RUNTIMES[clean.extra]
    assert row["graph_sha256"] == graph_sha256(model)
    assert row["latency"]["median_ms"] > 0


@WHEELS_END
def test_both_runtimes_make_the_same_picture(make_clean: Callable[[str], Clean], model: Path, tmp_path: Path) -> None:
    def run(extra: str, delegate: str) -> np.ndarray:
        out = f"{extra}.{delegate}.png"
        make_clean(extra).json("run", PHOTO, "--model", model, "--delegate", delegate, "--out", out, cwd=tmp_path)
        return read_picture(tmp_path / out).pixels.astype(int)

    assert np.array_equal(run("litert", "cpu-builtin"), run("tflite-runtime", "cpu-builtin"))

    difference = np.abs(run("litert", "cpu") - run("tflite-runtime", "cpu"))
    # XNNPACK, which this tflite-runtime does not use for int8, scales the int32 sums in float; the builtin kernels do
    # it in fixed point. So a value near a tie may land one level apart in each of ESPCN's three layers, and a level of
    # a hidden layer can be more than one of the output. That these meet is rare (seen: 7.4 % of 4.2 million samples
    # differ by 1, 0.08 % by 2, 42 samples by 3): 2.5 times as many may differ by 2, ten times by 3, and none by more
    # than the one level beyond 3 that another processor's rounding could add.
    assert np.mean(difference > 1) < 2e-3
    assert np.mean(difference > 2) < 1e-4
    assert difference.max() <= 4


def test_without_a_runtime_it_says_what_to_install(
    model: Path, make_clean: Callable[[str], Clean], tmp_path: Path
) -> None:
    """The base has none: extras only add."""
    environment = make_clean("litert")
    code = "import sys; sys.modules['ai_edge_litert'] = None; from octopix.__main__ import main; sys.exit(main())"
    command = [environment.bin / "python", "-c", code, "bench", model]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env={})

    assert done.returncode == 2
    assert 'pip install "octopix[litert]"' in done.stderr
