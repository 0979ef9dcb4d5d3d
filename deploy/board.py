"""octopix on a board: a virtual environment in the working folder, made once for each version of octopix.

octopix itself goes as a wheel that is built here. What it needs comes from the board's own package index, or, where the
board is offline, from wheels that this machine fetches for the board's Python and processor.
"""

import contextlib
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.target import Finished, StableTargetError, Target
from octopix.errors import ConfigError
from octopix.records import parse
from octopix.runtime import RUNTIMES

ROOT = Path(__file__).parents[1]
ENVIRONMENT, WHEELS = "env", "wheels"
LEAST = (3, 11)
SMALL_S, VENV_S, INSTALL_S = 60.0, 600.0, 1800.0
AUTO, BOARD, HOST = "auto", "board", "host"
"""Where the packages come from: the board's index and else the host; the board's index only; the host only."""

_PROBE = """
import json, platform, sys, sysconfig
try:
    import ensurepip, venv
    has_venv = True
except ImportError:
    has_venv = False
print(json.dumps({"version": list(sys.version_info[:2]), "platform": sysconfig.get_platform(), "venv": has_venv,
                  "bits": 64 if sys.maxsize > 2**32 else 32, "glibc": platform.libc_ver()[1]}))
"""
_OFFLINE = ("No matching distribution", "Failed to establish a new connection", "name resolution", "timed out")


@dataclass(frozen=True)
class Python:
    """What runs on the board."""

    version: tuple[int, int]
    machine: str
    """As wheels call it: ``aarch64``, ``armv7l``, ``x86_64``."""
    glibc: tuple[int, int]

    @property
    def extra(self) -> str:
        """Which extra of octopix has a runtime for it.

        Raises:
            StableTargetError: none has.
        """
        if self.machine in ("aarch64", "x86_64"):
            return "litert"
        if self.machine == "armv7l" and self.version == LEAST:
            return "tflite-runtime"
        raise StableTargetError(
            expected="a processor and a Python that a TFLite runtime is built for: aarch64, or armv7l with Python 3.11",
            got=f"{self.machine} with Python {_dotted(self.version)}",
            do="install the 64-bit Raspberry Pi OS",
        )


def prepare(target: Target, *, python: str = "python3", packages: str = AUTO) -> tuple[str, ...]:
    """Make sure that this very octopix is installed in the target's folder; returns the words that start it.

    Args:
        target: the board.
        python: the interpreter there.
        packages: `AUTO`, `BOARD`, `HOST`, or a folder of wheels here.

    Raises:
        StableTargetError: no Python, one too old, without venv, or for a processor that no runtime is built for.
    """
    found = probe(target, python)
    words = (f"{ENVIRONMENT}/bin/python", "-m", "octopix")
    stamp = f"{ENVIRONMENT}/made-of-{_source_digest()}"
    if target.run(["test", "-e", stamp], timeout=SMALL_S).exit_code == 0:
        return words
    with tempfile.TemporaryDirectory() as folder:
        wheel = build_wheel(Path(folder))
        _expect(target.run([python, "-m", "venv", "--clear", ENVIRONMENT], timeout=VENV_S), target)
        target.push(wheel, f"{WHEELS}/{wheel.name}")
        _install(target, wheel, found, packages)
    _expect(target.run([*words, "--version"], timeout=SMALL_S), target)
    _expect(target.run(["touch", stamp], timeout=SMALL_S), target)
    return words


def probe(target: Target, python: str) -> Python:
    """Find out what Python is there. Raises as `prepare`."""
    try:
        done = target.run([python, "-c", _PROBE], timeout=SMALL_S)
    except StableTargetError as error:
        if error.finished is None or error.finished.exit_code != 127:
            raise
        raise _python_wanted(target, f"no {python}", error.finished) from error
    try:
        said = parse(done.stdout)
        version, machine = (said["version"][0], said["version"][1]), said["platform"].partition("-")[2]
        glibc = said["glibc"].split(".")
    except (ValueError, KeyError, TypeError) as error:  # Python 2 ends with a syntax error or none of these
        raise _python_wanted(target, done.words or "one that does not answer", done) from error
    if version < LEAST:
        raise _python_wanted(target, _dotted(version), done)
    if not said["venv"]:
        raise StableTargetError(
            expected=f"the venv module of {python} on {target.name}",
            got="none",
            do="run there: sudo apt-get install python3-venv",
            finished=done,
        )
    if machine == "aarch64" and said["bits"] == 32:  # a 64-bit kernel below a 32-bit system
        machine = "armv7l"
    return Python(version, machine, (int(glibc[0]), int(glibc[1])) if len(glibc) > 1 else (2, 17))


