import threading
from collections.abc import Iterator

import pytest

from octopix.streams import ahead, behind


def test_items_come_in_order_and_a_bounded_number_of_them_early() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(20):
            made.append(number)
            yield number

    for place, number in enumerate(ahead(items(), depth=2)):
        assert place == number
        assert len(made) <= place + 3  # this one and two more

    assert made == list(range(20))


def test_the_next_item_is_made_while_one_is_worked_on() -> None:
    second = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        second.set()
        yield 2

    first, *_ = (second.wait(60) for _ in ahead(items()))
    assert first


def test_calls_are_made_in_order_while_the_next_is_prepared() -> None:
    prepared, called = threading.Event(), []

    def first() -> int:
        assert prepared.wait(60)  # this would never end if the second were prepared only after it
        called.append(1)
        return 1

    def calls() -> Iterator[object]:
        yield first
        prepared.set()
        yield lambda: called.append(2) or 2

    assert list(behind(calls())) == [1, 2]  # type: ignore[arg-type]
    assert called == [1, 2]


def test_errors_arrive_in_their_turn() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError("second")

    stream = ahead(items())
    assert next(stream) == 1
    with pytest.raises(KeyError, match="second"):
        next(stream)

    written = behind(iter([lambda: 1, lambda: 1 // 0, lambda: 3]))
    assert next(written) == 1
    with pytest.raises(ZeroDivisionError):
        next(written)


def test_a_stream_that_is_left_ends_what_it_reads() -> None:
    ended = []

    def items() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            ended.append(True)

    stream = ahead(items())
    next(stream)
    stream.close()

    assert ended == [True]
