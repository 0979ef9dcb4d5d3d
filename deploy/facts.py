"""What a device says of itself. One shell script asks for everything; what it does not answer is None."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from deploy.target import Runner
from octopix import __version__
from octopix.conditions import Conditions
from octopix.device_rows import DeviceState

_ASK = """
say() { printf '\\n==%s\\n' "$1"; }
say board; cat /proc/device-tree/model
say compatible; tr '\\0' '\\n' < /proc/device-tree/compatible
say cpuinfo; cat /proc/cpuinfo
say machine; uname -m
say os; uname -sr
say cores; nproc
say meminfo; cat /proc/meminfo
say governor; cat /sys/devices/system/cpu/cpufreq/policy*/scaling_governor
say frequency; cat /sys/devices/system/cpu/cpufreq/policy*/scaling_cur_freq
say frequency_max; cat /sys/devices/system/cpu/cpufreq/policy*/scaling_max_freq
say zones; cat /sys/class/thermal/thermal_zone*/temp
"""
LINUX = f"{_ASK}say throttled; vcgencmd get_throttled\ntrue\n"  # what cannot be answered is no failure
ANDROID = f"""{_ASK}
for name in ro.product.manufacturer ro.product.model ro.soc.manufacturer ro.soc.model ro.build.version.release \
  ro.build.fingerprint ro.product.cpu.abi; do say "$name"; getprop "$name"; done
say thermal; dumpsys thermalservice
say battery; dumpsys battery
true
"""
TIMEOUT_S = 60.0
_DEGREES = range(1, 151)
"""Hotter or colder is no temperature of a running chip, but another unit or no sensor."""


@dataclass(frozen=True)
class Answers:
    """Heading -> what stands below it."""

    sections: Mapping[str, str]

    def text(self, name: str) -> str | None:
        """A section without blanks around it; None where it is empty."""
        return self.sections.get(name, "").strip().strip("\0").strip() or None

    def line(self, name: str) -> str | None:
        """Its first line."""
        text = self.text(name)
        return text.splitlines()[0].strip() if text else None

    def numbers(self, name: str) -> list[float]:
        """Lines that are whole numbers."""
        return [float(line) for line in (self.text(name) or "").split() if re.fullmatch(r"-?\d+", line)]

    def field(self, name: str, key: str) -> str | None:
        """``key: value`` in a section; the first one."""
        found = re.search(rf"^\s*{re.escape(key)}\s*[:=][ \t]*(\S.*)$", self.text(name) or "", re.MULTILINE)
        return found.group(1).strip() if found else None


def ask(target: Runner, script: str) -> Answers:
    """Run one of the scripts above."""
    done = target.run(["sh", "-c", script], timeout=TIMEOUT_S)
    return parse_answers(done.stdout)


def parse_answers(text: str) -> Answers:
    """Sections by their headings."""
    parts = re.split(r"^==([\w.]+)\r?\n", text, flags=re.MULTILINE)
    return Answers(dict(zip(parts[1::2], parts[2::2], strict=True)))


def state_of(answers: Answers) -> DeviceState:
    """The condition at the moment of asking."""
    current, limits = answers.numbers("frequency"), answers.numbers("frequency_max")
    return DeviceState(
        governor=answers.line("governor"),
        frequency_mhz=max(current) / 1000 if current else None,  # sysfs holds kHz
        frequency_max_mhz=max(limits) / 1000 if limits else None,
        temperature_c=_temperature_c(answers),
        throttling=_throttling(answers),
        memory_free_mib=_mib(answers.field("meminfo", "MemAvailable")),
        battery_percent=_number(answers.field("battery", "level")),
    )


def conditions_of(answers: Answers) -> Conditions:
    """What a device is, where octopix itself does not run there."""
    cores = answers.numbers("cores")
    state = state_of(answers)
    release = answers.line("ro.build.version.release")
    return Conditions(
        cpu=_joined(answers, "ro.soc.manufacturer", "ro.soc.model") or _cpu(answers),
        board=_joined(answers, "ro.product.manufacturer", "ro.product.model") or answers.line("board"),
        machine=answers.line("machine") or answers.line("ro.product.cpu.abi") or "unknown",
        cores=int(cores[0]) if cores else 1,
        governor=state.governor,
        frequency_mhz=state.frequency_mhz,
        temperature_c=state.temperature_c,
        load=None,
        memory_mib=_mib(answers.field("meminfo", "MemTotal")),
        os=" ".join(filter(None, (f"Android {release}" if release else "", answers.line("os")))) or "unknown",
        python=None,
        octopix=__version__,
    )


def _cpu(answers: Answers) -> str | None:
    """As `octopix.conditions` finds it: the name, else the device tree's last word, else what is called hardware."""
    tree = answers.text("compatible")
    named = answers.field("cpuinfo", "model name")
    return named or (tree.splitlines()[-1] if tree else answers.field("cpuinfo", "Hardware"))


def _joined(answers: Answers, *names: str) -> str | None:
    return " ".join(filter(None, (answers.line(name) for name in names))) or None


def _temperature_c(answers: Answers) -> float | None:
    """The hottest sensor: the thermal service's current values, else the kernel's zones."""
    service = answers.text("thermal") or ""
    current = service.partition("Current temperatures from HAL:")[2].partition("Current cooling devices")[0]
    found = [float(value) for value in re.findall(r"Temperature\{mValue=(-?[\d.]+)", current)]
    # Kernels give thousandths of a degree; some vendors tenths, or whole degrees.
    zones = answers.numbers("zones")
    found = found or [zone / 1000 if abs(zone) >= 1000 else zone for zone in zones]
    return max((value for value in found if int(value) in _DEGREES), default=None)


def _throttling(answers: Answers) -> int | None:
    bits = answers.field("throttled", "throttled")
    if bits is not None and re.fullmatch(r"0x[0-9a-fA-F]+", bits):
        return int(bits, 16)
    status = answers.field("thermal", "Thermal Status")
    return int(status) if status is not None and status.isdigit() else None


def _mib(kib: str | None) -> float | None:
    number = _number(kib.removesuffix("kB").strip() if kib else None)
    return None if number is None else number / 1024


def _number(text: str | None) -> float | None:
    return float(text) if text and re.fullmatch(r"\d+(\.\d+)?", text) else None
