"""NNCF's post-training quantization of an OpenVINO model with its documented settings."""

from pathlib import Path

from benchmarks.peers.onnxruntime_int8 import network_input
from octopix.images import Array


def quantize(preset: str, fast_bias_correction: bool, model: Path, crops: Array, folder: Path) -> Path:
    """``int8.xml`` in ``folder``, with its ``.bin``.

    Args:
        preset: ``PERFORMANCE`` (symmetric activations) or ``MIXED`` (asymmetric ones).
        fast_bias_correction: False takes the slower correction, which is more accurate in general.
        model: the float ``.onnx``.
        crops: uint8 (N, H, W, C), all of which are used.
        folder: to write to.
    """
    import nncf
    import openvino

    quantized = nncf.quantize(
        openvino.Core().read_model(model),
        nncf.Dataset([network_input(crop) for crop in crops]),
        preset=nncf.QuantizationPreset[preset],
        target_device=nncf.TargetDevice.CPU,
        subset_size=len(crops),
        fast_bias_correction=fast_bias_correction,
    )
    path = folder / "int8.xml"
    openvino.save_model(quantized, path, compress_to_fp16=False)
    return path
