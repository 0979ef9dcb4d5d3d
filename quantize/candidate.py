"""What an int8 model is made of: a float model, ranges, and constants that were chosen for integers."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy.typing as npt

from octopix.graph import read_graph
from quantize.calibrators import Range
from quantize.filters import Filter, filters, with_constants
from quantize.ranges import to_int8

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Candidate:
    """All that an int8 model is made of."""

    float_model: bytes
    """From `quantize.filters.separated`; computes what the user's model computes (but see `quantize.mean_shift`)."""
    ranges: Mapping[int, Range]
    constants: Mapping[int, Array] = field(default_factory=dict)
    """By tensor number: what takes the place of the float model's weights and biases in the int8 model."""
    factors: Mapping[int, Array] = field(default_factory=dict)
    """By tensor number: what equalization has multiplied the float model's channels by. In all else, the float model
    computes what the uncorrected candidate's does: layers' views are gathered there alone."""

    @cached_property
    def int8(self) -> bytes:
        """The full-integer model."""
        return to_int8(with_constants(self.float_model, self.constants), self.ranges)

    def changed(self, constants: Mapping[int, Array]) -> "Candidate":
        """With further constants replaced."""
        return dataclasses.replace(self, constants={**self.constants, **constants})

    @cached_property
    def filters(self) -> tuple[Filter, ...]:
        """Those of the float model, as equalization left them."""
        return filters(read_graph(self.float_model))
