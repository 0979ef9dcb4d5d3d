"""octopix on a board: what is found there, what is installed, and where packages come from."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy import board
from deploy.board import Python, build_wheel, prepare, probe
from deploy.shell import framed, unframed
from deploy.target import Finished, StableTargetError
from octopix.errors import ConfigError

PI = {"version": [3, 11], "platform": "linux-aarch64", "venv": True, "bits": 64, "glibc": "2.36"}


@dataclass
class Board:
    """Answers commands by their first words, and remembers what was run and pushed."""

    answers: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    name: str = "board"
    ran: list[str] = field(default_factory=list)
    pushed: list[str] = field(default_factory=list)

    def run(self, command: Sequence[str], *, timeout: float) -> Finished:
        line = " ".join(command)
        self.ran.append(line)
        for start, (code, out, err) in self.answers.items():
            if line.startswith(start):
                finished = Finished(tuple(command), code, out, err)
                if code == 127:
                    raise StableTargetError(expected="", got="", do="", finished=finished)
                return finished
        return Finished(tuple(command), 0, "", "")

    def push(self, local: Path, name: str) -> None:
        self.pushed.append(name)

    def pull(self, name: str, local: Path) -> None:
        raise AssertionError("nothing is pulled")


def answering(**changes: object) -> Board:
    """A board whose Python says so, and that has no octopix yet."""
    return Board({"python3 -c": (0, json.dumps(PI | changes), ""), "test -e": (1, "", "")})


@pytest.fixture(autouse=True)
def wheels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Stands in for pip on this machine; its command lines."""
    lines: list[str] = []

    def pip(*words: str) -> None:
        lines.append(" ".join(words))
        if words[0] == "wheel":
            (Path(words[words.index("--wheel-dir") + 1]) / "octopix-1.0-py3-none-any.whl").write_bytes(b"")
        else:
            folder = Path(words[words.index("--dest") + 1])
            for name in ("numpy-2.whl", "ai_edge_litert-2.whl", "octopix-1.0-py3-none-any.whl"):
                (folder / name).write_bytes(b"")

    monkeypatch.setattr(board, "_pip", pip)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return lines


def test_a_fresh_board_gets_an_environment() -> None:
    fresh = answering()

    words = prepare(fresh)

    assert words == ("env/bin/python", "-m", "octopix")
    assert fresh.pushed == ["wheels/octopix-1.0-py3-none-any.whl"]
    install = next(line for line in fresh.ran if "pip install" in line)
    # The runtime's version is the host's: only then are int8 pictures equal to the last bit.
    assert "./wheels/octopix-1.0-py3-none-any.whl[litert] ai-edge-litert==" in install
    assert fresh.ran[-1].startswith("touch env/made-of-")


def test_a_board_that_has_this_octopix_is_left_alone() -> None:
    known = answering()
    del known.answers["test -e"]

    prepare(known)

    assert not known.pushed
    assert not any("pip" in line or "venv" in line for line in known.ran[1:])


@pytest.mark.parametrize("packages", ["auto", "host"])
def test_a_board_without_a_network_gets_wheels_from_here(packages: str, wheels: list[str]) -> None:
    offline = answering()
    offline.answers["env/bin/python -m pip install --no-compile --disable-pip-version-check ./wheels"] = (
        1,
        "",
        "ERROR: No matching distribution found for numpy>=1.26",
    )

    prepare(offline, packages=packages)

    assert sorted(offline.pushed) == [
        "wheels/ai_edge_litert-2.whl",
        "wheels/numpy-2.whl",
        "wheels/octopix-1.0-py3-none-any.whl",
    ]
    fetched = wheels[-1]
    assert "--platform manylinux_2_36_aarch64" in fetched  # as new as the board's glibc
    assert "manylinux_2_37" not in fetched
    assert "--python-version 3.11" in fetched


def test_another_failure_of_pip_is_not_hidden() -> None:
    full = answering()
    full.answers["env/bin/python -m pip install"] = (1, "", "ERROR: [Errno 28] No space left on device")

    with pytest.raises(StableTargetError, match="No space left on device"):
        prepare(full)

    assert not any(line.startswith("touch") for line in full.ran)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((127, "", "sh: python3: not found"), "expected Python 3.11 or later on board, got no python3"),
        ((0, json.dumps(PI | {"version": [3, 9]}), ""), "got 3.9"),
        ((1, "", "SyntaxError: invalid syntax"), "got SyntaxError"),
        ((0, json.dumps(PI | {"venv": False}), ""), "apt-get install python3-venv"),
    ],
)
def test_no_python_or_a_wrong_one_is_said(answer: tuple[int, str, str], says: str) -> None:
    wrong = Board({"python3 -c": answer})

    with pytest.raises(StableTargetError, match=says):
        prepare(wrong)

    assert not wrong.pushed


@pytest.mark.parametrize(
    ("changes", "extra"),
    [
        ({}, "litert"),
        ({"platform": "linux-x86_64"}, "litert"),
        ({"platform": "linux-armv7l", "bits": 32}, "tflite-runtime"),
        ({"platform": "linux-aarch64", "bits": 32}, "tflite-runtime"),
        ({"platform": "linux-armv7l", "bits": 32, "version": [3, 13]}, None),
        ({"platform": "linux-armv6l", "bits": 32}, None),
        ({"platform": "linux-riscv64"}, None),
    ],
)
def test_the_runtime_goes_by_the_processor(changes: dict[str, object], extra: str | None) -> None:
    found = probe(answering(**changes), "python3")

    if extra is None:
        with pytest.raises(StableTargetError, match="64-bit Raspberry Pi OS"):
            _ = found.extra
    else:
        assert found.extra == extra


def test_the_probe_answers_on_a_real_python(tmp_path: Path) -> None:
    from deploy.local import LocalTarget

    found = probe(LocalTarget(tmp_path), "python3")

    assert found.version >= (3, 11)
    assert found.glibc[0] == 2
    assert isinstance(found, Python)


def test_a_wheel_that_cannot_be_built_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(board.sys, "executable", "false")

    with pytest.raises(ConfigError, match="`pip wheel` to succeed here"):
        build_wheel(tmp_path)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_frame_tells_the_exit_code_through_either_stream(newline: str) -> None:
    assert framed("true").endswith(">&2")
    text = f"words{newline}{newline}octopix-exit:3{newline}"

    for done in (Finished(("x",), 255, "", text), Finished(("x",), 0, text, "")):
        ended = unframed(done)
        assert ended is not None
        assert ended.exit_code == 3
        assert (ended.stdout + ended.stderr).strip() == "words"

    assert unframed(Finished(("x",), 255, "words", "octopix-ex")) is None
