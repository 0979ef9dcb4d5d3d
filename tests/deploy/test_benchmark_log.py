"""What both tools named benchmark_model write, read back."""

import struct
from pathlib import Path

import pytest

from deploy.benchmark_log import delegate_of, failure, flags_of, read_result_file, read_text
from deploy.target import StableTargetError

LOGS = Path(__file__).parent / "logs"


def log(name: str) -> str:
    return (LOGS / f"{name}.txt").read_text()


def number(field: int, value: float) -> bytes:
    """A float of a protocol buffer."""
    return bytes([field << 3 | 5]) + struct.pack("<f", value)


def message(field: int, content: bytes) -> bytes:
    return bytes([field << 3 | 2, len(content)]) + content


LATENCY = b"".join(number(field, value) for field, value in enumerate((55.0, 53.0, 60.5, 1.5, 54.5, 53.25, 58.25), 1))
RESULT = (
    message(1, b"a message of another number")
    + message(2, LATENCY + number(8, 18.75) + number(9, 64.5) + number(10, 57.75))
    + message(3, number(1, 9192.0) + number(2, 19172.0) + number(3, 35.25))
    + message(4, number(1, 0.5) + bytes([2 << 3, 50, 3 << 3, 0x80 | 2, 1]))
)


def test_the_result_file() -> None:
    found = read_result_file(RESULT)

    assert (found.avg_ms, found.min_ms, found.max_ms) == (55.0, 53.0, 60.5)
    assert (found.median_ms, found.p95_ms, found.init_ms, found.first_ms) == (54.5, 58.25, 18.75, 64.5)
    assert (found.peak_memory_mib, found.runs, found.warmup_runs) == (35.25, 50, 130)


def test_a_result_file_of_no_memory_says_none() -> None:
    assert read_result_file(message(2, LATENCY)).peak_memory_mib is None


@pytest.mark.parametrize(
    "content", [RESULT[:40], b"\x0a", b"\xff" * 20, message(2, LATENCY)[:-1], b"no protocol buffer"]
)
def test_a_result_file_that_is_cut_off_is_refused(content: bytes) -> None:
    with pytest.raises(StableTargetError, match="BenchmarkResult"):
        read_result_file(content)


def test_the_classic_tools_text() -> None:
    found = read_text(log("classic"))

    assert (found.runs, found.warmup_runs) == (50, 10)
    assert (found.init_ms, found.first_ms, found.avg_ms) == (18.777, 64.791, 55.0432)
    assert (found.min_ms, found.median_ms, found.p95_ms, found.max_ms) == (53.077, 54.602, 58.154, 60.727)
    assert found.peak_memory_mib == 35.2


def test_the_text_of_older_builds() -> None:
    """Without ``INFO:``, percentiles and peak memory, with exponents."""
    found = read_text(log("classic-old"))

    assert (found.avg_ms, found.min_ms, found.first_ms) == (1012.03, 1007.53, 1007.53)
    assert (found.median_ms, found.p95_ms, found.peak_memory_mib) == (None, None, None)


def test_a_single_run_has_one_value() -> None:
    found = read_text("count=1 curr=55043\n")

    assert (found.runs, found.avg_ms, found.median_ms) == (1, 55.043, 55.043)


def test_the_litert_tools_text() -> None:
    found = read_text(log("litert"))

    assert (found.runs, found.warmup_runs) == (50, 10)
    assert (found.init_ms, found.first_ms, found.avg_ms) == (45.32, 92.31, 85.23)
    assert (found.min_ms, found.max_ms, found.peak_memory_mib) == (82.1, 91.02, 35.2)


def test_a_log_of_a_failure_gives_its_words() -> None:
    with pytest.raises(StableTargetError, match=r"Failed to allocate tensors!; Benchmarking failed\."):
        read_text("INFO: STARTING!\nERROR: Failed to allocate tensors!\nERROR: Benchmarking failed.\n")

    assert failure("all well") == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (log("classic"), ("xnnpack", "completely")),
        (log("classic-old"), ("gpu", "not")),
        (log("litert"), ("xnnpack", "created")),
        (
            "Explicitly applied GPU delegate, and the model graph will be partially executed by the delegate "
            "w/ 44 delegate kernels.",
            ("gpu", "partially"),
        ),
        ("nothing of delegates", None),
    ],
)
def test_what_was_delegated(text: str, expected: tuple[str, str] | None) -> None:
    assert delegate_of(text) == expected


def test_flags_that_a_tool_knows() -> None:
    usage = (
        "usage: ./benchmark_model <flags>\nFlags:\n\t--num_runs=50\tint32\toptional\tsee --graph\n\t--graph=\tstring\n"
    )

    assert flags_of(usage) == {"num_runs", "graph"}
