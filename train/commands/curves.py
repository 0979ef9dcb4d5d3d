"""``python -m train curves``: how trainings went, as a picture."""

import argparse
from pathlib import Path

from octopix.errors import ConfigError
from train.curves import draw_curves
from train.run_folder import RunFolder

RUNS = Path("runs")


def run(options: argparse.Namespace) -> list[str]:
    """Draw the histories of the given runs, or of all below ``runs/``; says what was written.

    Raises:
        ConfigError: a folder without a history, or a picture of an unknown format.
    """
    folders = options.run or sorted(path.parent for path in RUNS.glob("*/history.jsonl"))
    if not folders:
        raise ConfigError(
            expected=f"trainings below {RUNS}", got="none with a validation yet", do="name a folder with --run"
        )
    draw_curves({_name(folder): RunFolder(folder).history() for folder in folders}, options.out)
    return [str(options.out)]


def _name(folder: Path) -> str:
    return folder.resolve().name
