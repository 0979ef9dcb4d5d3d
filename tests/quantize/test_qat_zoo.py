"""Every network of the zoo can be trained aware of its quantization, into post-training's operators."""

import numpy as np
import pytest
import tf_keras

from octopix.graph import read_graph
from octopix.margins import round_up
from quantize.calibrators import CALIBRATORS
from quantize.checks import check
from quantize.export import to_float32
from quantize.qat import QatSettings, train_aware
from quantize.ranges import ranges_for, to_int8
from train.models import MODELS

SIDE = 32


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", MODELS)
def test_a_step_of_training_leaves_the_operators_of_post_training(name: str, photographs: list[np.ndarray]) -> None:
    spec = MODELS[name]
    tf_keras.utils.set_random_seed(0)
    model = spec.build()
    for weight in model.weights:  # branches start at zero, which leaves nothing to calibrate
        if len(weight.shape) == 4 and not weight.numpy().any():
            weight.assign(np.random.default_rng(0).normal(0, 0.05, weight.shape))
    side = round_up(SIDE, spec.multiple_of)
    crops = [
        np.repeat(np.tile(each, (1, 4, 4, 1))[:, :side, :side], {"y": 1, "rgb": 3}[spec.channels], axis=3)
        for each in photographs[:2]
    ]
    float_model = to_float32(model)
    ranges = ranges_for(float_model, crops, CALIBRATORS["minmax"])
    judged = []
    train_aware(
        model,
        ranges,
        rival=to_int8(float_model, ranges),
        draw=lambda step: np.rint(np.concatenate(crops) * 255).astype(np.uint8),
        judge=lambda int8: judged.append(int8) or len(judged),
        settings=QatSettings(steps=1, judge_every=1, rate=1e-4),
    )
    start, trained = judged
    for each in judged:
        check(each, "int8-qat")
    ours, theirs = (read_graph(each) for each in (trained, to_int8(float_model, ranges)))
    assert [each.name for each in ours.operators] == [each.name for each in theirs.operators]
    kinds = ([graph.tensors[each.outputs[0]].dtype for each in graph.operators] for graph in (ours, theirs))
    assert next(kinds) == next(kinds)
    assert start != trained
