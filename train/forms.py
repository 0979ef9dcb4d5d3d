"""Networks in two forms: as they train, and as they deploy."""

from collections.abc import Sequence
from functools import partial

import tensorflow as tf
import tf_keras

from octopix.errors import ConfigError
from train.collapsible import CollapsibleConv2D
from train.expansion import ExpandedConv2D
from train.models.spec import ModelSpec
from train.normalization import NormalizedConv2D
from train.recipe import Recipe

Models = Sequence[tf_keras.Model]

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def deployable(specs: Sequence[ModelSpec]) -> list[tf_keras.Model]:
    """The networks as they ship, in float32; layers of one name are one layer."""
    return shared([spec.build() for spec in specs])


def trainable(specs: Sequence[ModelSpec], recipe: Recipe) -> list[tf_keras.Model]:
    """The networks in the form and the precision that the recipe trains them in; layers of one name are one layer."""
    before = tf_keras.mixed_precision.global_policy()
    tf_keras.mixed_precision.set_global_policy(POLICIES[recipe.precision])
    try:
        return shared([training_form(spec.build(), recipe) for spec in specs])
    finally:
        tf_keras.mixed_precision.set_global_policy(before)


def training_form(model: tf_keras.Model, recipe: Recipe) -> tf_keras.Model:
    """``model`` itself, or a copy with convolutions in a richer form, whose weights are new; all others are copied.

    Raises:
        ConfigError: the recipe normalizes convolutions that are not there, or that ship without a bias to fold into.
    """
    if not (recipe.expansion or recipe.normalized):
        return model
    richer = partial(_richer, recipe=recipe)
    copy = tf_keras.models.clone_model(model, clone_function=richer)
    if recipe.normalized and not any(isinstance(layer, NormalizedConv2D) for layer in copy.layers):
        raise _not_normalizable(recipe, f"{model.name}, which has none")
    _copy_weights(model, copy, [layer.name for layer in copy.layers if not isinstance(layer, CollapsibleConv2D)])
    return copy


def _richer(layer: tf_keras.layers.Layer, *, recipe: Recipe) -> tf_keras.layers.Layer:
    plain = type(layer) is tf_keras.layers.Conv2D
    if plain and recipe.normalized and layer.name.startswith(recipe.normalized):
        if not layer.use_bias:
            raise _not_normalizable(recipe, f"{layer.name} without")
        return NormalizedConv2D(**layer.get_config())
    if plain and recipe.expansion:
        return ExpandedConv2D(expansion=recipe.expansion, **layer.get_config())
    return _copy(layer)


def _not_normalizable(recipe: Recipe, got: str) -> ConfigError:
    return ConfigError(
        expected=f"convolutions with a bias, whose names begin with {recipe.normalized}",
        got=got,
        do="correct `normalized` of the recipe, or leave it out",
    )


def shared(models: Models) -> list[tf_keras.Model]:
    """The first model, and the others rebuilt on its layers wherever they have one of the same name.

    Raises:
        ValueError: layers of one name that are not alike.
    """
    first, *others = models
    known = {layer.name: layer for layer in first.layers}
    return [first, *(_rebuilt(model, known) for model in others)]


def _rebuilt(model: tf_keras.Model, known: dict[str, tf_keras.layers.Layer]) -> tf_keras.Model:
    """``model`` on ``known`` layers; what it has beyond them is copied, and known from then on."""
    new = [layer.name for layer in model.layers if layer.name not in known]

    def once(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
        if layer.name not in known:
            known[layer.name] = _copy(layer)
        if known[layer.name].get_config() != layer.get_config():
            raise ValueError(f"{model.name} and its siblings have unlike layers {layer.name}")
        return known[layer.name]

    rebuilt = tf_keras.models.clone_model(model, clone_function=once)
    _copy_weights(model, rebuilt, new)
    return rebuilt


def _copy(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
    return layer.__class__.from_config(layer.get_config())


def _copy_weights(model: tf_keras.Model, copy: tf_keras.Model, names: Sequence[str]) -> None:
    for name in names:
        copy.get_layer(name).set_weights(model.get_layer(name).get_weights())


def variables(models: Models) -> dict[str, tf.Variable]:
    """All variables by name, shared ones once."""
    return {weight.name: weight for model in models for weight in model.weights}


def trained_variables(models: Models) -> list[tf.Variable]:
    """What an optimizer moves, shared ones once."""
    return list({id(weight): weight for model in models for weight in model.trainable_variables}.values())


def collapsed(models: Models) -> dict[str, tf.Tensor]:
    """Weights of the deployable networks by name, whatever form ``models`` train in."""
    found: dict[str, tf.Tensor] = {}
    for layer in layers(models):
        if isinstance(layer, CollapsibleConv2D):
            found |= layer.collapsed()
        else:
            found |= {weight.name: weight for weight in layer.weights}
    return found


def layers(models: Models) -> list[tf_keras.layers.Layer]:
    """All layers, shared ones once."""
    return list({id(layer): layer for model in models for layer in model.layers}.values())
