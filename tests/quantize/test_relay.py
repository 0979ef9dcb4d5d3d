"""What the layers of an int8 model read, leg by leg, against runs of the whole model."""

from typing import Any

import numpy as np
import pytest
import tf_keras

from octopix import runtime
from octopix.graph import read_graph
from octopix.runtime import open_session
from quantize import relay
from quantize.embed import rewritten
from quantize.export import to_float32
from quantize.filters import KINDS
from quantize.relay import Relay

NETWORKS = ["anchored", "espcn", "residual", "separable", "hourglass", "shuffled", "shared_output"]


def whole(model: bytes, operator: int, images: Any) -> list[np.ndarray]:
    """What an operator reads in runs that keep every tensor."""
    session = open_session(model, keep_tensors=True)
    tensor, found = session.graph.operators[operator].inputs[0], []
    for image in images:
        session.invoke(image)
        found.append(session.tensor(tensor))
    return found


def readers(model: bytes) -> list[int]:
    """Its convolutions, by operator number."""
    return [each.index for each in read_graph(model).operators if each.name in KINDS]


def alike(ours: list[np.ndarray], theirs: list[np.ndarray]) -> bool:
    """To the last integer."""
    return all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_read_what_they_read_in_the_whole_model(corrector: Any, name: str) -> None:
    bench = corrector(name)
    model, legs = bench.start.int8, Relay(bench.teachers)
    for operator in readers(model):
        assert alike(legs.read_by(model, operator), whole(model, operator, bench.teachers))


def test_models_that_state_a_size_run_on_others(corrector_of: Any) -> None:
    """The output size of a transposed convolution stays a constant, that of the export."""
    tf_keras.utils.set_random_seed(3)
    image = tf_keras.Input((None, None, 1), name="image")
    small = tf_keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="shrink")(image)
    deeper = tf_keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="deeper")(small)
    enlarge = [tf_keras.layers.Conv2DTranspose(4, 4, strides=2, padding="same", name=name) for name in ("a", "b")]
    joined = tf_keras.layers.Concatenate()([image, enlarge[0](deeper), enlarge[1](small)])
    output = tf_keras.layers.Conv2D(1, 3, padding="same", name="out")(joined)
    crops = [np.random.default_rng(seed).integers(0, 256, (1, 96, 96, 1), np.uint8) for seed in range(8)]
    bench = corrector_of(to_float32(tf_keras.Model(image, output), height=64, width=64), crops)
    model, legs = rewritten(bench.start.int8, _late), Relay(bench.teachers)
    for operator in readers(model):
        found = legs.read_by(model, operator)
        assert alike(found, whole(model, operator, bench.teachers))
        assert found[0].shape[1:3] in {(96, 96), (48, 48)}


def _late(unpacked: Any) -> None:
    """A leg begins with what enlarges, as in the files of other converters."""
    order = unpacked.subgraphs[0].operators
    order[2], order[3] = order[3], order[2]


def test_layers_that_are_passed_over_are_run_through(corrector: Any) -> None:
    bench = corrector("residual")
    model = bench.start.int8
    last = readers(model)[-1]
    assert alike(Relay(bench.teachers).read_by(model, last), whole(model, last, bench.teachers))


def test_new_weights_count_from_their_layer_on(corrector: Any) -> None:
    bench = corrector("residual")
    before, legs = bench.start, Relay(bench.teachers)
    second, third = readers(before.int8)[1:3]
    legs.read_by(before.int8, second)
    changed = before.filters[1]
    after = before.changed(changed.replaced(-changed.weights))
    found = legs.read_by(after.int8, third)
    assert alike(found, whole(after.int8, third, bench.teachers))
    assert not alike(found, whole(before.int8, third, bench.teachers))


def test_no_operator_runs_twice(corrector: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, opened = corrector("espcn"), []

    def counting(model: bytes, **options: Any) -> runtime.Session:
        opened.append([each.name for each in read_graph(model).operators])
        return open_session(model, **options)

    monkeypatch.setattr(relay, "open_session", counting)
    monkeypatch.setattr(relay, "available_cores", lambda: 1)
    model, legs = bench.start.int8, Relay(bench.teachers)
    for operator in readers(model):
        legs.read_by(model, operator)
        legs.read_by(model, operator)
    everything = [each.name for each in read_graph(model).operators]
    ran = [name for leg in opened for name in leg]
    assert ran == everything[: readers(model)[-1]]
