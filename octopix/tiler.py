"""A network at work on pictures of any size: in one piece or in tiles, by one interpreter or by several."""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from queue import SimpleQueue
from typing import TypeVar

import numpy as np

from octopix.card import ModelCard
from octopix.errors import ModelFileError
from octopix.images import Array
from octopix.margins import Margins, round_up
from octopix.planner import Planner, Wish
from octopix.ports import decode, encode
from octopix.runtime import Session
from octopix.tile_size import Way, fastest
from octopix.tiling import Size, Span, Tiling
from octopix.windows import Source

Item = TypeVar("Item")
Open = Callable[[int], Session]
"""Opens the network with so many threads."""
Store = Callable[[Array, slice, slice], None]
"""Takes values (h, w, C) for some rows and columns of the result."""
OnTile = Callable[[int, int], None]
"""Told how many tiles are done, and of how many."""

_REPEATS = 2
_KEPT = 64 * 64
"""Pixels that an interpreter may stay prepared for."""


class Tiler:
    """A network with its interpreters. Not to be shared between threads.

    Args:
        open_with: opens the network.
        card: of that network.
        wish: what the user asks for.
    """

    def __init__(self, open_with: Open, card: ModelCard, wish: Wish) -> None:
        self.session = open_with(wish.threads)
        self._open_with = open_with
        self._scale = 1 if card.enlarged else card.scale
        self._card = card
        self._crew: list[Session] = []
        choose = functools.partial(_fastest, open_with, wish.threads)
        planner = Planner(self.session, multiple_of=card.multiple_of, wish=wish, choose=choose)
        self._plan = functools.lru_cache(maxsize=16)(planner.plan)

    def tiling(self, size: Size) -> Tiling:
        """What `run` does with a source of this size; tries tile sizes where that decides.

        Raises:
            ConfigError: as `octopix.planner.Planner.plan`.
        """
        plan = self._plan(size)
        tiles = len(plan.layout)
        return Tiling(tiles, plan.layout.tile, plan.overlap if tiles > 1 else 0, plan.interpreters, plan.exact)

    def run(self, source: Source, store: Store, *, on_tile: OnTile | None = None) -> None:
        """Send a picture through the network; ``store`` is called once for every tile, maybe from several threads.

        Raises:
            ConfigError: as `octopix.planner.Planner.plan`.
            ModelFileError: the network cannot take this size, or its output is not the card's scale times the input.
        """
        plan = self._plan(source.size)
        job = functools.partial(self._work, source, plan.layout.tile, store)
        for done, _ in enumerate(_shared(self._sessions(plan.interpreters), job, list(plan.layout)), start=1):
            if on_tile is not None:
                on_tile(done, len(plan.layout))

    def release(self) -> None:
        """Give back the memory of large tiles until it is needed again."""
        self._crew.clear()
        height, width = self.session.input_shape[1:3]
        least = round_up(16, self._card.multiple_of)
        if height * width > _KEPT:
            with contextlib.suppress(ModelFileError):  # it cannot be resized, and so has no large tiles
                self.session.resize((1, least, least, self.session.input_shape[3]))

    def _work(self, source: Source, tile: Size, store: Store, session: Session, spans: tuple[Span, Span]) -> None:
        rows, columns = spans
        seen = encode(source.window(rows.origin, columns.origin, *tile), session)
        result = session.invoke(seen[np.newaxis])[0]
        expected = (tile[0] * self._scale, tile[1] * self._scale, seen.shape[2])
        if result.shape != expected:
            raise ModelFileError(
                expected=f"an output of {expected}, as the card's scale {self._card.scale} says",
                got=f"{result.shape}",
                do="write the model again with `make quantize`",
            )
        (down, inside), (across, within) = (
            _kept(span, length, self._scale) for span, length in zip(spans, source.size, strict=True)
        )
        store(decode(result[inside, within], session), down, across)

    def _sessions(self, count: int) -> Sequence[Session]:
        if count == 1:
            return [self.session]
        while len(self._crew) < count:
            self._crew.append(self._open_with(1))
        return self._crew[:count]


def _kept(span: Span, length: int, scale: int) -> tuple[slice, slice]:
    """What a tile gives: where in the result, and where in the tile's own output."""
    stop = min(span.stop, length)
    return (
        slice(span.start * scale, stop * scale),
        slice((span.start - span.origin) * scale, (stop - span.origin) * scale),
    )


def _shared(sessions: Sequence[Session], job: Callable[[Session, Item], None], items: Sequence[Item]) -> Iterator[None]:
    """Do a job for every item, each with a session that is idle; yields after each."""
    if len(sessions) == 1:
        for item in items:
            job(sessions[0], item)
            yield
        return
    idle: SimpleQueue[Session] = SimpleQueue()
    for session in sessions:
        idle.put(session)

    def work(item: Item) -> None:
        session = idle.get()
        try:
            job(session, item)
        finally:
            idle.put(session)

    with ThreadPoolExecutor(len(sessions)) as pool:
        try:
            for done in as_completed([pool.submit(work, item) for item in items]):
                done.result()
                yield
        finally:  # an error, or Ctrl-C: what is not begun is not done
            pool.shutdown(wait=True, cancel_futures=True)


def _fastest(open_with: Open, threads: int, ways: Sequence[Way], margins: Margins) -> Way:
    """The fastest way to tile, by running tiles of noise; the interpreters are closed afterwards."""
    sessions: list[Session] = []

    def seconds(way: Way) -> float:
        if len(sessions) != way.interpreters:
            sessions.clear()
            each = threads if way.interpreters == 1 else 1
            sessions.extend(open_with(each) for _ in range(way.interpreters))
        for session in sessions:
            session.place(_noise(session, way.side))
        turns = range(_REPEATS * len(sessions))
        _execute(sessions, turns)  # packs weights, touches memory
        start = time.perf_counter()
        _execute(sessions, turns)
        return (time.perf_counter() - start) / len(turns) / (way.side - margins.overlap) ** 2

    return fastest(ways, seconds)


def _execute(sessions: Sequence[Session], turns: Sequence[int]) -> None:
    for _ in _shared(sessions, lambda session, _: session.execute(), turns):
        pass


def _noise(session: Session, side: int) -> Array:
    values = np.random.default_rng(0).random((side, side, session.input_shape[3]), np.float32)
    return encode(values, session)[np.newaxis]
