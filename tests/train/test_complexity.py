"""MACs counted on the traced network are those that octopix counts on the file."""

import json

import pytest
import tensorflow as tf

from octopix.complexity import complexity
from octopix.graph import read_graph
from train.commands.listing import MACS
from train.complexity import macs_per_output_megapixel
from train.models import MODELS, find_model


# A plain one; depthwise convolutions; an input that is enlarged before the network sees it.
@pytest.mark.parametrize("name", ["espcn_x3", "qecnn_separable", "unet_x2"])
def test_they_are_those_of_the_converted_file(name):
    spec = find_model(name)
    side = 2 * spec.multiple_of
    function = tf.function(spec.build()).get_concrete_function(tf.TensorSpec((1, side, side, spec.depth)))
    file = tf.lite.TFLiteConverter.from_concrete_functions([function]).convert()
    macs = complexity(read_graph(file)).macs
    assert macs_per_output_megapixel(spec) == round(macs * 1e6 / (side * spec.network_scale) ** 2)


@pytest.mark.parametrize("name", ["espcn_x4", "srcnn_jpeg20"])
def test_what_was_counted_before_still_holds(name):
    assert json.loads(MACS.read_text(encoding="utf-8"))[name] == macs_per_output_megapixel(MODELS[name])


@pytest.mark.slow
def test_all_that_was_counted_before_still_holds():
    kept = json.loads(MACS.read_text(encoding="utf-8"))
    assert kept == {name: macs_per_output_megapixel(spec) for name, spec in sorted(MODELS.items())}
