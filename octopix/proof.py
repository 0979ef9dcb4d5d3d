"""Does an accelerator compute what the CPU computes? Some accept a network and give something else, without a word.

Both run the same noise once. The limit tells right from wrong, not good from better: half precision and int8 networks
computed in floats stay far inside it.
"""

from typing import Any

import numpy as np

from octopix.errors import DelegateError, ModelFileError
from octopix.graph import Graph
from octopix.images import Array
from octopix.session import Session

_SEED = 0
_APART = 0.05
"""Mean difference over the output's standard deviation."""
_HALF = 2.0**-14
"""Largest difference over the largest value, between float32's rounding (2^-24, some hundred times over) and half
precision's (2^-11)."""
_INTEGERS = frozenset(("int2", "int4", "uint4", "int8", "uint8", "int16", "uint16"))


def is_float(graph: Graph) -> bool:
    """Whether all weights and values are floats."""
    return not any(tensor.dtype in _INTEGERS for tensor in graph.tensors)


def is_half_precise(session: Session, reference: Session, *, asked: str) -> bool:
    """Compare one run with the CPU's: whether the difference is half precision's; for float networks only.

    Raises:
        DelegateError: the output is another one.
    """
    inputs = [noise(shape, dtype) for shape, dtype in zip(session.input_shapes, _input_dtypes(session), strict=True)]
    expected = reference.run(inputs)
    try:
        found = session.run(inputs)
    except ModelFileError as error:
        raise DelegateError(expected=f"a network that runs on {asked}", got=error.got, do=_DO) from error
    for here, there in zip(expected, found, strict=True):
        _check(here, there, asked)
    return is_float(session.graph) and any(map(_differs, expected, found))


def noise(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Values over the whole range of integers, or in [0, 1): constant ones would meet a processor's best case."""
    generator = np.random.default_rng(_SEED)
    if dtype.kind == "f":
        return generator.random(shape, dtype=np.float32).astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    return generator.integers(limits.min, limits.max, size=shape, dtype=dtype, endpoint=True)


_DO = "choose --delegate cpu; `octopix inspect --delegate gpu` shows operators that are known for it"


def _check(expected: Array, found: Array, asked: str) -> None:
    if expected.shape != found.shape:
        raise DelegateError(expected=f"an output {expected.shape} on {asked}", got=f"{found.shape}", do=_DO)
    if not expected.size or expected.dtype.kind == "b":
        return
    apart = float(np.abs(np.subtract(found, expected, dtype=np.float64)).mean())
    deviation = float(np.std(expected, dtype=np.float64))
    # One level for integers, and for constant outputs a share of the value.
    least = 1.0 if expected.dtype.kind in "iu" else 1e-3 * float(np.abs(expected).max())
    if not apart <= max(_APART * deviation, least):  # NaN is not
        raise DelegateError(
            expected=f"the CPU's output on {asked}",
            got=f"a wrong one (mean difference {apart:.3g}, standard deviation {deviation:.3g})",
            do=_DO,
        )


def _differs(expected: Array, found: Array) -> bool:
    if expected.dtype.kind != "f" or not expected.size:
        return False
    return bool(np.abs(found - expected).max() > _HALF * np.abs(expected).max())


def _input_dtypes(session: Session) -> list[np.dtype[Any]]:
    return [np.dtype(session.graph.tensors[index].dtype) for index in session.graph.inputs]
