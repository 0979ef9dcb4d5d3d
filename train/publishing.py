"""From the best weights of a run to the committed file of the zoo."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from octopix.errors import ConfigError
from train.equalization import equalize
from train.samples import Member
from train.validation import Validator
from train.weights import assign_weights, load_weights, save_arrays

Array = npt.NDArray[np.floating]
Arrays = dict[str, Array]

LIMIT = 8_000_000
"""Bytes of weights that are committed as float32; larger ones become float16."""

TOLERATED_LOSS = 0.005
"""What float16 may cost, dB on the validation images."""


def publish(members: Sequence[Member], best: Path) -> None:
    """Write ``best`` to the zoo's weights of the model or family, equalized, with its history.

    More than ``LIMIT`` is stored as float16, and what that costs is measured and added to the history.

    Raises:
        ModelFileError: damaged weights, or those of another architecture.
        ConfigError: float16 would cost ``TOLERATED_LOSS`` or more; nothing is written.
    """
    arrays: Arrays = {}
    for member in members:
        model = member.spec.build()
        history = load_weights(model, best)
        equalize(model)
        arrays = _merged(arrays, {weight.name: weight.numpy() for weight in model.weights})
    if sum(array.nbytes for array in arrays.values()) > LIMIT:
        arrays, loss = _halved(arrays, members)
        history = {**history, "stored": f"float16, which costs {loss:.4f} dB on the validation images"}
    save_arrays(arrays, members[0].spec.weights, history)


def _merged(first: Arrays, second: Arrays) -> Arrays:
    """Both; what siblings have in common must still be the same after each was equalized."""
    unlike = [name for name in first.keys() & second.keys() if not np.array_equal(first[name], second[name])]
    if unlike:
        raise ValueError(f"siblings whose common weights {unlike} are rescaled differently")
    return first | second


def _halved(arrays: Arrays, members: Sequence[Member]) -> tuple[Arrays, float]:
    """The arrays as float16, and what that costs in dB."""
    with np.errstate(over="ignore"):
        half: Arrays = {name: array.astype(np.float16) for name, array in arrays.items()}
    whole = all(np.isfinite(array).all() for array in half.values())
    loss = _psnr(arrays, members) - _psnr(half, members) if whole else np.inf
    if loss >= TOLERATED_LOSS:
        raise ConfigError(
            expected=f"weights of more than {LIMIT:,} bytes to lose less than {TOLERATED_LOSS} dB as float16",
            got=f"{loss:.4f} dB",
            do="keep the run's own file, or make the network smaller",
        )
    return half, loss


def _psnr(arrays: Mapping[str, Array], members: Sequence[Member]) -> float:
    """Mean over the members, as in training."""
    return float(np.mean([_member_psnr(arrays, member) for member in members]))


def _member_psnr(arrays: Mapping[str, Array], member: Member) -> float:
    spec, model = member.spec, member.spec.build()
    own = {weight.name: arrays[weight.name].astype(np.float32) for weight in model.weights}
    assign_weights(model, own, spec.name)
    return Validator(model, member.validate, scale=spec.network_scale, multiple_of=spec.multiple_of).psnr()
