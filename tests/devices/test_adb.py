"""A phone through the real adb client and server, with a double of the phone's daemon."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.adb import open_adb
from deploy.remote import RemoteTarget
from deploy.target import StableTargetError, TransientTargetError
from octopix.errors import ConfigError
from tests.deploy.contracts import TargetContract
from tests.devices.adb_device import Device

pytestmark = pytest.mark.devices


class TestAdb(TargetContract):
    pass


class TestAdbWithoutShellV2(TargetContract):
    """Phones before Android 7: no exit codes, and stderr merged into stdout."""

    @pytest.fixture(autouse=True)
    def _old(self, phone: Device) -> None:
        phone.faults.features = "cmd"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.bin"
    path.write_bytes(bytes(range(256)) * 2000)
    return path


def left(phone: Device) -> list[str]:
    return sorted(path.name for path in (phone.folder / "octopix").iterdir())


def test_a_cable_pulled_in_a_push_leaves_nothing_and_a_rerun_recovers(
    target: RemoteTarget, phone: Device, photo: Path, waits: list[float]
) -> None:
    phone.faults.cut_pushes = 99

    with pytest.raises(TransientTargetError) as caught:
        target.push(photo, "model")

    assert caught.value.finished is not None
    assert caught.value.finished.exit_code != 0
    assert left(phone) == []
    assert waits == [1, 2]

    phone.faults.cut_pushes = 0
    target.link.reconnect()
    target.push(photo, "model")
    assert (phone.folder / "octopix/model").read_bytes() == photo.read_bytes()


def test_a_cable_pulled_once_is_plugged_in_again(target: RemoteTarget, phone: Device, photo: Path) -> None:
    phone.faults.cut_pushes = 1

    target.push(photo, "model")

    assert (phone.folder / "octopix/model").read_bytes() == photo.read_bytes()


def test_a_cable_pulled_in_a_pull_leaves_what_was_here(
    target: RemoteTarget, phone: Device, photo: Path, tmp_path: Path
) -> None:
    target.push(photo, "result")
    back = tmp_path / "results/back"
    back.parent.mkdir()
    back.write_text("of yesterday")
    phone.faults.cut_pulls = 99

    with pytest.raises(TransientTargetError):
        target.pull("result", back)

    assert [path.name for path in back.parent.iterdir()] == ["back"]
    assert back.read_text() == "of yesterday"


def test_a_cable_pulled_in_a_run_is_transient_and_tried_again(
    target: RemoteTarget, phone: Device, waits: list[float]
) -> None:
    phone.faults.cut_shells = ["once"]

    assert target.run(["sh", "-c", "echo once; sleep 1"], timeout=30).stdout == "once\n"

    assert waits == [1]

    phone.faults.cut_shells = ["always"] * 3
    with pytest.raises(TransientTargetError):
        target.run(["sh", "-c", "echo always; sleep 5; echo always"], timeout=30)


def test_what_arrives_changed_is_pushed_again(target: RemoteTarget, phone: Device, photo: Path) -> None:
    phone.faults.changed_pushes = 1
    target.push(photo, "model")
    assert (phone.folder / "octopix/model").read_bytes() == photo.read_bytes()

    phone.faults.changed_pushes = 99
    with pytest.raises(TransientTargetError, match="SHA-256"):
        target.push(photo, "other")
    assert left(phone) == ["model"]


def test_a_full_phone_is_said_and_not_tried_again(
    target: RemoteTarget, phone: Device, photo: Path, waits: list[float]
) -> None:
    phone.faults.full = True

    with pytest.raises(StableTargetError, match="expected room for model on 127"):
        target.push(photo, "model")

    assert left(phone) == []
    assert not waits


def test_a_program_for_another_processor_is_named_as_such(target: RemoteTarget, phone: Device) -> None:
    foreign = phone.folder / "octopix/tool"
    foreign.write_bytes(b"\x7fELF\2\1\1" + bytes(9) + b"\2\0\xb7\0" + bytes(100))  # an aarch64 ELF that holds nothing
    foreign.chmod(0o755)

    with pytest.raises(StableTargetError, match="another kind of processor"):
        target.run(["./tool"], timeout=30)


def test_a_missing_phone_is_a_stable_error(adb: str) -> None:
    with pytest.raises(StableTargetError, match="check the cable"):
        open_adb("0A1B2C3D", program=adb)
    with pytest.raises(StableTargetError, match="check the cable"):
        open_adb("127.0.0.1:1", program=adb)


def test_an_unauthorized_phone_is_said(adb: str, phone: Device) -> None:
    phone.faults.unauthorized = True

    with pytest.raises(StableTargetError, match="accept the dialog"):
        open_adb(phone.serial, program=adb)


def test_an_offline_phone_may_come_back(adb: str, phone: Device) -> None:
    phone.faults.silent = True

    with pytest.raises((TransientTargetError, StableTargetError), match="phone that"):
        open_adb(phone.serial, program=adb)

    phone.faults.silent = False
    assert open_adb(phone.serial, program=adb).state().stdout == "device\n"


def test_two_phones_need_a_serial_number(adb: str, make_phone: Callable[[], Device]) -> None:
    with pytest.raises(StableTargetError, match="no phone"):
        open_adb(None, program=adb)

    first, second = make_phone(), make_phone()
    subprocess.run([adb, "connect", first.serial], check=True, capture_output=True)
    assert open_adb(None, program=adb).serial == first.serial

    subprocess.run([adb, "connect", second.serial], check=True, capture_output=True)
    with pytest.raises(StableTargetError, match="give SERIAL=") as caught:
        open_adb(None, program=adb)
    assert first.serial in str(caught.value)
    assert second.serial in str(caught.value)
    assert open_adb(second.serial, program=adb).serial == second.serial


@pytest.mark.parametrize("serial", ["$(touch injected)", "a b", "x;y", "", "ü", "a'b"])
def test_a_serial_number_that_a_shell_might_read_is_refused(adb: str, serial: str) -> None:
    with pytest.raises(ConfigError, match="SERIAL"):
        open_adb(serial, program=adb)
