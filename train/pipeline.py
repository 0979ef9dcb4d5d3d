"""tf.data over `train.data`: patches drawn and turned while the last batch trains."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from octopix.images import Array
from train.data.patches import PatchSampler
from train.data.sources import ImageSet
from train.models.spec import ModelSpec
from train.recipe import Recipe, Stage
from train.samples import pairs_of, read_pairs

Pairs = Sequence[tuple[Array, Array]]


def load_pictures(spec: ModelSpec, images: ImageSet) -> list[tuple[Array, Array]]:
    """Every image of the set as (picture to restore, ground truth), uint8 in the model's channels, held in memory.

    Raises:
        ImageError: an image is damaged, or smaller than the scale; the message names it.
    """
    return [ref.read() for ref in pairs_of(spec, images).refs]


def load_pairs(spec: ModelSpec, images: ImageSet) -> list[tuple[Array, Array]]:
    """`load_pictures` as the network itself meets them: (network input, ground truth)."""
    return read_pairs(spec, pairs_of(spec, images))


def batches(pairs: Pairs, *, spec: ModelSpec, recipe: Recipe, stage: Stage, steps: range) -> tf.data.Dataset:
    """Batches number ``steps`` of the whole training, (LR, HR) float32 in [0, 1].

    Batch number n depends on the recipe's seed and n alone, so the order survives a restart.
    """
    sampler = PatchSampler(pairs, spec.network_scale, stage.patch, stage.batch, recipe.seed)
    small = (stage.batch, stage.patch, stage.patch, spec.depth)
    large = (stage.batch, stage.patch * spec.network_scale, stage.patch * spec.network_scale, spec.depth)

    def draw(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        lr, hr = tf.numpy_function(lambda s: sampler.draw(int(s)), [step], (tf.uint8, tf.uint8))
        return _unit(lr, small), _unit(hr, large)

    numbers = tf.data.Dataset.range(steps.start, steps.stop, steps.step)
    return numbers.map(draw, num_parallel_calls=2, deterministic=True).prefetch(8)


def _unit(batch: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    return tf.ensure_shape(tf.cast(batch, tf.float32) / np.float32(255), shape)
