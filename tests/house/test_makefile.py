"""The one door: what `make` says and does before and around the Python programs.

Each test runs the real Makefile in a folder of its own, with stand-ins for the programs that it starts.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("sh", "echo", "touch", "awk", "rm", "find")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with a space in its name, holding what the Makefile needs to make the environment."""
    folder = tmp_path / "a checkout"
    (folder / "bin").mkdir(parents=True)
    for name in ("Makefile", "setup.cfg", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    for tool in TOOLS:
        (folder / "bin" / tool).symlink_to(shutil.which(tool))
    return folder


def stand_in(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def make(checkout: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [shutil.which("make") or "make", *words],
        cwd=checkout,
        env={"PATH": str(checkout / "bin"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def ready(checkout: Path, *, exit_code: int = 0) -> None:
    """An environment that looks complete, whose Python prints its arguments one a line."""
    stand_in(checkout / ".venv/bin/python", f'for word; do echo "<$word>"; done; exit {exit_code}')
    shutil.copy(shutil.which("make") or "make", checkout / "bin/make")
    stamp = checkout / ".venv/.octopix-ready"
    stamp.touch()
    newest = max((checkout / name).stat().st_mtime for name in ("setup.cfg", "pyproject.toml", "constraints.txt"))
    os.utime(stamp, (newest + 1, newest + 1))


OLD = 'case "$2" in *version_info*) exit 1;; esac; echo Python 3.9.2'
NO_VENV = 'case "$2" in *ensurepip*) exit 1;; esac'


@pytest.mark.parametrize(
    ("programs", "says"),
    [
        ({}, "expected git, got none; run: apt-get install git"),
        ({"git": ""}, "expected Python 3.11 to 3.13, got none; run: apt-get install python3"),
        ({"git": "", "python3": OLD}, "expected Python 3.11 to 3.13, got Python 3.9.2"),
        (
            {"git": "", "python3": NO_VENV},
            "expected the venv module of python3, got none; run: apt-get install python3-venv",
        ),
    ],
)
def test_a_missing_program_is_named_with_its_package(checkout: Path, programs: dict[str, str], says: str) -> None:
    for name, script in programs.items():
        stand_in(checkout / "bin" / name, script)

    done = make(checkout, "quantize")

    assert done.returncode != 0
    assert says in done.stderr
    assert not (checkout / ".venv").exists()


def test_a_failed_installation_is_tried_again(checkout: Path) -> None:
    """The environment counts as made only when pip has put everything in."""
    stand_in(checkout / "bin/git", "")
    stand_in(checkout / "bin/python3", "exit 0")
    stand_in(checkout / ".venv/bin/python", 'case "$*" in *editable*|*workbench*) echo no network >&2; exit 1;; esac')

    done = make(checkout, "setup")

    assert done.returncode != 0
    assert "no network" in done.stderr
    assert not (checkout / ".venv/.octopix-ready").exists()


def test_quantize_hands_values_on_as_they_are(checkout: Path) -> None:
    ready(checkout)

    done = make(checkout, "quantize", "DATA=my photos/of 'Ada'", "OUT=my results", "QUICK=1", OUT="elsewhere")

    assert done.returncode == 0, done.stderr
    words = [line[1:-1] for line in done.stdout.splitlines()]
    assert words == [
        *("-m", "quantize", "--model", "espcn_x4", "--scheme", "all", "--out", "my results/artifacts"),
        *("--data", "my photos/of 'Ada'", "--quick"),
        *("-m", "benchmarks", "table", "--model", "espcn_x4", "--artifacts", "my results/artifacts"),
        *("--reports", "my results/reports", "--data", "my photos/of 'Ada'", "--quick"),
    ]


def test_a_failed_quantize_stops_before_the_table(checkout: Path) -> None:
    ready(checkout, exit_code=2)

    done = make(checkout, "quantize")

    assert done.returncode != 0
    assert "<benchmarks>" not in done.stdout


def test_bench_pi_hands_the_host_on_as_it_is(checkout: Path) -> None:
    """What a host may be is for deploy to say; no shell reads it on the way there."""
    ready(checkout)

    done = make(checkout, "bench-pi", "HOST=pi@$$(touch injected);x", "OUT=my results", HOST="elsewhere")

    assert done.returncode == 0, done.stderr
    words = [line[1:-1] for line in done.stdout.splitlines()]
    folder = "my results/reports/espcn_x4-on-devices"
    assert words == [
        *("-m", "deploy", "bench", "--target", "raspberry_pi", "--host", "pi@$(touch injected);x"),
        *("--model", "espcn_x4", "--artifacts", "my results/artifacts", "--out", folder),
        *("-m", "benchmarks", "devices", folder),
    ]
    assert not (checkout / "injected").exists()


def test_a_failed_deploy_shows_no_older_table(checkout: Path) -> None:
    ready(checkout, exit_code=2)

    done = make(checkout, "bench-android")

    assert done.returncode != 0
    assert "<benchmarks>" not in done.stdout


def test_help_lists_every_target(checkout: Path) -> None:
    phony = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith(".PHONY:"))

    listed = [line.split()[1] for line in make(checkout).stdout.splitlines() if line.startswith("  make ")]

    assert sorted(listed) == sorted(phony.split()[1:])
