"""NNCF's post-training quantization of an OpenVINO model with its documented settings."""

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.onnxruntime_int8 import adds_without_saturation, network_input
from octopix.images import Array


@dataclass(frozen=True)
class Settings:
    """What NNCF's documentation offers for accuracy."""

    preset: str
    """``PERFORMANCE`` (symmetric activations) or ``MIXED`` (asymmetric ones)."""
    fast_bias_correction: bool
    """False takes the slower correction, which is more accurate in general."""
    ranges: str | None = None
    """A name in ``RangeEstimatorParametersSet`` for activations; None leaves them at NNCF's default."""


def quantize(settings: Settings, model: Path, crops: Array, folder: Path) -> Path:
    """``int8.xml`` in ``folder``, with its ``.bin``.

    Args:
        settings: what its documentation offers.
        model: the float ``.onnx``.
        crops: uint8 (N, H, W, C), all of which are used.
        folder: to write to.
    """
    import nncf
    import openvino

    quantized = nncf.quantize(
        # Not Core.read_model, which leaves biases as computed shapes, so that no bias correction would find them.
        openvino.convert_model(model),
        nncf.Dataset([network_input(crop) for crop in crops]),
        preset=nncf.QuantizationPreset[settings.preset],
        target_device=nncf.TargetDevice.CPU,
        subset_size=len(crops),
        fast_bias_correction=settings.fast_bias_correction,
        advanced_parameters=nncf.AdvancedQuantizationParameters(**_advanced(settings)),
    )
    path = folder / "int8.xml"
    openvino.save_model(quantized, path, compress_to_fp16=False)
    return path


def _advanced(settings: Settings) -> dict[str, Any]:
    """Advanced parameters that are other than their defaults."""
    from nncf.quantization.advanced_parameters import OverflowFix
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    changed: dict[str, Any] = {}
    if settings.ranges is not None:
        changed["activations_range_estimator_params"] = getattr(RangeEstimatorParametersSet, settings.ranges)
    if adds_without_saturation(platform.machine(), Path("/proc/cpuinfo")):
        changed["overflow_fix"] = OverflowFix.DISABLE  # it gives first layers 7 bits for the sake of older CPUs
    return changed
