"""Results with known figures, for tests of what is made of them; real models come from the shared ``artifacts``."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import pytest

from octopix.card import Calibration, ModelCard, Quality
from octopix.latency import Latency
from octopix.results import QuantizeRow, Result
from octopix.runtime import RunFacts

FACTS = RunFacts("ai-edge-litert", "2.3.0", "cpu-xnnpack", "cpu-xnnpack", 1, 6, 4)
MILLISECONDS = {"float32": 10.0, "float16": 10.0, "int8-ptq-mse": 4.0, "int8-qat": 5.0}
SCHEMES = ("bicubic", *MILLISECONDS)
DROPS = {"float32": 0.0, "float16": 0.0, "int8-ptq-mse": 0.125, "int8-qat": 0.0625}
"""Eighths and sixteenths, which floats hold exactly."""
VALIDATION = {"int8-ptq-mse": 0.25, "int8-qat": 0.0625}
IMAGES = {"Set5": {"Set5/baby.png": 33.0, "Set5/bird.png": 35.0}, "Set14": {"Set14/zebra.png": 26.0}}


def _card(scheme: str, validation: float | None) -> ModelCard:
    return ModelCard(
        model="espcn_x4",
        scheme=scheme,
        task="super-resolution",
        scale=4,
        channels="y",
        multiple_of=1,
        receptive_field=9,
        calibration=Calibration("mse", 64, "c0ffee" * 8, "builtin-calibrate") if scheme.startswith("int8") else None,
        validation=None if validation is None else Quality("builtin-validate", 3, "y", 30.0, 30.0 - validation, 45.0),
        versions={"tensorflow": "2.21.0"},
    )


def _row(scheme: str, image_set: str, images: Mapping[str, float], validation: float | None) -> QuantizeRow:
    """float32 has the PSNR of ``images``, the others lose what ``DROPS`` says, bicubic a whole dB."""
    per_image = {name: value - DROPS.get(scheme, 1.0) for name, value in images.items()}
    row = QuantizeRow(
        model="espcn_x4",
        scheme=scheme,
        image_set=image_set,
        protocol="y",
        psnr_db=sum(per_image.values()) / len(per_image),
        ssim=0.875,
        shape=(1, 128, 128, 1),
        flops_convention="2*MAC",
        psnr_per_image=per_image,
        ssim_per_image=dict.fromkeys(images, 0.875),
    )
    if scheme == "bicubic":
        return row
    milliseconds = MILLISECONDS[scheme]
    return dataclasses.replace(
        row,
        flops_g=0.8125,
        params_m=0.024752,
        kib=100.0 if scheme == "float32" else 34.0,
        drop_db=DROPS[scheme],
        fidelity_db=float("inf") if scheme == "float32" else 48.0,
        latency=Latency(samples_ms=(milliseconds,) * 12, warmup=3),
        ratio_to_float32=MILLISECONDS["float32"] / milliseconds,
        facts=FACTS,
        graph_sha256=scheme.encode().hex().ljust(64, "0"),
        file_sha256="0" * 64,
        card=_card(scheme, validation),
    )


def _result(
    *,
    schemes: Sequence[str] = SCHEMES,
    images: Mapping[str, Mapping[str, float]] = IMAGES,
    validation: Mapping[str, float] = VALIDATION,
) -> Result:
    rows = [
        _row(scheme, name, per_image, validation.get(scheme))
        for name, per_image in images.items()
        for scheme in schemes
    ]
    return Result(kind="quantize", rows=tuple(rows))


@pytest.fixture(scope="session")
def make_result() -> Callable[..., Result]:
    """A result of ``schemes`` on ``images`` (set -> image -> float32's PSNR), with ``validation`` drops in the cards.

    By default float32 has 34 dB on Set5 (2 images) and 26 dB on Set14 (1 image), and the others lose ``DROPS``.
    """
    return _result
