import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from octopix.compare import compare_models, compare_pictures, kind_of
from octopix.conditions import Conditions, read_conditions
from octopix.errors import ConfigError, ImageError, ModelFileError, ResultError
from octopix.images import Picture, read_picture
from octopix.latency import Latency
from octopix.results import BenchRow, ConversionSpeedRow, QuantizeRow, Result, Row
from octopix.runtime import RunFacts
from octopix.verdict import Verdict, compare_results, judge_samples

FACTS = RunFacts("ai-edge-litert", "2.3.0", "cpu-xnnpack", "cpu-xnnpack", 1, 6, 4)
STEADY = (10.0, 10.1, 10.2, 10.3)


@pytest.fixture(scope="module")
def coffee(photos: Path) -> Picture:
    return read_picture(photos / "coffee.png")


def test_pictures_against_hand_counts() -> None:
    black = np.zeros((12, 20, 3), np.uint8)
    grey = black + np.uint8(10)

    found = compare_pictures(Picture(pixels=grey), Picture(pixels=grey + np.uint8(5)))

    assert found.mse == 25
    assert found.psnr_db == pytest.approx(10 * math.log10(255**2 / 25))
    assert found.nrmse == pytest.approx(0.5)
    assert found.peak == 255
    assert compare_pictures(Picture(pixels=black), Picture(pixels=grey)).nrmse is None


def test_16_bits_have_their_own_peak(coffee: Picture) -> None:
    wide = Picture(pixels=coffee.pixels.astype(np.uint16) * 257)
    off = Picture(pixels=wide.pixels ^ 1)

    found = compare_pictures(wide, off)

    assert found.peak == 65535
    assert found.psnr_db == pytest.approx(20 * math.log10(65535))  # every value is off by one


def test_identical_pictures(coffee: Picture) -> None:
    found = compare_pictures(coffee, coffee)

    assert (found.psnr_db, found.ssim, found.fsim, found.mse, found.nrmse) == (math.inf, 1.0, 1.0, 0.0, 0.0)
    assert found.alpha_identical is None


def test_alpha_is_compared_apart(coffee: Picture) -> None:
    alpha = dataclasses.replace(coffee, alpha=coffee.pixels[..., 0])
    other = dataclasses.replace(coffee, alpha=coffee.pixels[..., 1])

    assert compare_pictures(alpha, alpha).alpha_identical is True
    assert compare_pictures(alpha, other).alpha_identical is False
    assert compare_pictures(alpha, coffee).alpha_identical is False
    assert compare_pictures(alpha, other).psnr_db == math.inf


def test_small_pictures_have_no_ssim_and_no_fsim() -> None:
    small = Picture(pixels=np.full((1, 1, 1), 9, np.uint8))

    found = compare_pictures(small, small)
    assert (found.ssim, found.fsim) == (None, None)


def test_unlike_pictures_are_refused(coffee: Picture) -> None:
    for other in (coffee.pixels[:-1], coffee.pixels[..., :1], coffee.pixels.astype(np.uint16)):
        with pytest.raises(ImageError, match="one size, colour and depth"):
            compare_pictures(coffee, Picture(pixels=other))


def test_models_without_pictures_need_no_card(models: Mapping[str, Path]) -> None:
    found = compare_models(models["bare"], models["nearest-uint8"])

    assert found.operator_changes == {"QUANTIZE": (0, 2)}
    assert (found.a.macs, found.a.parameters) == (16 * 16 * 4, 4) == (found.b.macs, found.b.parameters)
    assert found.fidelity == ()
    assert found.mean_psnr_db is None


def test_models_on_a_picture(models: Mapping[str, Path], photos: Path) -> None:
    images = [photos / "camera.png", photos / "coffee.png"]

    same = compare_models(models["nearest"], models["nearest-uint8"], images=images)
    assert [entry.image for entry in same.fidelity] == ["camera.png", "coffee.png"]
    assert same.fidelity[0].psnr_db == math.inf

    double = compare_models(models["even"], models["double"], images=images[:1])
    pixels = read_picture(images[0]).pixels.astype(int)
    error = np.minimum(2 * pixels, 255) - pixels
    assert double.fidelity[0].largest_difference == error.max()
    assert double.mean_psnr_db == pytest.approx(10 * math.log10(255**2 / (error**2).mean()))


def test_models_of_two_scales_are_refused_on_pictures(models: Mapping[str, Path], photos: Path) -> None:
    with pytest.raises(ImageError, match="one size"):
        compare_models(models["nearest"], models["double"], images=[photos / "camera.png"])


