"""Facts of the machine a measurement was made on. A fact that cannot be read is None, never 0."""

import contextlib
import datetime
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from octopix import __version__
from octopix.latency import available_cores, load_average

_ROOT = Path("/")
_CPU0 = Path("sys/devices/system/cpu/cpu0/cpufreq")


@dataclass(frozen=True)
class Conditions:
    """Where and when a result was made."""

    cpu: str | None
    """Model name as the kernel gives it."""
    board: str | None
    """The device tree's name, e.g. ``Raspberry Pi 4 Model B Rev 1.4``."""
    machine: str
    """Instruction set: ``x86_64``, ``aarch64`` …"""
    cores: int
    """CPUs the process may run on."""
    governor: str | None
    frequency_mhz: float | None
    """Of CPU 0, at the moment of reading."""
    temperature_c: float | None
    """Hottest thermal zone."""
    load: float | None
    """Load average over the last minute."""
    memory_mib: float | None
    """All of the machine's memory."""
    os: str
    python: str | None
    """None on a phone, where programs run without it."""
    octopix: str


def read_conditions(root: Path = _ROOT) -> Conditions:
    """Read the machine's facts; ``root`` is where ``/proc`` and ``/sys`` hang."""
    return Conditions(
        cpu=_cpu_model(root),
        board=_board(root),
        machine=platform.machine(),
        cores=available_cores(),
        governor=_text(root / _CPU0 / "scaling_governor"),
        frequency_mhz=_frequency_mhz(root),
        temperature_c=_temperature_c(root),
        load=load_average(),
        memory_mib=_memory_mib(root),
        os=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        octopix=__version__,
    )


def peak_memory_mib(root: Path = _ROOT) -> float | None:
    """The most memory that this process ever held, in MiB; None where the system does not say."""
    # Linux counts getrusage's from before the program was started: a large parent would show in it.
    kib = _number((_field(root / "proc/self/status", "VmHWM") or "").removesuffix("kB"))
    if kib is not None:
        return kib / 1024
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1024**2 if sys.platform == "darwin" else 1024)  # Linux counts KiB, macOS bytes


def now() -> str:
    """This moment as ISO 8601 in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _cpu_model(root: Path) -> str | None:
    # ARM kernels have no "model name". The device tree ends with the SoC; "Hardware" is another one's on each Pi.
    tree = [word for word in (_text(root / "proc/device-tree/compatible") or "").split("\0") if word]
    named = _field(root / "proc/cpuinfo", "model name")
    return named or (tree[-1] if tree else _field(root / "proc/cpuinfo", "Hardware"))


def _board(root: Path) -> str | None:
    name = _text(root / "proc/device-tree/model")
    return name.rstrip("\0") or None if name else None


def _frequency_mhz(root: Path) -> float | None:
    scaled = _number(_text(root / _CPU0 / "scaling_cur_freq"))
    if scaled is not None:
        return scaled / 1000  # sysfs holds kHz
    return _number(_field(root / "proc/cpuinfo", "cpu MHz"))


def _temperature_c(root: Path) -> float | None:
    zones = (_number(_text(zone)) for zone in root.glob("sys/class/thermal/thermal_zone*/temp"))
    # Millidegrees; zones that read 0 or below are sensors without a value.
    readings = [zone / 1000 for zone in zones if zone is not None and zone > 0]
    return max(readings, default=None)


def _memory_mib(root: Path) -> float | None:
    kib = _number((_field(root / "proc/meminfo", "MemTotal") or "").removesuffix("kB"))
    return None if kib is None else kib / 1024


def _field(path: Path, name: str) -> str | None:
    found = re.search(rf"^{name}\s*:[ \t]*(.+)$", _text(path) or "", re.MULTILINE)
    return found.group(1).strip() if found else None


def _text(path: Path) -> str | None:
    with contextlib.suppress(OSError):
        return path.read_text(errors="replace").strip() or None
    return None


def _number(text: str | None) -> float | None:
    with contextlib.suppress(ValueError, TypeError):
        return float(text)  # type: ignore[arg-type]  # None is a TypeError, suppressed
    return None
