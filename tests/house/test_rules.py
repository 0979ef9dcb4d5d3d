"""The rules of the house that ruff, mypy and import-linter cannot see."""

import ast
import configparser
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
MOST_LINES = 400
LONGEST_FUNCTION = 60
MEDIAN_FUNCTION = 12


@pytest.fixture(scope="module")
def files() -> list[Path]:
    """All files that are, or are about to be, committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


@pytest.fixture(scope="module")
def sources(files: list[Path]) -> dict[Path, str]:
    return {path.relative_to(ROOT): path.read_text() for path in files if path.suffix == ".py"}


def test_files_stay_short(sources: dict[Path, str]) -> None:
    lines = {path: len(text.splitlines()) for path, text in sources.items()}

    assert not {path: count for path, count in lines.items() if count >= MOST_LINES}


def test_functions_stay_short(sources: dict[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    """Docstrings do not count. A Keras builder may be as long as its network."""
    lengths = {
        f"{path}:{function.lineno} {function.name}": _body_lines(function)
        for path, text in sources.items()
        if path.parts[0] != "tests"
        for function in _functions(text)
    }
    median = statistics.median(lengths.values())
    with capsys.disabled():
        sys.stdout.write(f"\n{len(lengths)} functions, median {median:g} lines, longest {max(lengths.values())}\n")

    assert median <= MEDIAN_FUNCTION
    assert not {
        name: lines
        for name, lines in lengths.items()
        if lines > LONGEST_FUNCTION and not name.startswith("train/models/")
    }


def _functions(text: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def test_layout(files: list[Path]) -> None:
    names = {path.relative_to(ROOT) for path in files}

    assert not [name for name in names if name.name in {"utils.py", "helpers.py", "misc.py"}]
    # A tests/train/__init__.py would hide the real train.
    assert not [name for name in names if name.parts[0] == "tests" and name.name == "__init__.py"]
    # Whoever imports train.data runs train/__init__.py: anything there would reach them.
    assert (ROOT / "train/__init__.py").read_text() == ""


def test_nobody_edits_the_import_path(sources: dict[Path, str]) -> None:
    assert not [path for path, text in sources.items() if re.search(r"\bsys\.path\b", text)]


UNWANTED = {
    "a folder of somebody's machine": r"(?<![\w.\]])/(work|root|home|tmp|opt|Users)/",
    "a package registry's host": r"pypi\.org|pythonhosted|debian\.org|index-url|find-links|trusted-host",
    "unfinished work": r"\b(TODO|FIXME|XXX|raise NotImplementedError)\b",
}


@pytest.mark.parametrize("what", UNWANTED)
def test_no_committed_text_holds(what: str, files: list[Path]) -> None:
    found = []
    for path in files:
        if path == Path(__file__):
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue  # weights, pictures
        found += [f"{path.relative_to(ROOT)}: {line}" for line in text.splitlines() if re.search(UNWANTED[what], line)]

    assert not found


def test_constraints_pin_whatever_the_environment_gets() -> None:
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    extras = settings["options.extras_require"]
    wanted = "\n".join([settings["options"]["install_requires"], extras["workbench"], extras["dev"]])
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))

    needed = _closure([Requirement(line) for line in wanted.splitlines() if line])

    assert {name: metadata.version(name) for name in needed} == {canonicalize_name(name): pins[name] for name in pins}


def _closure(asked: list[Requirement]) -> set[str]:
    """Names of all packages that these requirements bring to this machine."""
    todo, seen = list(asked), set()
    while todo:
        need = todo.pop()
        if (need.name, *need.extras) not in seen:
            seen.add((need.name, *need.extras))
            inner = [Requirement(text) for text in metadata.requires(need.name) or []]
            todo += [each for each in inner if each.marker is None or _applies(each.marker, need.extras)]
    return {canonicalize_name(name) for name, *_ in seen}


def _applies(marker: Marker, extras: set[str]) -> bool:
    return any(marker.evaluate({"extra": extra}) for extra in extras | {""})


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_documents_name_what_exists(name: str) -> None:
    """Targets of make, and paths in the checkout, that a document tells people to use."""
    text = (ROOT / name).read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    paths = re.findall(r"`((?:octopix|train|quantize|deploy|benchmarks|tests|docs|\.ci)/[\w./-]*)`", text)
    paths += re.findall(r"\]\(([\w./-]+)\)", text) + re.findall(r'src="([^"]+)"', text)

    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", text, flags=re.MULTILINE)) <= targets
    assert not [path for path in paths if not (ROOT / path).exists()]
