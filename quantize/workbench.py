"""The float model on the bench, with all that the methods of quantization share: exported once, calibrated once."""

import dataclasses
import hashlib
import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import tf_keras

import octopix
from octopix.card import Calibration, Fidelity, ModelCard, Quality
from octopix.complexity import complexity
from octopix.conditions import now
from octopix.errors import ConfigError, DataError, ModelFileError
from octopix.graph import read_graph
from octopix.images import Array, to_unit
from octopix.margins import round_up
from octopix.receptive import geometry
from quantize.calibration_set import CalibrationSet, calibration_set
from quantize.calibrators import CALIBRATORS, Range
from quantize.candidate import Candidate
from quantize.corrections import Corrected, Corrector, Judge, correct
from quantize.embed import embed_card
from quantize.export import to_dynamic, to_float16, to_float32
from quantize.filters import separated
from quantize.own_images import Faithfulness, OwnImages
from quantize.progress import Watch
from quantize.ranges import calibrate, calibrated_tensors, complete
from quantize.schemes import Kind, Scheme, parse_scheme
from quantize.statistics import TensorStatistics, collect
from quantize.validation import Validation, validation_on
from train.data.patches import PatchSampler
from train.data.sources import DataHome, ImageSet, Purpose, images_for
from train.models import find_model
from train.models.spec import ModelSpec
from train.pipeline import load_pairs
from train.weights import describe_training, load_weights, weights_sha256

QUICK_IMAGES = 4
QUICK_NOTE = "made with --quick"
QAT_PATCH, QAT_SEED = 48, 20261121
QAT_BATCHES = (4, 16)
"""Least and most patches of a step."""
QAT_STEP_MACS = 2e9
"""Multiply-accumulates of the network on a step's patches, where that leaves the least: small networks see more."""
PACKAGES = ("tensorflow", "tf-keras", "ai-edge-litert")

EXPORTS: Mapping[Kind, Callable[[tf_keras.Model], bytes]] = {
    "float32": to_float32,
    "float16": to_float16,
    "dynamic": to_dynamic,
}
"""Float forms of a Keras model."""


@dataclass(frozen=True)
class Subject:
    """A float model and where it comes from."""

    spec: ModelSpec
    model: tf_keras.Model | None
    """None where there is no Keras 2 graph of it."""
    weights_sha256: str | None = None
    training: str | None = None
    exports: Mapping[Kind, Callable[[], bytes]] = field(default_factory=dict)
    """Of a user's model: its float flatbuffers, made on demand, float32 at least."""
    own: OwnImages | None = None
    """Images that came with it; None takes those of the `DataHome`."""

    @property
    def kinds(self) -> frozenset[Kind]:
        """Kinds of schemes that it can be made into."""
        exported = self.exports or EXPORTS
        return frozenset({*exported, "int8-ptq", "int16x8-ptq", *(() if self.model is None else ("int8-qat",))})

    def export(self, kind: Kind) -> bytes:
        """Its flatbuffer: float32, float16 or dynamic.

        Raises:
            ConfigError: it has no such form.
        """
        if self.exports:
            if kind not in self.exports:
                raise ConfigError(
                    expected=f"a scheme out of {', '.join(sorted(self.kinds))}", got=kind, do="leave it out"
                )
            return self.exports[kind]()
        return EXPORTS[kind](self.model)


def load_subject(name: str, weights: Path | None = None) -> Subject:
    """A model of the zoo with its committed weights, or with others of its architecture.

    Raises:
        ConfigError: unknown name, or no weights yet.
        ModelFileError: damaged weights, or those of another architecture.
    """
    spec = find_model(name)
    path, model = weights or spec.weights, spec.build()
    history = load_weights(model, path)
    return Subject(spec, model, weights_sha256(path), describe_training(history))


