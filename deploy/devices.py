"""The kinds of device that deploy knows, their settings, and ``devices.yaml``, which lists those of a desk.

A kind is one class of settings here, which says how to open it, and one entry of ``KINDS``.
"""

import contextlib
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

import pydantic
import yaml

from deploy.adb import find_adb, open_adb
from deploy.bench import Bench
from deploy.benchmark_model import BenchmarkModelBench, install_tool
from deploy.benchmark_tool import find_tool
from deploy.board import AUTO, prepare
from deploy.local import LocalTarget, this_octopix
from deploy.octopix_bench import OctopixBench
from deploy.remote import RemoteTarget
from deploy.ssh import SshLink
from octopix.errors import ConfigError

ALL = "all"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class _Settings(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Local(_Settings):
    """This machine."""

    target: Literal["local"] = "local"
    folder: Path | None = None
    """Working folder, kept; None for a temporary one."""

    @contextlib.contextmanager
    def open(self, name: str | None) -> Iterator[Bench]:
        """Ready to measure; ``name`` is the device's in reports, None for its own."""
        with contextlib.ExitStack() as stack:
            folder = self.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="octopix-")))
            folder.mkdir(parents=True, exist_ok=True)
            target = LocalTarget(folder)
            yield OctopixBench(target, this_octopix(), name or target.name)


class RaspberryPi(_Settings):
    """A board over ssh."""

    target: Literal["raspberry_pi"] = "raspberry_pi"
    host: str
    """``[user@]host``, or an alias of the user's ssh configuration."""
    port: Annotated[int, pydantic.Field(ge=1, le=65535)] | None = None
    identity: Path | None = None
    ssh_options: tuple[str, ...] = ()
    folder: str = "octopix"
    python: str = "python3"
    packages: str = AUTO
    """As for `deploy.board.prepare`."""

    @contextlib.contextmanager
    def open(self, name: str | None) -> Iterator[Bench]:
        """See `Local.open`."""
        link = SshLink(self.host, self.port, self.identity, self.ssh_options)
        target = RemoteTarget(link, self.folder)
        target.make_folder()
        yield OctopixBench(target, prepare(target, python=self.python, packages=self.packages), name or target.name)


class Android(_Settings):
    """A phone over adb."""

    target: Literal["android"] = "android"
    serial: str | None = None
    """As `adb devices` lists it, or ``host:port``; None where only one phone is connected."""
    adb: str | None = None
    benchmark_model: Path | None = None
    """The program for the phone; None to download the classic one."""
    folder: str = "/data/local/tmp/octopix"

    @contextlib.contextmanager
    def open(self, name: str | None) -> Iterator[Bench]:
        """See `Local.open`."""
        target = RemoteTarget(open_adb(self.serial, program=find_adb(self.adb)), self.folder)
        target.make_folder()
        abi = target.run(["getprop", "ro.product.cpu.abi"], timeout=60).stdout.strip()
        tool = install_tool(target, find_tool(self.benchmark_model, abi))
        yield BenchmarkModelBench(target, tool, name or target.name)


Device = Local | RaspberryPi | Android
KINDS: Mapping[str, type[Local] | type[RaspberryPi] | type[Android]] = {
    "local": Local,
    "raspberry_pi": RaspberryPi,
    "android": Android,
}
"""Name in settings and on the command line -> kind."""


class _File(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    devices: dict[str, Annotated[Device, pydantic.Field(discriminator="target")]]


def read_devices(path: Path) -> Mapping[str, Device]:
    """Name -> settings of every device in a ``devices.yaml``.

    Raises:
        ConfigError: unreadable, no YAML, an unknown key or kind, a value that does not fit; the message says where.
    """
    try:
        devices = _File.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))).devices
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(
            expected=f"YAML in {path}", got=" ".join(str(error).split()), do="correct the file"
        ) from error
    except pydantic.ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ConfigError(
            expected=f"devices in {path}", got=wrong, do=f"correct the file; kinds are {', '.join(KINDS)}"
        ) from error
    for name in devices:
        if not _NAME.fullmatch(name) or name == ALL:
            raise ConfigError(
                expected="names of letters, digits, dots and dashes, since results are filed under them",
                got=f"{name!r} in {path}",
                do="rename the device",
            )
    return devices


def make_device(kind: str, **given: object) -> Device:
    """A device from what the command line says; None is not said.

    Raises:
        ConfigError: something is missing, or does not belong to this kind.
    """
    said = {name: value for name, value in given.items() if value is not None}
    try:
        return KINDS[kind].model_validate(said)
    except pydantic.ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ConfigError(
            expected=f"settings of a device of kind {kind}", got=wrong, do="see: python -m deploy bench --help"
        ) from error
