import re
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from octopix import latency
from octopix.latency import Latency, instabilities, measure, measure_alternating, quantile


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> "Clock":
    """Time that passes only inside the calls under test, on a machine that is idle."""
    clock = Clock()
    monkeypatch.setattr(latency, "time", SimpleNamespace(perf_counter=lambda: clock.seconds))
    monkeypatch.setattr(latency, "load_average", lambda: 0.0)
    return clock


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0
        self.order: list[str] = []

    def call(self, name: str, *milliseconds: float) -> Callable[[], None]:
        """A call that takes these times in turn, then the last one for ever."""
        times = list(milliseconds)

        def run() -> None:
            self.order.append(name)
            self.seconds += (times.pop(0) if len(times) > 1 else times[0]) / 1000

        return run


def test_samples_are_raw_and_in_order(clock: Clock) -> None:
    found = measure(clock.call("a", 50, 9, 1, 2, 3, 4), warmup=2, runs=4, min_seconds=0)

    assert found.samples_ms == pytest.approx((1, 2, 3, 4))
    assert found.first_ms == pytest.approx(50)
    assert found.warmup == 2


def test_runs_until_both_the_runs_and_the_seconds_are_reached(clock: Clock) -> None:
    few_but_slow = measure(clock.call("a", 500), runs=3, min_seconds=0.1)
    many_but_fast = measure(clock.call("a", 10), runs=3, min_seconds=1.0)

    assert len(few_but_slow.samples_ms) == 3
    assert len(many_but_fast.samples_ms) == pytest.approx(100, abs=1)  # 1 s of 10 ms, give or take a rounding


def test_microseconds_do_not_fill_the_file(clock: Clock) -> None:
    assert len(measure(clock.call("a", 0.001), min_seconds=2.0).samples_ms) == latency.MAX_SAMPLES


def test_calls_alternate(clock: Clock) -> None:
    found = measure_alternating(
        {"a": clock.call("a", 1), "b": clock.call("b", 2)}, warmup=1, runs=3, min_seconds=0, init_ms={"b": 7.0}
    )

    assert clock.order == ["a", "b"] * 4  # the warm-up and three runs
    assert found["a"].median_ms == pytest.approx(1)
    assert found["b"].median_ms == pytest.approx(2)
    assert (found["a"].init_ms, found["b"].init_ms) == (None, 7.0)


def test_summary_of_known_samples() -> None:
    found = Latency(samples_ms=tuple(range(1, 101)), warmup=0)

    assert found.median_ms == 50.5
    assert found.p95_ms == 95  # 95 of 100 samples are no larger
    assert (found.min_ms, found.mean_ms) == (1, 50.5)
    assert found.stdev_ms == pytest.approx(29.0115, abs=1e-4)  # sqrt(100·101/12), by hand


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1), (0.25, 1), (0.26, 2), (0.95, 4), (1.0, 4)])
def test_quantile_is_nearest_rank(share: float, expected: int) -> None:
    assert quantile((4, 2, 3, 1), share) == expected


def test_one_sample_has_a_summary() -> None:
    found = Latency(samples_ms=(3.0,), warmup=0)

    assert (found.median_ms, found.p95_ms, found.stdev_ms) == (3.0, 3.0, 0.0)


def test_steady_samples_give_no_warning() -> None:
    assert instabilities([10.0, 10.1] * 10) == ()


@pytest.mark.parametrize(
    ("samples", "warning"),
    [
        ([10.0, 10.1], "only 2 samples"),
        ([10.0, 20.0] * 10, "the standard deviation is 34% of the mean"),
        ([10.0] * 10 + [10.8] * 10, r"drifting: .* \+8%"),
    ],
)
def test_weak_measurements_say_so(samples: list[float], warning: str) -> None:
    (found,) = instabilities(samples)

    assert re.search(warning, found)


def test_busy_machine_is_named(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "load_average", lambda: 9.5)
    monkeypatch.setattr(latency, "available_cores", lambda: 2)

    (warning,) = measure(clock.call("a", 1), min_seconds=0).warnings

    assert "load average 9.5 on 2 cores" in warning
