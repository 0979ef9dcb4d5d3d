"""A private adb server, and doubles of phones for it."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from deploy.adb import open_adb
from deploy.remote import RemoteTarget
from deploy.retry import Patience
from tests.devices.adb_device import Device, running_device


@pytest.fixture(scope="session")
def adb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The real adb client, with a server, keys and a home of its own; it looks for no other devices."""
    program = shutil.which("adb")
    assert program, "adb is missing; run: apt-get install adb"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    private = {
        "HOME": str(tmp_path_factory.mktemp("adb")),
        "ANDROID_ADB_SERVER_PORT": str(port),
        "ADB_MDNS": "0",
        "ADB_LOCAL_TRANSPORT_MAX_PORT": "5553",
    }
    before = {name: os.environ.get(name) for name in private}
    os.environ.update(private)
    subprocess.run([program, "start-server"], check=True, capture_output=True, timeout=60)
    yield program
    subprocess.run([program, "kill-server"], check=False, capture_output=True, timeout=60)
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.fixture
def make_phone(adb: str, tmp_path: Path) -> Iterator[Callable[[], Device]]:
    """Makes phones that are up, but not connected."""
    with ExitStack() as stack:
        made: list[Device] = []

        def make() -> Device:
            device = stack.enter_context(running_device(tmp_path / f"phone {len(made)}"))
            made.append(device)
            return device

        yield make
        for device in made:
            subprocess.run([adb, "disconnect", device.serial], check=False, capture_output=True, timeout=30)


@pytest.fixture
def phone(make_phone: Callable[[], Device]) -> Device:
    return make_phone()


@pytest.fixture
def waits() -> list[float]:
    """Seconds waited between attempts, instead of waiting."""
    return []


@pytest.fixture
def target(adb: str, phone: Device, waits: list[float]) -> RemoteTarget:
    """The phone's working folder."""
    made = RemoteTarget(
        open_adb(phone.serial, program=adb), str(phone.folder / "octopix"), Patience(sleep=waits.append)
    )
    made.make_folder()
    return made
