"""The newcomer's way, from the clone on: one command, an environment of its own, the committed files only."""

import os
import subprocess
from pathlib import Path

import pytest

from octopix.results import QuantizeRow, read_result

ROOT = Path(__file__).parents[2]
ROWS = [
    "bicubic",
    "float32",
    "float16",
    "dynamic",
    "int8-ptq-minmax",
    "int8-ptq-mse",
    "int8-ptq-mse+cle+bias+adaround",
    "int8-qat",
]


@pytest.mark.slow
@pytest.mark.timeout(1200)  # the ten minutes that it may take on two idle cores, doubled for busy ones
def test_make_quantize_alone_ends_with_the_table(tmp_path: Path) -> None:
    clone = tmp_path / "a fresh clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    ours = {"OCTOPIX_DATA", "OCTOPIX_RUNTIME", "PYTHONPATH", "VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL"}
    environment = {name: value for name, value in os.environ.items() if name not in ours}

    done = subprocess.run(["make", "quantize"], cwd=clone, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert all(f"\n{scheme} " in done.stdout for scheme in ROWS)
    rows = [row for row in read_result(clone / "reports/espcn_x4/results.json").rows if isinstance(row, QuantizeRow)]
    assert [row.scheme for row in rows] == ROWS
    assert {path.stem for path in (clone / "artifacts/espcn_x4").glob("*.tflite")} == set(ROWS) - {"bicubic"}
    page = (clone / "reports/espcn_x4/report.html").read_text()
    assert "http://" not in page
    assert 'src="plots' not in page
