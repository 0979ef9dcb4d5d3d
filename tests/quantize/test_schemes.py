import pytest

from octopix.errors import ConfigError
from quantize.calibrators import CALIBRATORS
from quantize.methods import METHODS
from quantize.schemes import DEFAULT_SCHEMES, known_schemes, parse_scheme, parse_schemes, selective


@pytest.mark.parametrize("name", known_schemes())
def test_every_known_name_decodes_to_itself_and_has_a_method(name: str) -> None:
    scheme = parse_scheme(name)
    assert scheme.name == name
    assert scheme.kind in METHODS
    assert scheme.calibrator is None or scheme.calibrator in CALIBRATORS


def test_corrections_follow_the_calibrator() -> None:
    scheme = parse_scheme("int8-ptq-percentile+cle+adaround")
    assert (scheme.kind, scheme.calibrator, scheme.corrections) == ("int8-ptq", "percentile", ("cle", "adaround"))


def test_all_means_the_defaults_in_order() -> None:
    assert tuple(scheme.name for scheme in parse_schemes("all")) == DEFAULT_SCHEMES


def test_a_list_keeps_its_order_and_drops_repetitions() -> None:
    names = [scheme.name for scheme in parse_schemes("int8-qat, float32,int8-qat")]
    assert names == ["int8-qat", "float32"]


@pytest.mark.parametrize(
    "text", ["int8", "int8-ptq", "int8-ptq-", "int8-ptq-median", "INT8-QAT", "mse+cle", "int8-ptq-mse+bias+cle"]
)
def test_an_unknown_name_is_refused_with_all_that_are_known(text: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse_scheme(text)
    assert repr(text) in str(refusal.value)
    assert all(name in str(refusal.value) for name in known_schemes())


@pytest.mark.parametrize("text", ["", " , "])
def test_no_scheme_at_all_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="all"):
        parse_schemes(text)


def test_a_selective_scheme_is_named_by_a_hash_of_its_layers_whatever_their_order() -> None:
    plain = parse_scheme("int8-ptq-mse+cle")
    one, other = selective(plain, ["tail", "head"]), selective(plain, ["head", "tail"])
    assert one == other
    assert one.keep_float == ("head", "tail")
    base, mark, digits = one.name.partition("~")
    assert (base, mark, len(bytes.fromhex(digits))) == (plain.name, "~", 4)
    assert selective(plain, ["head"]).name != one.name
    assert selective(plain, []) is plain


def test_only_post_training_leaves_layers_in_float() -> None:
    with pytest.raises(ConfigError, match="int8-qat"):
        selective(parse_scheme("int8-qat"), ["head"])


def test_the_hash_alone_does_not_tell_the_layers() -> None:
    with pytest.raises(ConfigError, match="KEEP_FLOAT"):
        parse_scheme("int8-ptq-mse~0123abcd")
