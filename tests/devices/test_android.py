"""A phone from end to end: the real adb, a double of its daemon, and a stand-in for both benchmark_model programs."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.__main__ import main
from octopix.device_rows import DeviceRow
from octopix.results import Result, read_result
from tests.devices.adb_device import Device

pytestmark = pytest.mark.devices

STAND_IN = Path(__file__).parent / "stand_in_benchmark_model.py"
STATE = Path(__file__).parents[1] / "deploy/logs/android-state.txt"

Bench = Callable[..., int]


def install(path: Path, flavour: str) -> Path:
    text = STAND_IN.read_text().replace('FLAVOUR = "classic"', f'FLAVOUR = "{flavour}"')
    path.write_text(f"#!{sys.executable}\n{text}")
    return path


@pytest.fixture(params=["classic", "litert"])
def flavour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def knobs(phone: Device) -> Callable[..., None]:
    """Says how the tool on the phone behaves."""

    def write(**values: object) -> None:
        (phone.folder / "octopix").mkdir(exist_ok=True)
        (phone.folder / "octopix/knobs.json").write_text(json.dumps(values))

    return write


@pytest.fixture
def bench(adb: str, phone: Device, artifacts: Path, tmp_path: Path) -> Bench:
    """``python -m deploy bench`` on a phone of one core, with a tool of the given flavour."""
    sections = dict(part.split("\n", 1) for part in STATE.read_text().split("\n==")[1:])
    properties = "".join(f'{name}) echo "{text.strip()}";;\n' for name, text in sections.items() if name[:3] == "ro.")
    phone.program("getprop", f'#!/bin/sh\ncase "$1" in\n{properties}esac\n')
    phone.program("nproc", "#!/bin/sh\necho 1\n")
    phone.program("dumpsys", f"#!/bin/sh\n[ $1 != thermalservice ] || cat <<'END'\n{sections['thermal']}\nEND\n")

    def run(flavour: str, *words: str) -> int:
        tool = install(tmp_path / f"a tool; of $(flavour) {flavour}", flavour)
        return main(
            [
                *("bench", "--target", "android", "--serial", phone.serial, "--adb", adb, "--name", "phone"),
                *("--model", "espcn_x4", "--artifacts", str(artifacts), "--out", str(tmp_path / "out")),
                *("--folder", str(phone.folder / "octopix"), "--benchmark-model", str(tool), "--cooldown", "0"),
                *("--size", "24x32", "--processes", "1", "--runs", "3", "--warmup", "1"),
                *words,
            ]
        )

    return run


@pytest.fixture
def result(tmp_path: Path) -> Callable[[], Result]:
    return lambda: read_result(tmp_path / "out/phone/results.json")


def rows_of(result: Result) -> list[DeviceRow]:
    return [row for row in result.rows if isinstance(row, DeviceRow)]


def test_make_bench_android(
    bench: Bench, flavour: str, knobs: Callable[..., None], result: Callable[[], Result], phone: Device
) -> None:
    knobs(gpu="completely")

    assert bench(flavour) == 0

    rows = rows_of(result())
    assert [(row.scheme, row.facts.delegate_got) for row in rows] == [
        ("float32", "cpu-xnnpack"),
        ("int8-ptq-minmax", "cpu-xnnpack"),
        ("float32", "gpu"),
        ("int8-ptq-minmax", "gpu"),
    ]
    for row in rows:
        assert row.tool == f"benchmark_model ({flavour}), native shell"
        assert (row.shape, row.processes[0].runs, row.processes[0].warmup) == ((1, 24, 32, 1), 3, 1)
        assert row.median_ms
        assert row.init_ms
        assert row.peak_memory_mib == 35.25  # what the stand-in says when it is asked to watch
        assert (row.after.throttling, row.after.temperature_c) == (0, 44.2)
        if flavour == "classic":
            # The same runtime computes on both sides here, though the phone's version is not known.
            assert (row.parity.state, row.parity.allowed_largest) == ("identical", 5)
            assert row.psnr_db == row.host_psnr_db
        else:
            assert (row.parity.state, row.psnr_db) == ("unchecked", None)
    assert result().conditions.board == "Google Pixel 8"
    there = {path.suffix for path in (phone.folder / "octopix").iterdir()}
    assert there == {".tflite", ".json", ""}  # models, the knobs, the tool; no inputs, outputs or results


@pytest.mark.parametrize(
    ("gpu", "says"), [("fail", "Failed to apply GPU delegate."), ("not", "gpu, not applied"), ("partially", None)]
)
def test_a_gpu_that_is_not_got_is_said(
    bench: Bench, knobs: Callable[..., None], result: Callable[[], Result], gpu: str, says: str | None
) -> None:
    knobs(gpu=gpu)

    assert bench("classic", "--schemes", "int8") == 0

    got = [row.facts.delegate_got for row in rows_of(result())]
    assert got == (["cpu-xnnpack"] if says else ["cpu-xnnpack", "gpu-partly"])
    assert [says in note for note in result().notes] if says else not result().notes


def test_an_older_tool_is_read_by_its_text(
    bench: Bench, knobs: Callable[..., None], result: Callable[[], Result]
) -> None:
    knobs(lacks=["result_file_path", "warmup_min_secs", "report_peak_memory_footprint"])

    assert bench("classic", "--schemes", "int8") == 0

    (row,) = rows_of(result())
    assert row.processes[0].mean_ms
    assert row.peak_memory_mib is None


def test_a_tool_that_ignores_a_flag_is_refused(
    bench: Bench, knobs: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    knobs(lacks=["use_xnnpack"])

    assert bench("classic") == 2
    assert "one that ignores --use_xnnpack=true" in capsys.readouterr().err


def test_a_tool_that_computes_something_else_gives_no_number(
    bench: Bench, knobs: Callable[..., None], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    knobs(garble=True)

    assert bench("classic") == 2
    assert "no number is reported" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_tool_that_hangs_is_ended(
    bench: Bench, knobs: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    knobs(hang=50)

    assert bench("classic", "--timeout", "1") == 2
    assert "to end within 1 s" in capsys.readouterr().err


def test_a_program_that_is_no_tool_is_refused(
    bench: Bench, adb: str, phone: Device, artifacts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = tmp_path / "foreign"
    foreign.write_bytes(b"\x7fELF\2\1\1" + bytes(9) + b"\2\0\xb7\0" + bytes(100))

    assert bench("classic", "--benchmark-model", str(foreign)) == 2
    assert "a program for another kind of processor" in capsys.readouterr().err

    foreign.write_text("#!/bin/sh\necho hello\n")
    assert bench("classic", "--benchmark-model", str(foreign)) == 2
    assert "to be a benchmark_model that runs on 127" in capsys.readouterr().err


def test_a_cable_pulled_while_it_measures_is_survived(
    bench: Bench, result: Callable[[], Result], phone: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone.faults.cut_pushes = 1
    phone.faults.cut_shells = ["--num_runs=3"]

    assert bench("classic", "--schemes", "int8") == 0

    assert rows_of(result())[0].parity.state == "identical"