def test_the_mean_is_over_pictures_that_differ(models: Mapping[str, Path], tmp_path: Path, photos: Path) -> None:
    found = compare_models(models["even"], models["double"], images=[photos / "camera.png"])
    identical = dataclasses.replace(found.fidelity[0], psnr_db=math.inf)

    assert dataclasses.replace(found, fidelity=(*found.fidelity, identical)).mean_psnr_db == found.mean_psnr_db
    assert dataclasses.replace(found, fidelity=(identical,)).mean_psnr_db == math.inf


def test_models_on_pictures_need_cards(models: Mapping[str, Path], photos: Path) -> None:
    with pytest.raises(ModelFileError, match="without a card"):
        compare_models(models["bare"], models["nearest"], images=[photos / "camera.png"])


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("photo.tflite.bak", b"\x1c\0\0\0TFL3rest", "model"),
        ("cut.tflite", b"\x1c", "model"),
        ("r.txt", b' \n{"octopix_result": 1}', "result"),
        ("cut.json", b"", "result"),
        ("photo.json.png", b"\x89PNG\r\n\x1a\n", "picture"),
        ("empty", b"", "picture"),
    ],
)
def test_files_are_told_apart_by_content_then_by_name(tmp_path: Path, name: str, content: bytes, kind: str) -> None:
    (tmp_path / name).write_bytes(content)

    assert kind_of(tmp_path / name) == kind


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.png"):
        kind_of(tmp_path / "none.png")


@pytest.mark.parametrize(
    ("b", "judgement"),
    [
        (STEADY, "same"),
        ([value * 1.04 for value in STEADY], "same"),  # apart, but by less than 5 %
        ([value * 1.10 for value in STEADY], "worse"),
        ([value / 1.10 for value in STEADY], "better"),
        ([8, 9, 20, 20], "same"),  # twice the median, but the ranges overlap
        ([5, 5, 5, 10.05], "better"),  # one stray sample does not save A
    ],
)
def test_times_are_judged_beyond_noise(b: Sequence[float], judgement: str) -> None:
    assert judge_samples(STEADY, b) == judgement


def bench(samples: Sequence[float] = STEADY, **changes: Any) -> BenchRow:
    row = BenchRow(
        model="m",
        scheme="float32",
        shape=(1, 8, 8, 1),
        macs=64,
        parameters=4,
        kib=1.5,
        latency=Latency(samples_ms=tuple(samples), warmup=3),
        facts=FACTS,
        graph_sha256="ab",
        file_sha256="cd",
    )
    return dataclasses.replace(row, **changes)


def quantized(psnr_db: float = 30.0, drop_db: float | None = 0.03, **changes: Any) -> QuantizeRow:
    row = QuantizeRow(
        model="m",
        scheme="int8-qat",
        image_set="Set5",
        protocol="y",
        psnr_db=psnr_db,
        ssim=0.9,
        shape=(1, 8, 8, 1),
        flops_convention="2*MAC",
        drop_db=drop_db,
    )
    return dataclasses.replace(row, **changes)


def judge(a: Row, b: Row, **conditions: Any) -> Verdict:
    here: Conditions = dataclasses.replace(read_conditions(), cpu="A CPU", governor="performance")
    kind: Any = {BenchRow: "bench", QuantizeRow: "quantize", ConversionSpeedRow: "conversion-speed"}[type(a)]
    there = dataclasses.replace(here, **conditions)
    return compare_results(Result(kind, (a,), conditions=here), Result(kind, (b,), conditions=there))


def test_a_slower_row_is_worse() -> None:
    verdict = judge(bench(), bench([20.0, 20.1, 20.2]))

    assert verdict.worse
    assert verdict.rows[0].latency_ratio == pytest.approx(20.1 / 10.15)
    assert "×1.98" in verdict.rows[0].reasons[0]


def test_times_of_another_cpu_are_shown_but_not_judged() -> None:
    verdict = judge(bench(), bench([20.0, 20.1, 20.2]), cpu="Another CPU")

    assert not verdict.worse
    assert not verdict.time_judged
    assert verdict.rows[0].latency_ratio == pytest.approx(20.1 / 10.15)
    assert verdict.conditions == ("cpu: A CPU -> Another CPU",)


def test_times_of_unknown_cpus_are_not_judged() -> None:
    slow = bench([20.0, 20.1, 20.2])
    nowhere = dataclasses.replace(read_conditions(), cpu=None, board=None)
    somewhere = dataclasses.replace(nowhere, board="Some Pi")

    for conditions, judged in ((nowhere, False), (somewhere, True)):
        a, b = (Result("bench", (row,), conditions=conditions) for row in (bench(), slow))
        verdict = compare_results(a, b)
        assert verdict.time_judged == verdict.worse == judged


