"""ONNX Runtime's static quantization with its documented settings: QDQ, weights per channel, every calibrator."""

import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.peers.engines import INPUT
from octopix.images import Array, to_unit

STRIDE = 8
"""Crops whose activations are in memory at once: ONNX Runtime would hold those of all of them."""
X86 = ("x86_64", "AMD64")
VNNI = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
"""Flags of x86 CPUs that add products of 8-bit numbers without saturation."""


class Crops:
    """A ``CalibrationDataReader``: crops as the network's input, of which a range is given out at a time."""

    def __init__(self, crops: Array) -> None:
        self._crops = crops
        self._rest: Iterator[Array] = iter(crops)

    def __len__(self) -> int:
        return len(self._crops)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Give out these crops next."""
        self._rest = iter(self._crops[start_index:end_index])

    def get_next(self) -> dict[str, Array] | None:
        """The next crop, or None."""
        crop = next(self._rest, None)
        return None if crop is None else {INPUT: network_input(crop)}


def network_input(crop: Array) -> Array:
    """uint8 (H, W, C) as float32 (1, C, H, W) in [0, 1]."""
    return to_unit(crop).transpose(2, 0, 1)[None].copy()


def quantize_static(method: str, extra: Mapping[str, Any], model: Path, crops: Array, folder: Path) -> Path:
    """``int8.onnx`` in ``folder``.

    Args:
        method: a name in ``onnxruntime.quantization.CalibrationMethod``.
        extra: of its ``extra_options``.
        model: the float ``.onnx``.
        crops: uint8 (N, H, W, C).
        folder: to write to.
    """
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared, quantized = folder / "prepared.onnx", folder / "int8.onnx"
    # Symbolic shapes are for transformers, says the documentation; convolutions do without.
    quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
    activations, reduced = number_types(platform.machine(), Path("/proc/cpuinfo"))
    stride = next(size for size in range(STRIDE, 0, -1) if len(crops) % size == 0)
    quantization.quantize_static(
        str(prepared),
        str(quantized),
        Crops(crops),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        reduce_range=reduced,
        activation_type=quantization.QuantType[activations],
        weight_type=quantization.QuantType.QInt8,
        calibrate_method=quantization.CalibrationMethod[method],
        extra_options={"CalibStridedMinMax": stride, **extra},
    )
    return quantized


def number_types(machine: str, cpuinfo: Path) -> tuple[str, bool]:
    """(type of activations, whether weights get 7 bits) that ONNX Runtime's documentation advises for a CPU."""
    if machine not in X86:
        return "QInt8", False
    return "QUInt8", not adds_without_saturation(machine, cpuinfo)


def adds_without_saturation(machine: str, cpuinfo: Path) -> bool:
    """Whether weights may have all 8 bits: on every CPU but x86 ones without VNNI; in doubt, no."""
    if machine not in X86:
        return True
    try:
        return bool(VNNI.intersection(cpuinfo.read_text().split()))
    except OSError:
        return False
