"""A board over ssh, with a stand-in for the client: what is sent, and what becomes of faults."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.facts import LINUX, ask, state_of
from deploy.remote import RemoteTarget
from deploy.retry import Patience
from deploy.ssh import SshLink
from deploy.target import StableTargetError, TransientTargetError
from octopix.errors import ConfigError
from tests.deploy.contracts import TargetContract

FAKE = Path(__file__).parent / "fake_ssh.py"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home folder on the board, with a space in its name."""
    folder = tmp_path / "the board/home"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def waits() -> list[float]:
    """Seconds waited between attempts, instead of waiting."""
    return []


@pytest.fixture
def target(home: Path, tmp_path: Path, waits: list[float]) -> RemoteTarget:
    program = tmp_path / "ssh"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{FAKE}" "{home}" "$@"\n')
    program.chmod(0o755)
    made = RemoteTarget(SshLink("pi@board", program=str(program)), "octopix folder", Patience(sleep=waits.append))
    made.make_folder()
    return made


@pytest.fixture
def fault(home: Path) -> Callable[..., None]:
    def write(**faults: list[object]) -> None:
        (home.parent / "faults.json").write_text(json.dumps(faults))

    return write


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.bin"
    path.write_bytes(bytes(range(256)) * 500)
    return path


def left(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "octopix folder").iterdir())


def stand_in(home: Path, name: str, script: str) -> None:
    """A program on the board that comes before the system's."""
    path = home.parent / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


class TestSsh(TargetContract):
    pass


def test_a_connection_cut_in_a_push_leaves_nothing_and_a_rerun_recovers(
    target: RemoteTarget, home: Path, fault: Callable[..., None], photo: Path, waits: list[float]
) -> None:
    target.push(photo, "model")
    photo.write_bytes(photo.read_bytes()[::-1])
    fault(cut_after=[1000, 99])

    with pytest.raises(TransientTargetError, match="until the command ended") as caught:
        target.push(photo, "model")

    assert caught.value.finished is not None
    assert caught.value.finished.exit_code == 255
    assert "closed by remote host" in caught.value.finished.stderr
    assert left(home) == ["model"]
    assert (home / "octopix folder/model").read_bytes() == photo.read_bytes()[::-1]
    assert waits == [1, 2]

    fault()
    target.push(photo, "model")
    assert (home / "octopix folder/model").read_bytes() == photo.read_bytes()


def test_a_connection_cut_once_is_made_again(
    target: RemoteTarget, home: Path, fault: Callable[..., None], photo: Path, waits: list[float]
) -> None:
    fault(cut_after=[10, 2])

    target.push(photo, "model")

    assert (home / "octopix folder/model").read_bytes() == photo.read_bytes()
    assert len(waits) == 2


def test_a_connection_cut_in_a_pull_leaves_what_was_here(
    target: RemoteTarget, fault: Callable[..., None], photo: Path, tmp_path: Path
) -> None:
    target.push(photo, "result")
    back = tmp_path / "results/back"
    back.parent.mkdir()
    back.write_text("of yesterday")
    fault(cut_after=[500, 99])

    with pytest.raises(TransientTargetError):
        target.pull("result", back)

    assert [path.name for path in back.parent.iterdir()] == ["back"]
    assert back.read_text() == "of yesterday"


def test_a_connection_cut_in_a_run_is_transient_whatever_the_command_wrote(
    target: RemoteTarget, fault: Callable[..., None], waits: list[float]
) -> None:
    fault(cut_after=[2, 99])

    with pytest.raises(TransientTargetError, match="check that the board is on") as caught:
        target.run(["echo", "all well"], timeout=30)

    assert caught.value.finished is not None
    assert caught.value.finished.stdout == "al"
    assert waits == [1, 2]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("pi@board: Permission denied (publickey).", "ssh-copy-id pi@board"),
        ("Host key verification failed.", "log in once"),
        ("ssh: Could not resolve hostname board: Name or service not known", "check pi@board"),
    ],
)
def test_what_would_fail_again_is_not_tried_again(
    target: RemoteTarget, fault: Callable[..., None], waits: list[float], words: str, says: str
) -> None:
    fault(say=[255, words, 99])

    with pytest.raises(StableTargetError, match=says):
        target.run(["true"], timeout=30)

    assert not waits


def test_a_board_that_cannot_answer_every_question_answers_the_others(target: RemoteTarget) -> None:
    """No vcgencmd, no cpufreq: common, and no failure."""
    assert state_of(ask(target, LINUX)).memory_free_mib


def test_a_board_that_is_still_booting_is_waited_for(
    target: RemoteTarget, fault: Callable[..., None], waits: list[float]
) -> None:
    fault(say=[255, "ssh: connect to host board port 22: Connection refused", 2])

    assert target.run(["echo", "up"], timeout=30).stdout == "up\n"
    assert waits == [1, 2]


def test_what_arrives_changed_is_not_kept(target: RemoteTarget, home: Path, photo: Path, waits: list[float]) -> None:
    stand_in(home, "cat", 'exec tr "\\000" "\\001"')  # as many bytes, other ones

    with pytest.raises(TransientTargetError, match="SHA-256"):
        target.push(photo, "model")

    assert left(home) == []
    assert waits == [1, 2]


def test_a_full_disk_is_said_and_not_tried_again(
    target: RemoteTarget, home: Path, photo: Path, waits: list[float]
) -> None:
    stand_in(home, "cat", 'head -c 1000; echo "cat: write error: No space left on device" >&2; exit 1')

    with pytest.raises(StableTargetError, match="expected room for model on board, got a full disk"):
        target.push(photo, "model")

    assert left(home) == []
    assert not waits


def test_a_program_for_another_processor_is_named_as_such(target: RemoteTarget, home: Path) -> None:
    foreign = home / "octopix folder/tool"
    foreign.write_bytes(b"\x7fELF\2\1\1" + bytes(9) + b"\2\0\xb7\0" + bytes(100))  # an aarch64 ELF that holds nothing
    foreign.chmod(0o755)

    with pytest.raises(StableTargetError, match="another kind of processor"):
        target.run(["./tool"], timeout=30)


@pytest.mark.parametrize(
    "host",
    ["-oProxyCommand=touch injected", "pi@$(touch injected)", "a b", "pi@x;y", "`id`@x", "", "bö@rd", "pi@", "a'b"],
)
def test_a_host_that_a_shell_might_read_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="HOST"):
        SshLink(host)


@pytest.mark.parametrize("host", ["board", "pi@raspberrypi.local", "pi@192.0.2.7", "pi@fe80::1%eth0", "my_board"])
def test_ordinary_hosts_are_taken(host: str) -> None:
    assert SshLink(host).name
