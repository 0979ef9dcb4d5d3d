"""What is said of figures: means over sets, the choice, the warnings, the terminal."""

import dataclasses
import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from benchmarks.columns import fixed, times
from benchmarks.summary import summarise, verdict
from benchmarks.table import console_for, show
from octopix.card import ModelCard
from octopix.latency import Latency
from octopix.results import QuantizeRow, Result

Make = Callable[..., Result]


def printed(result: Result) -> str:
    stream = io.StringIO()
    show(result, console_for(stream))
    return stream.getvalue()


def changed(result: Result, change: Callable[[QuantizeRow], QuantizeRow]) -> Result:
    return dataclasses.replace(result, rows=tuple(change(row) for row in result.rows))  # type: ignore[arg-type]


def test_over_several_sets_the_mean_of_means_counts_each_set_once(make_result: Make) -> None:
    summary = summarise(make_result())
    assert summary.float_row is not None
    # Set5 has two images of 33 and 35 dB, Set14 one of 26: (34 + 26) / 2, not 94 / 3.
    assert summary.float_row.psnr_db == 30.0
    assert summary.images == 3


def test_every_column_of_every_row_is_printed(make_result: Make) -> None:
    lines = printed(make_result()).splitlines()
    title = next(line for line in lines if line.strip())
    assert "mean of Set5 and Set14 · 3 images · protocol y" in title
    cells = next(line for line in lines if line.startswith("int8-qat")).split()
    assert cells == [
        *("int8-qat", "0.812", "0.0248", "34.0", "29.938", "0.8750", "0.062", "48.00", "5.00", "2.00×", "1x128x128")
    ]
    assert next(line for line in lines if line.startswith("bicubic")).split().count("–") == 8


def test_each_set_has_its_figures_where_there_are_several(make_result: Make) -> None:
    text = printed(make_result())
    second = text[text.index("each set") :]
    assert next(line for line in second.splitlines() if line.startswith("int8-ptq-mse")).split() == [
        *("int8-ptq-mse", "33.875", "0.8750", "0.125", "25.875", "0.8750", "0.125")
    ]
    assert "each set" not in printed(make_result(images={"Set5": {"Set5/baby.png": 33.0}}))


def test_a_pipe_gets_whole_columns_without_colours(make_result: Make) -> None:
    text = printed(make_result())
    assert "\x1b" not in text
    assert "…" not in text


def test_the_table_fits_a_terminal_of_100_columns(make_result: Make) -> None:
    stream = io.StringIO()
    show(make_result(), Console(file=stream, width=100, force_terminal=False))
    assert "int8-ptq-mse" in stream.getvalue()
    assert "1x128x128" in stream.getvalue()
    assert "…" not in stream.getvalue()


def test_what_to_ship_is_chosen_on_validation_not_on_test_images(make_result: Make) -> None:
    # On the test images int8-qat loses less (0.0625 against 0.125); the validation lists say the opposite.
    pick = summarise(make_result(validation={"int8-ptq-mse": 0.01, "int8-qat": 0.02})).pick
    assert pick is not None
    assert (pick.row.scheme, pick.chosen_on) == ("int8-ptq-mse", "validation")


def test_without_validation_figures_the_smallest_drop_is_taken_and_that_is_said(make_result: Make) -> None:
    pick = summarise(make_result(validation={"int8-ptq-mse": 0.01})).pick
    assert pick is not None
    assert (pick.row.scheme, pick.chosen_on) == ("int8-qat", "test")


def test_the_verdict_says_cost_speed_and_size(make_result: Make) -> None:
    assert verdict(summarise(make_result())) == (
        "Ship int8-qat: it loses 0.062 dB and runs 2.00 times as fast as float32, in 34 KiB instead of 100."
    )


def test_an_int8_file_that_gains_or_is_slower_is_not_praised_wrongly(make_result: Make) -> None:
    result = changed(make_result(), lambda row: dataclasses.replace(row, drop_db=-0.25, ratio_to_float32=0.5))
    assert "gains 0.250 dB and is slower than float32 here (0.50 times its speed)" in verdict(summarise(result))


def test_without_float32_there_are_no_drops_and_a_warning(make_result: Make) -> None:
    alone = make_result(schemes=("bicubic", "int8-qat"))
    alone = changed(alone, lambda row: dataclasses.replace(row, drop_db=None, fidelity_db=None, ratio_to_float32=None))
    text = printed(alone)
    assert next(line for line in text.splitlines() if line.startswith("int8-qat")).split().count("–") == 3
    assert "warning: no float32.tflite was measured" in text


