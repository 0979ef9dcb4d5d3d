"""Work in a process of its own: whatever happens there ends nothing here."""

import os
import signal
import sys

from benchmarks.peers.apart import apart


def _double(value: int) -> int:
    sys.stdout.write("this would spoil the table\n")
    return 2 * value


def _fails(value: int) -> int:
    raise ValueError(f"no {value}\nhere")


def _crashes() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def test_the_value_comes_back_with_what_it_cost(capfd) -> None:
    done = apart(_double, 21)

    assert (done.value, done.failure) == (42, None)
    assert done.seconds >= 0
    assert done.peak_memory_mib is None or done.peak_memory_mib > 1
    assert capfd.readouterr().out == ""


def test_an_error_comes_back_as_one_line() -> None:
    done = apart(_fails, 3)

    assert (done.value, done.failure) == (None, "ValueError: no 3 here")


def test_a_crash_comes_back_as_a_failure() -> None:
    done = apart(_crashes)

    assert done.value is None
    assert "died" in str(done.failure)
