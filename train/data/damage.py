"""Images that cannot be used among good ones: named always, left out on request only."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from octopix.errors import DataError, ImageError


class Readable(Protocol):
    """An image, or a pair of them, by name; an `ImageRef` or a `PairRef`."""

    @property
    def name(self) -> str:
        """Names it in errors."""

    @property
    def read(self) -> Callable[[], Any]:
        """Reads it; ImageError where it cannot be used."""


R = TypeVar("R", bound=Readable)


def usable(refs: Iterable[R], *, tell: Callable[[str], None]) -> tuple[R, ...]:
    """What of ``refs`` can be read, in their order; ``tell`` gets a line for each that cannot.

    Everything is read once for this. Without this call, the first damaged image ends the work with its name.

    Raises:
        DataError: none is left.
    """
    every = tuple(refs)
    left = tuple(ref for ref in every if _reads(ref, tell))
    if not left:
        raise DataError(expected="at least one image that can be used", got=f"none of {len(every)}", do="replace them")
    return left


def _reads(ref: Readable, tell: Callable[[str], None]) -> bool:
    try:
        ref.read()
    except ImageError as error:
        tell(f"left out: {ref.name}: {error}")
        return False
    return True