def test_without_int8_nothing_is_recommended(make_result: Make) -> None:
    assert verdict(summarise(make_result(schemes=("bicubic", "float32")))) == "No int8 file was measured."


def test_warnings_of_all_rows_stand_once_and_unsteady_rows_are_named(make_result: Make) -> None:
    def disturb(row: QuantizeRow) -> QuantizeRow:
        if row.latency is None:
            return row
        unsteady = ("unstable",) if row.scheme == "int8-qat" else ()
        latency = dataclasses.replace(row.latency, samples_ms=(4.0, 6.0), warnings=("busy machine", *unsteady))
        return dataclasses.replace(row, latency=latency)

    # Samples 4 and 6: mean 5, standard deviation sqrt(2), 28 %.
    assert summarise(changed(make_result(), disturb)).warnings == (
        "latency, busy machine",
        "latency unsteady (int8-qat ±28%): no speed-up is claimed",
    )


@pytest.mark.parametrize(
    ("samples", "claim"),
    [((4.0, 6.0), ""), ((4.5, 5.5), " and runs 2.00 times as fast as float32")],  # spreads of 28 and 14 %
    ids=["wide", "narrow"],
)
def test_a_speed_up_is_claimed_only_where_all_latencies_are_steady(
    make_result: Make, samples: tuple[float, ...], claim: str
) -> None:
    def disturb(row: QuantizeRow) -> QuantizeRow:
        if row.latency is None or row.scheme != "float16":
            return row
        return dataclasses.replace(row, latency=Latency(samples, warmup=3, warnings=("busy machine",)))

    summary = summarise(changed(make_result(), disturb))
    assert verdict(summary) == f"Ship int8-qat: it loses 0.062 dB{claim}, in 34 KiB instead of 100."


def with_cards(result: Result, change: Callable[[ModelCard], ModelCard]) -> Result:
    """``change`` is made to the card of int8-qat."""
    return changed(
        result,
        lambda row: dataclasses.replace(row, card=change(row.card)) if row.card and row.scheme == "int8-qat" else row,
    )


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"image_set": "mine"}, "different images or protocols"),
        ({"images": 4}, "different images or protocols"),
        ({"protocol": "rgb"}, "different images or protocols"),
        ({"psnr_float": 30.01}, "different float models"),
    ],
)
def test_validation_figures_of_different_ground_choose_nothing(
    make_result: Make, other: dict[str, Any], reason: str
) -> None:
    def change(card: ModelCard) -> ModelCard:
        assert card.validation is not None
        return dataclasses.replace(card, validation=dataclasses.replace(card.validation, **other))

    # By the cards alone int8-ptq-mse would be chosen; on the test images int8-qat loses less.
    summary = summarise(with_cards(make_result(validation={"int8-ptq-mse": 0.01, "int8-qat": 0.5}), change))
    assert summary.pick is not None
    assert (summary.pick.row.scheme, summary.pick.chosen_on) == ("int8-qat", "test")
    assert any("chosen on test images" in warning and reason in warning for warning in summary.warnings)


@pytest.mark.parametrize(
    ("training", "warning"),
    [
        ("seed 7; made with --quick", "warning: files made with --quick"),
        (
            "QAT 60 steps, post-training's model was not beaten, seed 7",
            "warning: int8-qat holds post-training's model, which training did not beat",
        ),
    ],
)
def test_cards_that_tell_of_little_training_are_warned_of(make_result: Make, training: str, warning: str) -> None:
    result = make_result()
    assert warning not in printed(result)
    assert warning in printed(with_cards(result, lambda card: dataclasses.replace(card, training=training)))


@pytest.mark.parametrize("title", ["Set5 (quick)", "Set14 (quick: first 4)"])
def test_quick_measurements_are_warned_of(make_result: Make, title: str) -> None:
    assert "warning: measured with --quick" in printed(make_result(images={title: {"a.png": 30.0}}))
    assert "--quick" not in printed(make_result())


def test_images_that_do_not_count_are_named(make_result: Make) -> None:
    result = changed(
        make_result(),
        lambda row: dataclasses.replace(row, psnr_per_image={**row.psnr_per_image, f"{row.image_set}/flat.png": None}),
    )
    assert any("leave out Set5/flat.png, Set14/flat.png" in warning for warning in summarise(result).warnings)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0312, "0.031"), (-0.0312, "−0.031"), (-0.0001, "0.000"), (None, "–"), (float("inf"), "inf")],
)
def test_numbers_as_text(value: float | None, text: str) -> None:
    assert fixed(value, 3) == text


def test_ratios_as_text() -> None:
    assert (times(2.284), times(None)) == ("2.28×", "–")
