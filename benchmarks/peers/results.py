"""``peers.json``: what was measured of each network beside its peers, versioned; reading checks every field.

A file holds one entry per network, each with its own conditions; measuring a network again replaces its entry alone.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.peers.contenders import Group, Precision
from octopix.conditions import Conditions
from octopix.errors import ResultError
from octopix.files import write_json
from octopix.latency import Latency
from octopix.records import from_json, parse
from octopix.results import latency_json

VERSION = 1
MAGIC = "octopix_peers"
RESULTS = Path(__file__).parents[1] / "results" / "peers.json"


@dataclass(frozen=True)
class Row:
    """One contender on one network. What was not measured is None; ``failure`` says why."""

    name: str
    group: Group
    precision: Precision
    settings: str
    psnr_db: float | None = None
    """Mean of the sets' means."""
    drop_db: float | None = None
    """PSNR of LiteRT's float32 minus this; both rounded to 8 bits first."""
    fidelity_db: float | None = None
    """PSNR against LiteRT's float32; None where all pictures are identical."""
    psnr_per_set: Mapping[str, float] = field(default_factory=dict)
    psnr_per_image: Mapping[str, float | None] = field(default_factory=dict)
    """None where it is infinite in some row; the image then counts in no row."""
    seconds: float | None = None
    """Of the conversion, from a float model and crops to int8; None for float rows."""
    peak_memory_mib: float | None = None
    """Of the process that converted."""
    latency: Latency | None = None
    failure: str | None = None


@dataclass(frozen=True)
class Calibration:
    """The crops that everyone calibrated on."""

    crops: int
    shape: tuple[int, ...]
    """Of one crop, (H, W, C)."""
    sha256: str


@dataclass(frozen=True)
class Entry:
    """One network beside its peers."""

    model: str
    created: str
    conditions: Conditions
    versions: Mapping[str, str]
    threads: int
    protocol: str
    sets: Mapping[str, int]
    """Title -> images."""
    shape: tuple[int, ...]
    """Network input that was timed, (1, H, W, C)."""
    quick: bool
    calibration: Calibration
    ours: str
    """Scheme of the row ``octopix int8``."""
    graph_sha256: Mapping[str, str]
    """Contender -> graph of the given ``.tflite``."""
    onnx_difference: float | None
    """Largest difference of the ONNX graph's output from the float ``.tflite``'s, of 1; None where there is none."""
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    """What a reader must know: a network that peers cannot take, and why."""

    def row(self, name: str) -> Row | None:
        """The row of a contender."""
        return next((row for row in self.rows if row.name == name), None)


@dataclass(frozen=True)
class Peers:
    """A whole file: name of the network -> entry."""

    models: Mapping[str, Entry]


def read_peers(path: Path) -> Peers:
    """Read a file; none there is an empty one.

    Raises:
        ResultError: truncated, foreign, of another version, or with a field that is missing or of another type.
    """
    if not path.exists():
        return Peers({})
    try:
        raw = parse(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _unusable(path, str(error)) from error
    version = raw.get(MAGIC) if isinstance(raw, Mapping) else None
    if version != VERSION:
        raise _unusable(path, "JSON of another kind" if version is None else f"version {version!r}")
    return from_json(Peers, raw, where=path.name)


def write_peers(path: Path, peers: Peers) -> None:
    """Write the whole file, at once or not at all."""
    models = {name: _entry_json(entry) for name, entry in sorted(peers.models.items())}
    write_json(path, {MAGIC: VERSION, "models": models})


def with_entry(peers: Peers, entry: Entry) -> Peers:
    """The same with one network measured again."""
    return Peers({**peers.models, entry.model: entry})


def _entry_json(entry: Entry) -> dict[str, Any]:
    raw = dataclasses.asdict(entry)
    for row, shown in zip(entry.rows, raw["rows"], strict=True):
        if row.latency is not None:
            shown["latency"] = latency_json(row.latency)
    return raw


def _unusable(path: Path, got: str) -> ResultError:
    return ResultError(
        expected=f"a comparison of version {VERSION} in {path}",
        got=got,
        do="restore the file, or give another one as --out",
    )
