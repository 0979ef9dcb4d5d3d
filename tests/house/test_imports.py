"""What ships, and what only reads files, starts without TensorFlow: tried in interpreters where it cannot be had."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

WITHOUT = """
import importlib, sys

class Wall:
    def find_spec(self, name, path=None, target=None):
        # Not an ImportError: code that tries TensorFlow and does without is not wanted either.
        assert name.partition(".")[0] not in {forbidden}, f"{{name}} was imported"

sys.meta_path.insert(0, Wall())
for name in {modules}:
    importlib.import_module(name)
"""

ONLY = """
import importlib, sys

class Wall:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in {allowed} and top not in sys.stdlib_module_names:
            # What NumPy and OpenCV look for and do without is not our concern.
            raise ModuleNotFoundError(f"{{name}} does not ship to devices", name=name)

sys.meta_path.insert(0, Wall())
for name in {modules}:
    importlib.import_module(name)
"""

TENSORFLOW = {"tensorflow", "keras", "tf_keras", "tensorflow_model_optimization"}


def modules_of(package: str) -> list[str]:
    """Dotted names of all modules below a package, its command line included."""
    folder = ROOT / package.replace(".", "/")
    files = (file.relative_to(ROOT).with_suffix("") for file in sorted(folder.rglob("*.py")))
    return [".".join(file.parts).removesuffix(".__init__") for file in files]


def run_fresh(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("package", ["octopix", "train.data", "deploy", "benchmarks"])
def test_starts_where_tensorflow_is_forbidden(package: str) -> None:
    modules = modules_of(package)
    assert modules

    done = run_fresh(WITHOUT.format(forbidden=TENSORFLOW, modules=modules))

    assert done.returncode == 0, done.stderr


def test_octopix_starts_with_nothing_but_its_three_dependencies() -> None:
    allowed = {"octopix", "numpy", "cv2", "flatbuffers"}

    done = run_fresh(ONLY.format(allowed=allowed, modules=modules_of("octopix")))

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "script",
    [WITHOUT.format(forbidden={"tf_keras"}, modules=["tf_keras.layers"]), ONLY.format(allowed=set(), modules=["yaml"])],
)
def test_the_walls_hold(script: str) -> None:
    assert run_fresh(script).returncode != 0