@pytest.mark.parametrize("side", ["A", "B"])
def test_times_that_warn_of_themselves_are_not_judged(side: str) -> None:
    fast, slow = bench(), bench([20.0, 20.1, 20.2])
    shaky = {"A": fast, "B": slow}[side]
    shaky = dataclasses.replace(shaky, latency=dataclasses.replace(shaky.latency, warnings=("unstable: 80 %",)))

    (row,) = judge(*((shaky, slow) if side == "A" else (fast, shaky))).rows

    assert (row.time, row.judgement) == (None, "same")
    assert f"time not judged: {side} unstable: 80 %" in row.reasons


def test_another_governor_is_told_but_judged() -> None:
    verdict = judge(bench(), bench([20.0, 20.1, 20.2]), governor="powersave")

    assert verdict.worse
    assert verdict.conditions == ("governor: performance -> powersave",)


def test_another_runtime_is_a_reason() -> None:
    other = dataclasses.replace(
        FACTS,
        runtime="tflite-runtime",
        version="2.14.0",
        delegate_asked="cpu-builtin",
        delegate_got="cpu-builtin",
    )

    reasons = judge(bench(), bench(facts=other, graph_sha256="0123456789")).rows[0].reasons

    assert "graph ab -> 01234567" in reasons
    assert "delegate_asked cpu-xnnpack -> cpu-builtin" in reasons

    assert "runtime ai-edge-litert -> tflite-runtime" in reasons
    assert "delegate_got cpu-xnnpack -> cpu-builtin" in reasons


@pytest.mark.parametrize(
    ("b", "judgement", "reason"),
    [
        (quantized(30.0), "same", None),
        (quantized(29.99), "same", None),
        (quantized(29.97), "worse", "PSNR -0.030 dB"),
        (quantized(30.03), "better", "PSNR +0.030 dB"),
        (quantized(drop_db=0.06), "worse", "drop +0.030 dB"),
        (quantized(drop_db=0.00), "better", "drop -0.030 dB"),
        (quantized(30.5, drop_db=0.08), "worse", "drop +0.050 dB"),  # a better float network hides no larger loss
        (quantized(drop_db=None), "same", None),
        (quantized(math.inf), "better", "PSNR +inf dB"),
    ],
)
def test_quality_is_judged_beyond_rounding(b: QuantizeRow, judgement: str, reason: str | None) -> None:
    (row,) = judge(quantized(), b).rows

    assert row.judgement == judgement
    assert reason is None or reason in row.reasons


def test_identical_to_identical_is_no_change() -> None:
    (row,) = judge(quantized(math.inf), quantized(math.inf)).rows

    assert (row.judgement, row.psnr_change_db) == ("same", 0.0)


def test_faster_but_less_good_is_worse() -> None:
    slow, fast = (Latency(samples_ms=samples, warmup=3) for samples in ((10.0, 10.1), (5.0, 5.1)))

    (row,) = judge(quantized(latency=slow, facts=FACTS), quantized(29.9, latency=fast, facts=FACTS)).rows

    assert (row.quality, row.time, row.judgement) == ("worse", "better", "worse")


def test_conversion_speed_is_judged_by_its_samples() -> None:
    row = ConversionSpeedRow("m", "int8-ptq-mse", "octopix", 64, (1, 128, 128, 1), (1.0, 1.1))

    assert judge(row, dataclasses.replace(row, samples_s=(2.0, 2.1))).worse


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "n"},
        {"scheme": None},
        {"shape": (1, 9, 8, 1)},
        {"facts": dataclasses.replace(FACTS, threads=2)},
    ],
)
def test_rows_that_do_not_match_are_not_compared(changes: dict[str, Any]) -> None:
    with pytest.raises(ResultError, match="at least one row of the same model"):
        judge(bench(), bench(**changes))


def test_lost_and_new_rows_are_told() -> None:
    a = Result("bench", (bench(), bench(model="lost")))
    b = Result("bench", (bench(), bench(model="new")))

    verdict = compare_results(a, b)

    assert len(verdict.rows) == 1
    assert "lost" in verdict.only_a[0]
    assert "new" in verdict.only_b[0]


def test_results_of_two_kinds_or_with_a_row_twice_are_refused() -> None:
    with pytest.raises(ResultError, match="bench and quantize"):
        compare_results(Result("bench", (bench(),)), Result("quantize", (quantized(),)))
    with pytest.raises(ResultError, match="twice"):
        compare_results(Result("bench", (bench(), bench())), Result("bench", (bench(),)))
