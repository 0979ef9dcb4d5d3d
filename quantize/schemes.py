"""Schemes: how a float model's numbers are stored, named by one grammar in file names, cards, tables and options.

``float32``, ``float16``   weights and arithmetic in that type
``dynamic``                int8 weights; activations are quantized on the fly, input and output stay float32
``int16x8-ptq``            int8 weights, int16 activations, float32 input and output; post-training, min-max ranges
``int8-ptq-<calibrator>[+cle][+bias][+adaround]``
                           everything int8, uint8 input and output; post-training, ranges by the named calibrator,
                           then the named corrections of `quantize.corrections`, each kept where it helps
``…~<sha8>``               an int8-ptq scheme that leaves some layers in float; the card names them
``int8-qat``               the same graph after quantization-aware training, which starts from the equalized model

``int8-ptq-`` takes any name of `quantize.calibrators.CALIBRATORS`. Decoding the grammar needs no TensorFlow.
"""

import dataclasses
import hashlib
from collections.abc import Collection
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
    keep_float: tuple[str, ...] = ()
    """Layers that stay in float, sorted; `selective` names such schemes."""


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
"""Schemes that are one word. QAT's calibrator and corrections give the model that it starts from and has to beat."""

BEST_PTQ = "int8-ptq-mse+cle+bias+adaround"
"""Post-training quantization with all that helps."""
NEAREST_PTQ = "int8-ptq-mse+cle+bias"
"""The same with weights rounded to nearest: what is quick of it."""
QUICKEST_PTQ = "int8-ptq-mse"
"""The same without corrections: ranges alone."""

DEFAULT_SCHEMES = ("float32", "float16", "dynamic", "int8-ptq-minmax", QUICKEST_PTQ, BEST_PTQ, "int8-qat")
"""What ``all`` means. int16x8 runs on slow reference kernels and is made on request."""

PTQ = "int8-ptq-"
SELECTIVE = "~"
"""Stands in a scheme's name before the hash of its layers."""
DIGITS = 8


def known_schemes() -> tuple[str, ...]:
    """Every name the grammar allows, without corrections."""
    return (*PLAIN, *(PTQ + calibrator for calibrator in CALIBRATORS))


def parse_scheme(text: str) -> Scheme:
    """Decode one name.

    Raises:
        ConfigError: not in the grammar; the message lists what is known. Or a selective scheme, whose name does not
            tell its layers.
    """
    if SELECTIVE in text:
        raise ConfigError(
            expected=f"a scheme without its {SELECTIVE}…, and its layers", got=repr(text), do="name them in KEEP_FLOAT="
        )
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


def selective(scheme: Scheme, names: Collection[str]) -> Scheme:
    """A post-training scheme that leaves the named layers in float; without names the scheme itself.

    Raises:
        ConfigError: a scheme of another kind.
    """
    if not names:
        return scheme
    if scheme.kind != "int8-ptq":
        raise ConfigError(
            expected="a scheme int8-ptq-… for layers to be kept in float", got=scheme.name, do="name one in SCHEME="
        )
    kept = tuple(sorted(set(names)))
    digits = hashlib.sha256("\n".join(kept).encode()).hexdigest()[:DIGITS]
    return dataclasses.replace(scheme, name=f"{scheme.name}{SELECTIVE}{digits}", keep_float=kept)
