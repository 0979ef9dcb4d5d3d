"""What is claimed, and what is not; and that the table says so."""

import io

import pytest
from rich.console import Console

from benchmarks.peers.contenders import CONTENDERS, NEAREST, OURS, RANGES
from benchmarks.peers.results import Peers
from benchmarks.peers.table import markdown, show
from benchmarks.peers.verdict import verdict
from octopix.latency import Latency

INT8 = [name for name, each in CONTENDERS.items() if each.precision == "int8" and each.group == "onnxruntime"]


def met(entry) -> list[bool | None]:
    return [finding.met for finding in verdict(entry)]


def test_all_points_won(make_entry) -> None:
    # 20 s against 20 s is no less time.
    assert met(make_entry({name: {"seconds": 19.0} for name in (OURS, NEAREST, RANGES)})) == [True] * 8


def test_the_best_of_a_peers_settings_counts(make_entry) -> None:
    entry = make_entry({OURS: {"seconds": 1.0}, INT8[2]: {"psnr_db": 29.975}})

    quality = [finding for finding in verdict(entry) if finding.text.startswith("PSNR")]

    assert [finding.met for finding in quality] == [True, False, True]
    assert INT8[2] in quality[1].text


def test_a_lead_within_a_hundredth_is_none(make_entry) -> None:
    assert met(make_entry({OURS: {"psnr_db": 29.955}}))[1] is False


@pytest.mark.parametrize("name", [NEAREST, RANGES])
@pytest.mark.parametrize(
    ("seconds", "psnr", "expected"),
    [(19.0, 29.935, True), (21.0, 29.935, False), (19.0, 29.925, False)],  # NNCF: 20 s, 29.92 dB
)
def test_quicker_settings_have_to_be_better_at_once(
    make_entry, name: str, seconds: float, psnr: float, expected
) -> None:
    findings = verdict(make_entry({name: {"seconds": seconds, "psnr_db": psnr}}))

    (finding,) = (each for each in findings if each.text.startswith(name.partition(", ")[2]))
    assert finding.met is expected


def test_unsteady_latency_claims_nothing(make_entry) -> None:
    shaken = Latency((1.0, 9.0) * 6, 3)

    assert met(make_entry({OURS: {"latency": shaken}}))[3:5] == [None, None]


@pytest.mark.parametrize(("milliseconds", "expected"), [(4.2, True), (4.3, False)])
def test_openvino_may_be_faster_by_a_fifth(make_entry, milliseconds: float, expected: bool) -> None:
    entry = make_entry({OURS: {"latency": Latency((milliseconds,) * 12, 3)}})  # OpenVINO takes 3.5 ms

    assert met(entry)[4] is expected


def test_a_network_that_peers_cannot_take_claims_nothing_about_them(make_entry) -> None:
    failed = {"psnr_db": None, "latency": None, "seconds": None, "failure": "TANH"}
    entry = make_entry({name: failed for name, each in CONTENDERS.items() if each.group in ("onnxruntime", "openvino")})

    findings = verdict(entry)

    assert [finding.met for finding in findings] == [True]
    assert "TFLiteConverter" in findings[0].text


def test_the_table_says_who_failed(make_entry) -> None:
    stream = io.StringIO()
    entry = make_entry({INT8[0]: {"psnr_db": None, "latency": None, "failure": "the process died"}}, quick=True)

    show(entry, Console(file=stream, width=200))

    text = stream.getvalue()
    assert f"{INT8[0]} failed: the process died" in text
    assert "not for figures" in text
    assert all(name in text for name in CONTENDERS)


def test_markdown_has_a_line_per_network(make_entry) -> None:
    text = markdown(Peers({"a": make_entry(model="a"), "b": make_entry({OURS: {"psnr_db": 29.0}}, model="b")}))

    head, rule, first, second = text.splitlines()
    assert len({line.count("|") for line in (head, rule, first, second)}) == 1
    assert "| `a` | 30.000 | 0.020 | 0.020 | 0.020 | 0.100 | 0.050 | 0.080 | best |" in first
    assert "| not best |" in second
