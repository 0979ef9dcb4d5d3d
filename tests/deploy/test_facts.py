"""What devices say of themselves."""

from pathlib import Path

from deploy.facts import LINUX, Answers, ask, conditions_of, parse_answers, state_of
from deploy.local import LocalTarget
from octopix.conditions import read_conditions
from octopix.device_rows import DeviceState

LOGS = Path(__file__).parent / "logs"


def answers(name: str) -> Answers:
    return parse_answers((LOGS / f"{name}.txt").read_text())


def test_a_phone() -> None:
    found = conditions_of(answers("android-state"))

    assert (found.cpu, found.board, found.machine, found.cores) == ("Google Tensor G3", "Google Pixel 8", "aarch64", 9)
    assert found.os.startswith("Android 14 Linux 5.10.198")
    assert found.python is None
    assert found.memory_mib == 11870880 / 1024

    # The hottest sensor of now: neither the cached 88.8 nor the one without a value.
    assert state_of(answers("android-state")) == DeviceState(
        governor="sched_pixel",
        frequency_mhz=1098.0,
        frequency_max_mhz=2914.0,
        temperature_c=44.2,
        throttling=0,
        memory_free_mib=6144.0,
        battery_percent=87.0,
    )


def test_a_raspberry_pi() -> None:
    found = conditions_of(answers("pi-state"))

    assert (found.board, found.cpu, found.cores) == ("Raspberry Pi 4 Model B Rev 1.4", "brcm,bcm2711", 4)
    state = state_of(answers("pi-state"))
    assert (state.governor, state.frequency_mhz, state.frequency_max_mhz) == ("ondemand", 1500.0, 1800.0)
    assert (state.temperature_c, state.throttling) == (61.345, 0x50000)


def test_what_is_not_answered_is_none() -> None:
    nothing = parse_answers("".join(f"\n=={name}\n" for name in ("board", "cpuinfo", "governor", "zones", "battery")))

    assert state_of(nothing) == DeviceState()
    assert conditions_of(nothing).memory_mib is None


def test_this_machine_answers_as_octopix_reads_it(tmp_path: Path) -> None:
    found, known = conditions_of(ask(LocalTarget(tmp_path), LINUX)), read_conditions()

    assert (found.machine, found.cpu, found.memory_mib) == (known.machine, known.cpu, known.memory_mib)
    assert found.cores == known.cores
