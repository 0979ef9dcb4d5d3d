"""``python -m train precision``: what bfloat16 gains and costs in training, measured."""

import argparse
from pathlib import Path

from octopix.files import write_json
from train.models import find_family
from train.quiet import native_noise_dropped
from train.recipe import read_recipe


def run(options: argparse.Namespace) -> list[str]:
    """Train twice, write the comparison; says what came out."""
    specs = find_family(options.model)
    name = specs[0].trained_as
    recipe = read_recipe(specs[0].recipe, model=name)
    from train.samples import Sources, members_of

    members, images = members_of(specs, recipe, Sources(options.data), tell=print)
    with native_noise_dropped():
        from train.precision import compare_precisions

        folder = options.run or Path("runs") / f"precision-{name}"
        found = compare_precisions(members, recipe, folder, steps=options.steps, images=images)
    write_json(options.out, found.to_json())
    return [
        f"{name}, {found.steps:,} steps: bfloat16 trains {found.speed_ratio:.2f} times as fast as float32, "
        f"final validation {found.psnr_difference:+.3f} dB",
        *(f"warning: {warning}" for warning in found.warnings),
        str(options.out),
    ]
