"""Options that several commands of `quantize` share, and what they name: images, a model of the zoo or the user's."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from octopix.errors import ConfigError

if TYPE_CHECKING:
    from quantize.given import Given
    from quantize.workbench import Subject
    from train.data.sources import DataHome

ALL = "all"
"""In place of a model's name: every model whose weights are there."""


def common_options() -> argparse.ArgumentParser:
    """``--model`` and ``--data``, as a parent of parsers."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--model",
        default="espcn_x4",
        help="name in the zoo, `all`, or a float .tflite, .keras file or SavedModel of yours (default: %(default)s)",
    )
    common.add_argument(
        "--data", type=Path, help="folder of images (default: $OCTOPIX_DATA, else built-in photographs)"
    )
    return common


def add_float_model(parser: argparse.ArgumentParser) -> None:
    """What belongs to a model: other weights for one of the zoo, images and values for one of the user's."""
    parser.add_argument("--calibration", type=Path, help="for a model file: folder of pictures like those it will get")
    parser.add_argument("--reference", type=Path, help="their ground truth: a folder with the same names")
    parser.add_argument(
        "--value-range",
        metavar="RANGE",
        help="for a model file: 0..1, -1..1, 0..255 or IN:OUT (default: what its ends state)",
    )
    parser.add_argument("--weights", type=Path, help="float weights (default: those of the zoo), e.g. imported ones")


def place(options: argparse.Namespace) -> "DataHome":
    """Where images come from; refuses an unknown model too, both before TensorFlow's seconds of import."""
    from train.data.sources import locate
    from train.models import find_model

    given = given_by(options)
    if given is not None:
        from quantize.given import check_given

        check_given(given)
    elif options.model != ALL:
        find_model(options.model)
    return locate(options.data)


def given_by(options: argparse.Namespace) -> "Given | None":
    """The user's model and images; None for the zoo's."""
    from quantize.given import Given, is_given
    from quantize.value_range import parse_value_range

    extras = ("calibration", "reference", "value_range")
    if options.model != ALL and is_given(options.model):
        if getattr(options, "weights", None) is not None:
            raise ConfigError(expected="a model of the zoo with --weights", got=options.model, do="leave one out")
        calibration, reference, values = (getattr(options, extra, None) for extra in extras)
        span = None if values is None else parse_value_range(values)
        return Given(Path(options.model), calibration, reference, span)
    for extra in extras:
        if getattr(options, extra, None) is not None:
            raise ConfigError(
                expected=f"a model file with --{extra.replace('_', '-')}",
                got=options.model,
                do="give the images of a model of the zoo as DATA=",
            )
    return None


def subject_of(model: str, home: "DataHome", options: argparse.Namespace) -> "Subject":
    """The zoo's model, or the user's."""
    given = given_by(options)
    if given is None:
        from quantize.workbench import load_subject

        return load_subject(model, options.weights)
    from quantize.foreign import load_given

    return load_given(given, home, quick=options.quick)


def introduction(subject: "Subject", options: argparse.Namespace) -> tuple[str, ...]:
    """A line that says what was found out about a model of the user's; none about the zoo's, or where JSON is asked."""
    if given_by(options) is None or options.json:
        return ()
    spec = subject.spec
    return (f"{spec.name}: {spec.task} ×{spec.scale}, {spec.channels}; {subject.training}",)
