"""A board through the real OpenSSH client and server, on loopback; a proxy between them plays the bad network."""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.remote import RemoteTarget
from deploy.retry import Patience
from deploy.ssh import SshLink
from deploy.target import StableTargetError, TransientTargetError
from tests.deploy.contracts import TargetContract

pytestmark = pytest.mark.devices

SSHD = "/usr/sbin/sshd"


class Proxy:
    """Forwards to a port, and loses each connection after ``limit`` bytes from the client; 0 is never."""

    def __init__(self, port: int, folder: Path) -> None:
        self.limit = 0
        self.folder = folder
        """Of the server's keys."""
        self._port = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                for pair in ((client, server, self.limit), (server, client, 0)):
                    threading.Thread(target=self._forward, args=pair, daemon=True).start()

    @staticmethod
    def _forward(source: socket.socket, sink: socket.socket, limit: int) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while (data := source.recv(4096)) and not (limit and passed > limit):
                sink.sendall(data)
                passed += len(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A server for this user, with keys of its own, behind a proxy; ``ssh_config`` beside its keys."""
    assert Path(SSHD).exists(), "sshd is missing; run: apt-get install openssh-server"
    folder = tmp_path_factory.mktemp("sshd")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    for name in ("host", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    shutil.copy(folder / "key.pub", folder / "authorized")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        f"PidFile {folder}/pid\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n"
    )
    process = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "config"], stderr=subprocess.DEVNULL)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            break
        time.sleep(0.1)
    proxy = Proxy(port, folder)
    yield proxy
    proxy.close()
    process.terminate()
    process.wait()


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def link(sshd: Proxy) -> Callable[..., SshLink]:
    folder = sshd.folder

    def make(key: str = "key", *, port: int | None = None, known: str = "accept-new") -> SshLink:
        options = (f"UserKnownHostsFile={folder}/known", f"StrictHostKeyChecking={known}")
        return SshLink(f"{getpass.getuser()}@127.0.0.1", port or sshd.port, folder / key, options)

    sshd.limit = 0
    return make


@pytest.fixture
def target(link: Callable[..., SshLink], tmp_path: Path, waits: list[float]) -> RemoteTarget:
    made = RemoteTarget(link(), str(tmp_path / "the board's; $(folder)"), Patience(sleep=waits.append))
    made.make_folder()
    return made


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.bin"
    path.write_bytes(os.urandom(2_000_000))
    return path


class TestSsh(TargetContract):
    pass


def emptied(folder: Path) -> bool:
    """Whether the folder becomes empty: the server notices a lost connection a moment later."""
    end = time.monotonic() + 10
    while time.monotonic() < end and list(folder.iterdir()):
        time.sleep(0.1)
    return not list(folder.iterdir())


def test_a_network_lost_in_a_push_leaves_nothing_and_a_rerun_recovers(
    target: RemoteTarget, sshd: Proxy, photo: Path, waits: list[float]
) -> None:
    sshd.limit = 300_000  # beyond the handshake, within the file

    with pytest.raises(TransientTargetError) as caught:
        target.push(photo, "model")

    assert caught.value.finished is not None
    assert caught.value.finished.exit_code == 255
    assert waits == [1, 2]
    assert emptied(Path(target.folder))

    sshd.limit = 0
    target.push(photo, "model")
    assert (Path(target.folder) / "model").read_bytes() == photo.read_bytes()


def test_a_network_lost_in_a_run_is_transient(target: RemoteTarget, sshd: Proxy, waits: list[float]) -> None:
    sshd.limit = 20_000  # the command itself is longer

    with pytest.raises(TransientTargetError, match="until the command ended"):
        target.run(["sh", "-c", "echo begun", "x" * 100_000], timeout=30)

    assert waits == [1, 2]


def test_a_board_that_does_not_know_the_key_is_a_stable_error(
    link: Callable[..., SshLink], sshd: Proxy, tmp_path: Path, waits: list[float]
) -> None:
    stranger = RemoteTarget(link("host"), str(tmp_path / "folder"), Patience(sleep=waits.append))

    with pytest.raises(StableTargetError, match="ssh-copy-id"):
        stranger.make_folder()

    unknown = RemoteTarget(link(known="yes", port=sshd.port), str(tmp_path / "f"), Patience(sleep=waits.append))
    (sshd.folder / "known").unlink(missing_ok=True)
    with pytest.raises(StableTargetError, match="accept it"):
        unknown.make_folder()

    assert not waits


def test_a_board_that_is_off_is_tried_again(link: Callable[..., SshLink], tmp_path: Path, waits: list[float]) -> None:
    with socket.socket() as taken:  # bound, and not listening
        taken.bind(("127.0.0.1", 0))
        off = RemoteTarget(link(port=taken.getsockname()[1]), str(tmp_path), Patience(sleep=waits.append))

        with pytest.raises(TransientTargetError, match="Connection refused"):
            off.run(["true"], timeout=5)

    assert waits == [1, 2]
