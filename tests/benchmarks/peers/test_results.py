"""``peers.json`` comes back as it was written, and what is no such file is refused."""

import json
from pathlib import Path

import pytest

from benchmarks.peers.results import Peers, read_peers, with_entry, write_peers
from octopix.errors import ResultError


def test_written_and_read_back(make_entry, tmp_path: Path) -> None:
    peers = with_entry(Peers({}), make_entry(notes=("a note",)))
    write_peers(tmp_path / "peers.json", peers)

    assert read_peers(tmp_path / "peers.json") == peers


def test_another_network_stays(make_entry) -> None:
    first, second = make_entry(), make_entry(model="cnn_x4")
    again = make_entry(threads=2)

    peers = with_entry(with_entry(with_entry(Peers({}), first), second), again)

    assert dict(peers.models) == {"espcn_x4": again, "cnn_x4": second}


def test_no_file_is_an_empty_comparison(tmp_path: Path) -> None:
    assert read_peers(tmp_path / "peers.json") == Peers({})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text[: len(text) // 2], "Expecting|Unterminated|delimiter"),
        (lambda text: text.replace('"octopix_peers": 1', '"octopix_peers": 2'), "version 2"),
        (lambda text: text.replace("octopix_peers", "octopix_result"), "another kind"),
        (lambda text: "[1, 2]", "another kind"),
        (lambda text: text.replace('"group": "octopix"', '"group": "somebody"'), "somebody"),
        (lambda text: text.replace('"threads": 1', '"threads": "one"'), "threads"),
    ],
)
def test_what_is_none_is_refused(make_entry, tmp_path: Path, change, says: str) -> None:
    path = tmp_path / "peers.json"
    write_peers(path, with_entry(Peers({}), make_entry()))
    path.write_text(change(path.read_text()))

    with pytest.raises(ResultError, match=says):
        read_peers(path)


def test_readers_without_octopix_find_medians(make_entry, tmp_path: Path) -> None:
    write_peers(tmp_path / "peers.json", with_entry(Peers({}), make_entry()))

    (row, *_) = json.loads((tmp_path / "peers.json").read_text())["models"]["espcn_x4"]["rows"]

    assert row["latency"]["median_ms"] == 10.0
