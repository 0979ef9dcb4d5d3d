"""What a training learns from: pictures in memory, chosen and checked before TensorFlow takes its seconds to start."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from octopix.errors import ConfigError
from octopix.images import Array
from octopix.resize import bicubic
from train.data.damage import usable
from train.data.degradations import Pair, PairRef, PairSet, degraded
from train.data.pairs import all_pairs, pairs_for
from train.data.patches import PatchSampler
from train.data.sources import ImageSet, Purpose, digest, images_for, locate
from train.data.yuv import FrameSize
from train.models.spec import ModelSpec
from train.recipe import Recipe

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Member:
    """One network of a training, and what it learns from."""

    spec: ModelSpec
    train: Sequence[Pair]
    """``(network input, ground truth)``, uint8."""
    validate: Sequence[Pair]
    """Pairs on which the best weights are chosen."""


@dataclass(frozen=True)
class Sources:
    """Where a user says that the pictures are."""

    data: Path | None = None
    """Ground truth, which the model's own degradation makes worse; None is the default of `locate`."""
    pairs: tuple[Path, ...] = ()
    """In its place, pairs as `train.data.pairs` reads them: a folder, or two raw videos."""
    validate_pairs: tuple[Path, ...] = ()
    """Pairs for validation; without them, a quarter of ``pairs`` trains and another validates."""
    frame_size: FrameSize | None = None
    """Of the raw videos; None reads it from their names."""
    skip_damaged: bool = False
    """Leave out what cannot be used, and say so, where the first such picture would end the work."""


def members_of(specs: Sequence[ModelSpec], recipe: Recipe, sources: Sources, *, tell: Tell) -> tuple[list[Member], str]:
    """The networks with their pictures in memory, and what these pictures are: titles and digests.

    Args:
        specs: one model, or a family.
        recipe: how they will be trained.
        sources: where the pictures are.
        tell: gets a line for each picture that is left out.

    Raises:
        ConfigError: sources that exclude each other.
        DataError: a place without pictures or with too few; none that holds a patch of the recipe.
        ImageError: a picture cannot be used, or twins differ in size; the message names it.
    """
    _check(specs, sources)
    parts: Sequence[ImageSet | PairSet]
    if sources.pairs:
        train, validate = parts = _pair_sets(specs[0], sources, tell)
        members = [Member(specs[0], read_pairs(specs[0], train), read_pairs(specs[0], validate))]
    else:
        parts = images = _image_sets(specs, sources, tell)
        members = [Member(spec, *(read_pairs(spec, pairs_of(spec, part)) for part in images)) for spec in specs]
    for member in members:
        _check_patches(member, recipe)
    return members, "; ".join(f"{part.title}, {digest(ref.name for ref in part.refs)}" for part in parts)


def pairs_of(spec: ModelSpec, images: ImageSet) -> PairSet:
    """The images with what the model is to restore them from, in its channels."""
    return degraded(images, spec.degradation, scale=spec.scale, channels=spec.channels)


def read_pairs(spec: ModelSpec, pairs: PairSet) -> list[Pair]:
    """All pairs as the network meets them, ``(network input, ground truth)``, held in memory.

    Raises:
        ImageError: a picture is damaged, or smaller than the scale; the message names it.
    """
    read = (ref.read() for ref in pairs.refs)
    return [(network_input(spec, given), truth) for given, truth in read]


def network_input(spec: ModelSpec, picture: Array) -> Array:
    """What the network sees of a picture to restore: enlarged bicubically where the model says so."""
    return bicubic(picture, scale=spec.scale) if spec.enlarged else picture


def _check(specs: Sequence[ModelSpec], sources: Sources) -> None:
    if sources.pairs and sources.data:
        raise ConfigError(expected="--data or --pairs", got="both", do="leave one out")
    if not sources.pairs and (sources.validate_pairs or sources.frame_size):
        raise ConfigError(
            expected="--pairs with --validate-pairs and --frame-size", got="none", do="say what to train on"
        )
    if set(map(Path.resolve, sources.pairs)) & set(map(Path.resolve, sources.validate_pairs)):
        raise ConfigError(
            expected="other pairs for --validate-pairs than for --pairs",
            got="the same",
            do="leave --validate-pairs out: a quarter of the pairs is held back for it",
        )
    if sources.pairs and len(specs) > 1:
        raise ConfigError(
            expected="a model of one scale for --pairs",
            got=", ".join(spec.name for spec in specs),
            do="train those with --data",
        )


def _image_sets(specs: Sequence[ModelSpec], sources: Sources, tell: Tell) -> tuple[ImageSet, ImageSet]:
    home = locate(sources.data)

    def part(purpose: Purpose) -> ImageSet:
        images = images_for(home, purpose, lists=specs[0].lists)
        return _usable_images(images, specs, tell) if sources.skip_damaged else images

    return part("train"), part("validate")


def _usable_images(images: ImageSet, specs: Sequence[ModelSpec], tell: Tell) -> ImageSet:
    """Those that every network can learn from, each tried alone: in a video stream one would spoil all."""

    def alone(ref_number: int, spec: ModelSpec) -> PairRef:
        one = dataclasses.replace(images, refs=(images.refs[ref_number],))
        return pairs_of(spec, one).refs[0]

    for spec in specs:
        left = usable([alone(number, spec) for number in range(len(images))], tell=tell)
        names = {ref.name for ref in left}
        images = dataclasses.replace(images, refs=tuple(ref for ref in images.refs if ref.name in names))
    return images


def _pair_sets(spec: ModelSpec, sources: Sources, tell: Tell) -> tuple[PairSet, PairSet]:
    def part(purpose: Purpose) -> PairSet:
        if not sources.validate_pairs:
            return pairs_for(sources.pairs, purpose, scale=spec.scale, channels=spec.channels, size=sources.frame_size)
        chosen = sources.pairs if purpose == "train" else sources.validate_pairs
        return all_pairs(chosen, scale=spec.scale, channels=spec.channels, size=sources.frame_size)

    train, validate = part("train"), part("validate")
    return (_usable_pairs(train, tell), _usable_pairs(validate, tell)) if sources.skip_damaged else (train, validate)


def _usable_pairs(pairs: PairSet, tell: Tell) -> PairSet:
    return dataclasses.replace(pairs, refs=usable(pairs.refs, tell=tell))


def _check_patches(member: Member, recipe: Recipe) -> None:
    """Before a run's folder is made: raises DataError where no picture holds a patch of a stage."""
    for stage in recipe.stages:
        PatchSampler(member.train, member.spec.network_scale, stage.patch, stage.batch, recipe.seed)
