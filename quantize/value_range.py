"""Value ranges of networks: which numbers stand for black and white, at the input and at the output."""

from collections.abc import Iterator
from dataclasses import dataclass

from octopix.errors import ConfigError

SPANS: dict[str, tuple[float, float]] = {"0..1": (0.0, 1.0), "-1..1": (-1.0, 1.0), "0..255": (0.0, 255.0)}
"""Black and white, by the name that options give it."""


@dataclass(frozen=True)
class ValueRange:
    """(black, white) of what goes in and of what comes out."""

    given: tuple[float, float] = (0.0, 1.0)
    made: tuple[float, float] = (0.0, 1.0)

    @property
    def name(self) -> str:
        """As `parse_value_range` takes it."""
        names = {span: name for name, span in SPANS.items()}
        given, made = names[self.given], names[self.made]
        return given if given == made else f"{given}:{made}"


UNIT = ValueRange()
"""What octopix' own networks have."""


def every_range() -> Iterator[ValueRange]:
    """All combinations, `UNIT` first."""
    return (ValueRange(given, made) for given in SPANS.values() for made in SPANS.values())


def parse_value_range(text: str) -> ValueRange:
    """``0..1``, ``-1..1`` or ``0..255``, or two of them, ``IN:OUT``.

    Raises:
        ConfigError: anything else.
    """
    given, _, made = text.partition(":")
    made = made or given
    if given not in SPANS or made not in SPANS:
        known = ", ".join(SPANS)
        raise ConfigError(
            expected=f"a value range ({known}), or two as IN:OUT", got=repr(text), do="correct VALUE_RANGE="
        )
    return ValueRange(SPANS[given], SPANS[made])