def build_wheel(folder: Path) -> Path:
    """The wheel of this checkout's octopix, built without the network.

    Raises:
        ConfigError: it cannot be built; the message has pip's words.
    """
    source = folder / "source"
    shutil.copytree(ROOT / "octopix", source / "octopix", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    _pip("wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source))
    return next(folder.glob("*.whl"))


def fetch_wheels(wheel: Path, python: Python) -> tuple[Path, ...]:
    """Wheels of all that octopix needs on that Python, from this machine's index, kept in the user's cache.

    Raises:
        ConfigError: they cannot be had; the message has pip's words.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "octopix" / "wheels"
    folder = cache / f"{_dotted(python.version)}-{python.machine}"
    folder.mkdir(parents=True, exist_ok=True)
    _pip("download", "--dest", str(folder), *_platform_words(python), *_requirements(wheel, python))
    return tuple(path for path in sorted(folder.glob("*.whl")) if not path.name.startswith("octopix-"))


def _install(target: Target, wheel: Path, python: Python, packages: str) -> None:
    there = Path(WHEELS) / wheel.name
    pip = [f"{ENVIRONMENT}/bin/python", "-m", "pip", "install", "--no-compile", "--disable-pip-version-check"]
    wanted = [f"./{word}" if word.startswith(WHEELS) else word for word in _requirements(there, python)]
    if packages in (AUTO, BOARD):
        done = target.run([*pip, *wanted], timeout=INSTALL_S)
        if done.exit_code == 0 or packages == BOARD or not any(text in done.stderr for text in _OFFLINE):
            _expect(done, target)
            return
    folder = None if packages in (AUTO, HOST) else Path(packages)
    wheels = fetch_wheels(wheel, python) if folder is None else tuple(sorted(folder.glob("*.whl")))
    for path in wheels:
        target.push(path, f"{WHEELS}/{path.name}")
    _expect(target.run([*pip, "--no-index", "-f", f"./{WHEELS}", *wanted], timeout=INSTALL_S), target)


def _requirements(wheel: Path, python: Python) -> list[str]:
    """octopix and its runtime, of the version that is here: only then are int8 pictures equal to the last bit."""
    words = [f"{wheel}[{python.extra}]"]
    name = next(name for name, entry in RUNTIMES.items() if entry.extra == python.extra)
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # without it here, any version serves there
        words.append(f"{name}=={importlib.metadata.version(name)}")
    return words


def _platform_words(python: Python) -> list[str]:
    """For pip: wheels for any glibc up to the board's."""
    least, most = 17, python.glibc[1]
    tags = [f"manylinux_2_{minor}_{python.machine}" for minor in range(least, most + 1)]
    tags += [f"manylinux2014_{python.machine}", f"linux_{python.machine}"]
    words = [word for tag in tags for word in ("--platform", tag)]
    return [*words, "--python-version", _dotted(python.version), "--implementation", "cp", "--only-binary=:all:"]


def _pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(
            expected=f"`pip {words[0]}` to succeed here", got=done.stderr.strip()[-1000:], do="mend what it says"
        )


def _source_digest() -> str:
    """Names the state of octopix here, so that a board with another one is brought up to date."""
    digest = hashlib.sha256()
    files: Sequence[Path] = [ROOT / "setup.cfg", *sorted((ROOT / "octopix").rglob("*.py"))]
    for path in files:
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _expect(done: Finished, target: Target) -> None:
    if done.exit_code:
        raise StableTargetError(
            expected=f"`{' '.join(done.command[:4])}` to succeed on {target.name}",
            got=f"exit code {done.exit_code}, saying: {done.words}",
            do="mend what it says there",
            finished=done,
        )


def _python_wanted(target: Target, got: str, done: Finished) -> StableTargetError:
    return StableTargetError(
        expected=f"Python {_dotted(LEAST)} or later on {target.name}",
        got=got,
        do="run there: sudo apt-get install python3 python3-venv (Raspberry Pi OS 12 or later), or name another one "
        "with python",
        finished=done,
    )


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
