"""``python -m train import``: from published weights to the zoo's form."""

import argparse

from train.models import find_family
from train.quiet import native_noise_dropped


def run(options: argparse.Namespace) -> list[str]:
    """Convert; says what was written."""
    specs = find_family(options.model)
    with native_noise_dropped():
        from train.importing import import_checkpoint

        values = import_checkpoint(options.checkpoint, specs, options.out)
    return [f"{options.out}: {values:,} values of {options.checkpoint.name}"]
