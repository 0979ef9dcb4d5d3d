"""From the tensors that the LESRCNN authors published to the weights of `train.models.lesrcnn`."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from octopix.errors import ModelFileError
from train.models.lesrcnn import STEPS

Array = npt.NDArray[np.float32]


def convert(tensors: Mapping[str, Array], scale: int) -> dict[str, Array]:
    """Weights by our names (``conv1/kernel:0``), from the published names.

    The blind checkpoint holds heads for ×2, ×3 and ×4; ``scale`` chooses one of them.

    Args:
        tensors: state dictionary, PyTorch layout.
        scale: 2, 3 or 4.

    Raises:
        ModelFileError: a tensor is missing, is of another shape, or is one too many.
    """
    left = dict(tensors)
    weights = {}
    for number in (*range(1, 18), "17_1", "17_2", "17_3", "17_4", 18):
        weights[f"conv{number}/kernel:0"] = _kernel(_take(left, f"conv{number}.0.weight"))
    head = "up" if f"upsample.up{scale}.body.0.weight" not in left else f"up{scale}"
    for number, step in enumerate(STEPS[scale]):
        name = f"upsample.{head}.body.{2 * number}"  # a shuffle stands between two convolutions
        weights[f"up{number}/kernel:0"] = _shuffled(_kernel(_take(left, f"{name}.weight")), step)
        weights[f"up{number}/bias:0"] = 2 * _shuffled(_take(left, f"{name}.bias"), step)
    weights["sub_mean/mean:0"] = -_shift(left, "sub_mean")
    weights["conv18/bias:0"] = _shift(left, "add_mean")
    if extra := [name for name in left if not name.startswith("upsample.")]:
        raise _foreign(f"the tensor {extra[0]} besides")
    return weights


def convert_blind(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """Weights of the whole family ``lesrcnn_blind``: the trunk, and the heads of all scales (``up0_x2/kernel:0``).

    Raises:
        ModelFileError: see `convert`.
    """
    weights: dict[str, Array] = {}
    for scale in STEPS:
        for name, array in convert(tensors, scale).items():
            layer, _, variable = name.partition("/")
            weights[f"{layer}_x{scale}/{variable}" if layer.startswith("up") else name] = array
    return weights


def _take(left: dict[str, Array], name: str) -> Array:
    if name not in left:
        raise _foreign(f"no tensor {name}")
    return left.pop(name)


def _shift(left: dict[str, Array], name: str) -> Array:
    """The bias of a mean shift, whose 1×1 kernel must be the identity to be one."""
    if not np.array_equal(_take(left, f"{name}.shifter.weight")[:, :, 0, 0], np.eye(3)):
        raise _foreign(f"a {name} that mixes colours")
    return _take(left, f"{name}.shifter.bias")


def _kernel(weight: Array) -> Array:
    """(out, in, height, width) to (height, width, in, out)."""
    if weight.ndim != 4:
        raise _foreign(f"a convolution of shape {weight.shape}")
    return np.ascontiguousarray(weight.transpose(2, 3, 1, 0))


def _shuffled(weight: Array, step: int) -> Array:
    """Reorder the last axis from pixel_shuffle's channel · step² to depth_to_space's step² · channel."""
    if weight.shape[-1] % step**2:
        raise _foreign(f"{weight.shape[-1]} channels before a shuffle by {step}")
    split = weight.reshape(*weight.shape[:-1], -1, step**2)
    return np.ascontiguousarray(np.swapaxes(split, -1, -2)).reshape(weight.shape)


def _foreign(got: str) -> ModelFileError:
    return ModelFileError(
        expected="the tensors of LESRCNN as its authors published them",
        got=got,
        do="take lesrcnn_x2.pth, lesrcnn_x3.pth, lesrcnn_x4.pth or lesrcnn_blind.pth, and name its MODEL",
    )
