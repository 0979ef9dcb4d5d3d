"""How far a command is: one line that overwrites itself, only where a person watches."""

import sys
import time

_BAR = 24
"""Characters."""
_MANY = 10
"""From so many items on, a bar and the time that is left say more than a count."""
_PAUSE = 0.1
"""Seconds between two lines about the parts of one item."""


class Progress:
    """Progress through ``total`` items, which is None where that is not known."""

    def __init__(self, total: int | None) -> None:
        self._total = total
        self._watched = sys.stderr.isatty() and total != 1
        self._start = time.monotonic()
        self._last = 0.0

    def begin(self, place: int, name: str) -> None:
        """Item ``place``, the first is 1, is begun."""
        if self._watched:
            self._write(_line(place, self._total, name, time.monotonic() - self._start), last=place == self._total)

    def count(self, done: int, name: str) -> None:
        """So many of many quick items are done; not every one of them is shown."""
        now = time.monotonic()
        if self._watched and (now - self._last > _PAUSE or done == self._total):
            self._last = now
            self._write(_line(done, self._total, name, now - self._start), last=done == self._total)

    def _write(self, line: str, *, last: bool) -> None:
        sys.stderr.write(f"\r\x1b[K{line}" + ("\n" if last else ""))
        sys.stderr.flush()


def _line(place: int, total: int | None, name: str, seconds: float) -> str:
    if total is None:
        return f"{place} {name}"
    if total < _MANY:
        return f"{place}/{total} {name}"
    share = min(place / total, 1.0)
    bar = "#" * int(share * _BAR)
    return f"[{bar:-<{_BAR}}] {place}/{total} {name}{_left(seconds, share)}"


def _left(seconds: float, share: float) -> str:
    """An estimate, once there is something to go by."""
    if seconds < 1 or not 0 < share < 1:
        return ""
    left = round(seconds * (1 - share) / share)
    return f", {left // 60}:{left % 60:02} left"
