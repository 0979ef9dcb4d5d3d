"""Random training patches: the same seed and step give the same batch, so a killed run resumes exactly."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from octopix.errors import DataError
from octopix.images import Array


@dataclass(frozen=True)
class PatchSampler:
    """Draws batches of aligned LR/HR patches from images held in memory.

    Args:
        pairs: ``(lr, hr)`` uint8 (h, w, C) and (h·scale, w·scale, C).
        scale: size of HR over LR.
        patch: side of an LR patch in pixels.
        batch: patches per batch.
        seed: with the step's number, all the randomness there is.
    """

    pairs: Sequence[tuple[Array, Array]]
    scale: int
    patch: int
    batch: int
    seed: int

    def __post_init__(self) -> None:
        """Raises DataError where no image holds a patch."""
        if not self.usable:
            raise DataError(
                expected=f"training images of at least {self.patch * self.scale} pixels a side",
                got=f"{len(self.pairs)} images, none of that size",
                do="add larger images, or make `patch` of the recipe smaller",
            )

    @cached_property
    def usable(self) -> Sequence[tuple[Array, Array]]:
        """The images that hold at least one patch; smaller ones are never drawn."""
        return [pair for pair in self.pairs if min(pair[0].shape[:2]) >= self.patch]

    def draw(self, step: int) -> tuple[Array, Array]:
        """Batch number ``step``: uint8 (batch, patch, patch, C) and its HR twin.

        Images are chosen in proportion to their area; each patch is turned and mirrored at random.
        """
        random = np.random.default_rng([self.seed, step])
        chosen = random.choice(len(self.usable), size=self.batch, p=self._shares)
        patches = [self._cut(self.usable[index], random) for index in chosen]
        return np.stack([lr for lr, _ in patches]), np.stack([hr for _, hr in patches])

    @cached_property
    def _shares(self) -> Array:
        areas = np.array([lr.shape[0] * lr.shape[1] for lr, _ in self.usable], dtype=np.float64)
        return np.asarray(areas / areas.sum())

    def _cut(self, pair: tuple[Array, Array], random: np.random.Generator) -> tuple[Array, Array]:
        lr, hr = pair
        top = int(random.integers(lr.shape[0] - self.patch + 1))
        left = int(random.integers(lr.shape[1] - self.patch + 1))
        turns, mirror = int(random.integers(4)), bool(random.integers(2))
        small = lr[top : top + self.patch, left : left + self.patch]
        side = self.patch * self.scale
        large = hr[top * self.scale :, left * self.scale :][:side, :side]
        return _turned(small, turns, mirror), _turned(large, turns, mirror)


def _turned(patch: Array, turns: int, mirror: bool) -> Array:
    turned = np.rot90(patch, turns)
    return turned[:, ::-1] if mirror else turned
