"""Work that overlaps: what comes next is made while this is worked on, and what is done is put away meanwhile.

Neither runs far: a bounded number of items waits, so a folder of large pictures needs the memory of a few.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def ahead(items: Iterable[Item], *, depth: int = 1) -> Generator[Item, None, None]:
    """The same items in the same order; another thread makes up to ``depth`` of them in advance.

    What making one raises is raised here, in its turn.
    """
    makers = iter(items)

    def make() -> tuple[Item, ...]:
        for item in makers:
            return (item,)
        return ()

    with ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(make) for _ in range(depth))
        try:
            while made := waiting.popleft().result():
                waiting.append(pool.submit(make))
                yield made[0]
        finally:  # an error, or Ctrl-C: what is not begun is not done
            pool.shutdown(cancel_futures=True)
            _close(makers)


def behind(calls: Iterable[Callable[[], Item]], *, depth: int = 1) -> Generator[Item, None, None]:
    """What the calls give, in their order; another thread makes them while the next one is prepared.

    ``calls`` is walked in the caller's thread, ``depth`` calls ahead of what is yielded.
    """
    waiting: deque[Future[Item]] = deque()
    with ThreadPoolExecutor(1) as pool:
        try:
            for call in calls:
                waiting.append(pool.submit(call))
                if len(waiting) > depth:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
            _close(calls)


def _close(items: object) -> None:
    """Let a generator end now, not when its last user is forgotten: it may hold a file that is closed next."""
    if isinstance(items, Generator):
        items.close()
