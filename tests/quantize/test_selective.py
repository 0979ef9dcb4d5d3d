"""Layers left in float: those named, no others, and what that wins and costs."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from octopix.card import full_integer_first, read_card
from octopix.errors import ConfigError, ModelFileError
from octopix.graph import read_graph
from quantize.__main__ import main
from quantize.checks import check
from quantize.selective import cost, layers, mixed, named

Make = Callable[[str], Any]
NETWORKS = ["anchored", "espcn", "residual", "separable", "hourglass"]


@pytest.mark.parametrize("name", NETWORKS)
def test_each_layer_can_be_left_in_float_alone(corrector: Any, name: str) -> None:
    candidate = corrector(name).start
    for layer in layers(read_graph(candidate.float_model)):
        model = mixed(candidate, named(candidate.float_model, [layer.name]))
        check(model, "int8-ptq", left_in_float=[layer.place])
        with pytest.raises(ModelFileError, match="int8 kernels"):
            check(model, "int8-ptq")


def test_layers_in_float_come_closer_to_the_float_model(corrector: Any) -> None:
    bench = corrector("espcn")
    everything = layers(read_graph(bench.start.float_model))
    # All layers in float: what is left is the output rounded to 8 bits, an error of 1/12 LSB² on average, and
    # none where the network saturates.
    assert bench.judge.error(mixed(bench.start, everything)) <= 1.1 / 12 / 255**2
    assert min(bench.judge.error(mixed(bench.start, [each])) for each in everything) < bench.judge.error(
        bench.start.int8
    )


def test_a_name_that_is_none_is_refused_with_those_there_are(corrector: Any) -> None:
    candidate = corrector("espcn").start
    names = [layer.name for layer in layers(read_graph(candidate.float_model))]
    with pytest.raises(ConfigError, match="maping") as refusal:
        named(candidate.float_model, [names[0], "maping"])
    assert all(name in str(refusal.value) for name in names)


def test_a_model_with_another_layer_in_float_does_not_pass(corrector: Any) -> None:
    candidate = corrector("espcn").start
    first, second, _ = layers(read_graph(candidate.float_model))
    with pytest.raises(ModelFileError, match="in float"):
        check(mixed(candidate, [first]), "int8-ptq", left_in_float=[second.place])


def test_the_cost_is_timed_on_both_models(corrector: Any) -> None:
    candidate = corrector("espcn").start
    found = cost(candidate.int8, mixed(candidate, layers(read_graph(candidate.float_model))[:1]))
    assert found.int8_ms > 0
    assert found.extra_ms == found.mixed_ms - found.int8_ms


def test_the_best_int8_is_a_full_integer_one_where_there_is_one() -> None:
    whole, part = SimpleNamespace(float_layers=()), SimpleNamespace(float_layers=("head",))
    assert full_integer_first([part, whole], lambda card: card) == [whole]  # type: ignore[arg-type, return-value]
    assert full_integer_first([part], lambda card: card) == [part]  # type: ignore[arg-type, return-value]


def test_a_selective_file_says_what_is_float_and_a_wrong_name_is_met_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OCTOPIX_DATA", raising=False)
    words = ["--model", "espcn_x4", "--scheme", "int8-ptq-mse", "--quick", "--out", str(tmp_path)]
    assert main([*words, "--keep-float", "features"]) == 2
    assert "espcn_x4/features/Relu" in capsys.readouterr().err
    assert not list(tmp_path.glob("*/*.tflite"))
    assert main([*words, "--keep-float", "espcn_x4/features/Relu"]) == 0
    (path,) = tmp_path.glob("espcn_x4/*~*.tflite")
    card = read_card(path)
    assert (card.float_layers, card.scheme) == (("espcn_x4/features/Relu",), path.stem)
    full = read_card(tmp_path / "espcn_x4" / "int8-ptq-mse.tflite")
    assert card.validation is not None
    assert full.validation is not None
    assert card.validation.drop < full.validation.drop
    assert main(["--model", "espcn_x4", "--keep-float", "espcn_x4/features/Relu", "--out", str(tmp_path)]) == 2
    assert "SCHEME=all" in capsys.readouterr().err
