"""``python -m train --list``: what the zoo holds."""

import argparse
import json
from typing import Any

from train.models import MODELS
from train.models.spec import ModelSpec


def run(options: argparse.Namespace) -> list[str]:
    """One line a model, or JSON."""
    rows = [_row(spec) for spec in MODELS.values()]
    if options.json:
        return [json.dumps(rows, indent=2)]
    return [f"{row['name']:<16} {row['parameters']:>10,} parameters   {_state(row)}" for row in rows]


def _row(spec: ModelSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "title": spec.title,
        "task": spec.task,
        "scale": spec.scale,
        "channels": spec.channels,
        "parameters": spec.parameters,
        "recipe": f"train/recipes/{spec.recipe.name}",
        "weights": f"train/weights/{spec.weights.name}" if spec.weights.exists() else None,
    }


def _state(row: dict[str, Any]) -> str:
    return row["weights"] or f"untrained: make train MODEL={row['name']}"