@dataclass
class Workbench:
    """What a method may use. Everything is made on first use and kept."""

    subject: Subject
    home: DataHome
    folder: Path | None = None
    """Where artifacts go, and meanwhile what an interrupted training goes on from; None keeps nothing."""
    quick: bool = False
    """Short enough for a check of the whole chain; not for figures."""
    watch: Watch = field(default=lambda what, done, total: None)

    @cached_property
    def float_model(self) -> bytes:
        """The float32 flatbuffer."""
        self.watch("export", 0, 1)
        return self.subject.export("float32")

    @cached_property
    def baseline(self) -> bytes:
        """The float32 flatbuffer with a card: what everything is measured against."""
        return embed_card(self.float_model, self.card(parse_scheme("float32")))

    @cached_property
    def receptive_field(self) -> int:
        """Input pixels, in one dimension, that one output pixel depends on.

        Raises:
            ModelFileError: it has no bound, so the model cannot be run in tiles or calibrated on crops.
        """
        found = geometry(read_graph(self.float_model))
        if found.receptive_field is None:
            raise ModelFileError(
                expected="a network that looks at a bounded neighbourhood",
                got=f"one that looks at the whole picture, because of {found.unbounded_by}",
                do="replace that operator",
            )
        return found.receptive_field

    @cached_property
    def calibration(self) -> CalibrationSet:
        """Crops of the calibration list.

        Raises:
            DataError: no usable image.
        """
        if self.subject.own is not None:
            return self.subject.own.crops(self.subject.spec, self.receptive_field)
        images = self._images("calibrate")
        return calibration_set(images, self.subject.spec, receptive_field=self.receptive_field)

    @cached_property
    def samples(self) -> tuple[Array, ...]:
        """What the network is run on for statistics and corrections, uint8 (1, h, w, C): the crops, or parts of them.

        Raises:
            DataError: no usable image.
        """
        side = self.calibration.crops[0].shape[1]
        return self.calibration.samples(complexity(read_graph(self.float_model), height=side, width=side).macs)

    @cached_property
    def statistics(self) -> dict[int, TensorStatistics]:
        """One pass over the calibration images, for every calibrator."""
        samples = self.samples

        def tell(done: int) -> None:
            self.watch("calibrate", done, len(samples))

        tensors = calibrated_tensors(read_graph(self.float_model))
        return collect(self.float_model, map(to_unit, samples), tensors=tensors, watch=tell)

    def ranges(self, calibrator: str) -> dict[int, Range]:
        """(lo, hi) of every activation of `float_model`, for `quantize.ranges.to_int8`."""
        return complete(read_graph(self.float_model), calibrate(self.statistics, CALIBRATORS[calibrator]))

    @cached_property
    def judge(self) -> Judge:
        """Of int8 models, by calibration crops that are held back."""
        return Judge(self.float_model, self.samples)

    def candidate(self, scheme: Scheme) -> Candidate:
        """What the int8 model of a post-training scheme is made of."""
        if scheme.corrections:
            return self.corrected(scheme).candidate
        return Candidate(separated(self.float_model), self.ranges(str(scheme.calibrator)))

    def corrected(self, scheme: Scheme) -> Corrected:
        """The float model with the scheme's corrections, as far as they helped; made once for each."""
        wanted = (str(scheme.calibrator), scheme.corrections)
        if wanted not in self._corrected:
            self._corrected[wanted] = correct(self.corrector(scheme), scheme.corrections)
        return self._corrected[wanted]

    def corrector(self, scheme: Scheme) -> Corrector:
        """For corrections of this model; what it finds out is its own."""
        rounds = "adaround" in scheme.corrections
        return Corrector(self.judge, CALIBRATORS[str(scheme.calibrator)], rounds=rounds, watch=self.watch)

    @cached_property
    def _corrected(self) -> dict[tuple[str, tuple[str, ...]], Corrected]:
        return {}

    @cached_property
    def validation(self) -> Validation | Faithfulness:
        """Validation pictures and the float model's outputs."""
        if self.subject.own is not None:
            return self.subject.own.validation(self.subject.spec, self.baseline)
        return validation_on(self.validation_images, self.subject.spec, self.baseline)

    @cached_property
    def validation_images(self) -> ImageSet:
        """The validation list, or its first few when quick."""
        images = self._images("validate")
        return dataclasses.replace(images, refs=images.refs[:QUICK_IMAGES]) if self.quick else images

    @cached_property
    def patches(self) -> PatchSampler:
        """Patches of the training images for QAT, smaller than ``QAT_PATCH`` where no image holds such a one.

        Raises:
            DataError: no image holds even the receptive field, or, of a wider one, ``QAT_PATCH``; or none can be used.
            ImageError: an image cannot be read.
        """
        self.watch("read training images", 0, 0)
        spec = self.subject.spec
        pairs = self._training_pairs()
        largest = max(min(lr.shape[:2]) for lr, _ in pairs) // spec.multiple_of * spec.multiple_of
        side = min(round_up(QAT_PATCH, spec.multiple_of), largest)
        least = min(self.receptive_field, QAT_PATCH)
        if side < least:
            raise DataError(
                expected=f"a training image of at least {least * spec.network_scale} pixels a side, "
                "for quantization-aware training to see the receptive field, or most of it",
                got=f"{largest * spec.network_scale} usable pixels in the largest",
                do="add larger images, or leave out int8-qat",
            )
        return PatchSampler(pairs, spec.network_scale, side, self._batch(side), QAT_SEED)

    def _batch(self, side: int) -> int:
        """Patches of so many pixels a side in a step of training."""
        least, most = QAT_BATCHES
        work = complexity(read_graph(self.float_model), height=side, width=side).macs
        return int(min(max(QAT_STEP_MACS / work, least), most))

    def _training_pairs(self) -> list[tuple[Array, Array]]:
        """(network input, ground truth); of images of the user's the inputs alone, enlarged to fit."""
        spec, own = self.subject.spec, self.subject.own
        if own is None:
            return load_pairs(spec, self._images("train"))
        return [(each, each.repeat(spec.scale, axis=0).repeat(spec.scale, axis=1)) for each in own.calibrate]

    def _images(self, purpose: Purpose) -> ImageSet:
        return images_for(self.home, purpose, lists=self.subject.spec.lists)

    @cached_property
    def validation_crops(self) -> Validation | Faithfulness:
        """The middles of the validation pictures, for what needs many models judged."""
        return self.validation.cropped(self.subject.spec.multiple_of, self.baseline)

    def quality(
        self,
        model: bytes,
        scheme: Scheme,
        *,
        on: Validation | Faithfulness | None = None,
        watch: Watch | None = None,
    ) -> Quality | Fidelity:
        """What a model without a card reaches: fidelity alone, where there is no truth. Each model is run once.

        Args:
            model: ``.tflite`` without a card.
            scheme: how it was made.
            on: pictures; the validation images if None.
            watch: told of the progress.
        """
        if on is None:
            key = hashlib.sha256(model).digest()
            if key not in self._judged:
                self._judged[key] = self.quality(model, scheme, on=self.validation, watch=watch)
            return self._judged[key]
        total = len(on.pairs)

        def tell(done: int) -> None:
            if watch is not None:
                watch(f"validate {scheme.name}", done, total)

        return on.quality(embed_card(model, self.card(scheme)), watch=tell)

    @cached_property
    def _judged(self) -> dict[bytes, Quality | Fidelity]:
        """By the model's hash: training meets models again that post-training gave."""
        return {}

    def card(self, scheme: Scheme, *, training: str | None = None) -> ModelCard:
        """The card of a scheme, before validation; ``training`` is what the scheme added to the float model's."""
        history = (self.subject.training, QUICK_NOTE if self.quick else None, training)
        spec = self.subject.spec
        return ModelCard(
            model=spec.name,
            scheme=scheme.name,
            task=spec.task,
            scale=spec.scale,
            channels=spec.channels,
            multiple_of=spec.multiple_of,
            receptive_field=self.receptive_field,
            degradation=spec.degradation,
            enlarged=spec.enlarged,
            float_layers=scheme.keep_float,
            calibration=self._calibration_of(scheme),
            weights_sha256=self.subject.weights_sha256,
            training="; ".join(filter(None, history)) or None,
            versions=_versions(),
            created=now(),
        )

    def _calibration_of(self, scheme: Scheme) -> Calibration | None:
        if scheme.calibrator is None:
            return None
        crops = self.calibration
        return Calibration(scheme.calibrator, images=len(crops), sha256=crops.sha256(), source=crops.source)


def _versions() -> dict[str, str]:
    return {"octopix": octopix.__version__} | {name: importlib.metadata.version(name) for name in PACKAGES}
