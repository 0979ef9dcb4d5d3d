"""Schemes: how a float model's numbers are stored, named by one grammar in file names, cards, tables and options.

``float32``, ``float16``   weights and arithmetic in that type
``dynamic``                int8 weights; activations are quantized on the fly, input and output stay float32
``int16x8-ptq``            int8 weights, int16 activations, float32 input and output; post-training, min-max ranges
``int8-ptq-<calibrator>[+cle][+bias][+adaround]``
                           everything int8, uint8 input and output; post-training, ranges by the named calibrator,
                           then the named corrections of `quantize.corrections`, each kept where it helps
``int8-qat``               the same graph after quantization-aware training, which starts where the corrections end

``int8-ptq-`` takes any name of `quantize.calibrators.CALIBRATORS`. Decoding the grammar needs no TensorFlow.
"""

from dataclasses import dataclass
from typing import Literal

from octopix.errors import ConfigError
from quantize.calibrators import CALIBRATORS

Kind = Literal["float32", "float16", "dynamic", "int16x8-ptq", "int8-ptq", "int8-qat"]


@dataclass(frozen=True)
class Scheme:
    """A decoded scheme name."""

    name: str
    kind: Kind
    calibrator: str | None = None
    """Who reads ranges from statistics; None where no range is needed."""
    corrections: tuple[str, ...] = ()
    """Names out of `CORRECTIONS`, in that order."""


CORRECTIONS = ("cle", "bias", "adaround")
"""What may follow a calibrator, each with a plus, in this order."""


PLAIN: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme("float32", "float32"),
        Scheme("float16", "float16"),
        Scheme("dynamic", "dynamic"),
        Scheme("int16x8-ptq", "int16x8-ptq", "minmax"),
        Scheme("int8-qat", "int8-qat", "mse", CORRECTIONS),
    )
}
"""Schemes that are one word. QAT's calibrator and corrections give the model it starts from."""

BEST_PTQ = "int8-ptq-mse+cle+bias+adaround"
"""Post-training quantization with all that helps."""

DEFAULT_SCHEMES = ("float32", "float16", "dynamic", "int8-ptq-minmax", "int8-ptq-mse", BEST_PTQ, "int8-qat")
"""What ``all`` means. int16x8 runs on slow reference kernels and is made on request."""

PTQ = "int8-ptq-"


def known_schemes() -> tuple[str, ...]:
    """Every name the grammar allows, without corrections."""
    return (*PLAIN, *(PTQ + calibrator for calibrator in CALIBRATORS))


def parse_scheme(text: str) -> Scheme:
    """Decode one name.

    Raises:
        ConfigError: not in the grammar; the message lists what is known.
    """
    if text in PLAIN:
        return PLAIN[text]
    base, *corrections = text.split("+")
    in_order = [each for each in CORRECTIONS if each in corrections]
    if base.startswith(PTQ) and base.removeprefix(PTQ) in CALIBRATORS and corrections == in_order:
        return Scheme(text, "int8-ptq", base.removeprefix(PTQ), tuple(corrections))
    known = f"{', '.join(known_schemes())}; behind {PTQ}… any of +{', +'.join(CORRECTIONS)}, in this order"
    raise ConfigError(expected=f"a scheme ({known})", got=repr(text), do="correct SCHEME=")


def parse_schemes(text: str) -> tuple[Scheme, ...]:
    """Decode ``all`` or names joined by commas, in order, each once.

    Raises:
        ConfigError: a name is unknown, or there is none.
    """
    names = DEFAULT_SCHEMES if text == "all" else tuple(filter(None, (part.strip() for part in text.split(","))))
    if not names:
        raise ConfigError(expected="`all` or scheme names joined by commas", got=repr(text), do="correct SCHEME=")
    return tuple(parse_scheme(name) for name in dict.fromkeys(names))
