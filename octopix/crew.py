"""Several interpreters at once over a stream of items: results in the items' order, memory bounded."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

Tool = TypeVar("Tool")
Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    items: Iterable[Item], *, workers: int, make: Callable[[], Tool], work: Callable[[Tool, int, Item], Result]
) -> Iterator[Result]:
    """``work`` on every item with its number, in the order of the items, whichever worker finishes first.

    Args:
        items: may be a stream: only a window of it is held.
        workers: threads, each with a tool of its own at a time.
        make: makes a tool, such as a session, which threads must not share.
        work: from a tool, the item's number and the item to its result.
    """
    idle: SimpleQueue[Tool] = SimpleQueue()
    for _ in range(workers):
        idle.put(make())

    def one(number: int, item: Item) -> Result:
        tool = idle.get()
        try:
            return work(tool, number, item)
        finally:
            idle.put(tool)

    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for number, item in enumerate(items):
                waiting.append(pool.submit(one, number, item))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # an error, or Ctrl-C: what is not begun is not done
            pool.shutdown(cancel_futures=True)
