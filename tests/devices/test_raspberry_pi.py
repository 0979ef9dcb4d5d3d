"""``make bench-pi`` from end to end on an emulated board, with the wheels that a real one would run.

Nothing here looks at a time: they are the emulator's.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.board import prepare
from deploy.remote import RemoteTarget
from deploy.ssh import SshLink
from deploy.target import StableTargetError
from octopix.card import graph_sha256
from octopix.device_rows import DeviceRow
from octopix.results import read_result
from tests.devices.board import Board, running_board

pytestmark = [pytest.mark.devices, pytest.mark.timeout(1500)]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    with running_board(tmp_path_factory.mktemp("board")) as running:
        # Two threads under an emulator that has one prove no more than one does.
        nproc = running.root / "usr/local/bin/nproc"
        nproc.parent.mkdir(parents=True, exist_ok=True)
        nproc.write_text("#!/bin/sh\necho 1\n")
        nproc.chmod(0o755)
        yield running


@pytest.fixture
def ssh(board: Board, tmp_path: Path) -> Path:
    """The user's ssh, which knows the board."""
    program = tmp_path / "bin/ssh"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F "{board.config}" "$@"\n')
    program.chmod(0o755)
    return program


@pytest.fixture
def make_bench_pi(ssh: Path, artifacts: Path, tmp_path: Path) -> Callable[[], "subprocess.CompletedProcess[str]"]:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/artifacts").symlink_to(artifacts)
    args = "--packages host --size 16x16 --processes 1 --runs 2 --warmup 1 --cooldown 0"

    def run() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["make", "bench-pi", "HOST=pi@board", f"OUT={tmp_path / 'out'}", f"ARGS={args}"],
            cwd=ROOT,
            env={**os.environ, "PATH": f"{ssh.parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_make_bench_pi(
    make_bench_pi: Callable[[], "subprocess.CompletedProcess[str]"],
    board: Board,
    ssh: Path,
    artifacts: Path,
    tmp_path: Path,
) -> None:
    done = make_bench_pi()

    assert done.returncode == 0, done.stderr
    reports = tmp_path / "out/reports/espcn_x4-on-devices"
    result = read_result(reports / "board/results.json")
    rows = [row for row in result.rows if isinstance(row, DeviceRow)]
    assert [row.scheme for row in rows] == ["float32", "int8-ptq-minmax"]
    for row in rows:
        assert row.graph_sha256 == graph_sha256(artifacts / f"espcn_x4/{row.scheme}.tflite")
        # Without a Pi's /proc/cpuinfo the runtime would silently leave XNNPACK out.
        assert row.facts.delegate_got == "cpu-xnnpack"
        assert row.psnr_db is not None
        assert row.host_psnr_db is not None
        assert abs(row.psnr_db - row.host_psnr_db) <= 0.01  # what every deployment has to reach
    # The same version of the runtime and the same kernels: not one level of one pixel differs from this machine's.
    assert (rows[1].parity.state, rows[1].parity.allowed_largest) == ("identical", 0)
    assert (result.conditions.board, result.conditions.machine) == ("Raspberry Pi 4 Model B Rev 1.4", "aarch64")
    assert "int8-ptq-minmax" in done.stdout
    assert (reports / "report.html").is_file()
    assert not list(board.home.rglob(".part-*"))

    # The next deployment finds octopix there and sends nothing.
    target = RemoteTarget(SshLink("pi@board", program=str(ssh)), "octopix")
    wheel = next((board.home / "octopix/wheels").glob("octopix-*.whl"))
    sent = wheel.stat().st_mtime_ns
    assert prepare(target) == ("env/bin/python", "-m", "octopix")
    assert wheel.stat().st_mtime_ns == sent


def test_a_board_without_the_python_asked_for_is_said(ssh: Path) -> None:
    target = RemoteTarget(SshLink("pi@board", program=str(ssh)), "octopix")
    target.make_folder()

    with pytest.raises(StableTargetError, match=r"Python 3\.11 or later on board, got no python9"):
        prepare(target, python="python9")


def test_a_program_for_this_machine_does_not_run_there(ssh: Path) -> None:
    target = RemoteTarget(SshLink("pi@board", program=str(ssh)), "octopix")
    target.make_folder()
    target.push(Path("/bin/true"), "true")
    target.run(["chmod", "755", "true"], timeout=60)

    # x86-64 programs find no loader in an arm64 system, so they never start.
    with pytest.raises(StableTargetError, match=r"expected `\./true` to start on board"):
        target.run(["./true"], timeout=60)
