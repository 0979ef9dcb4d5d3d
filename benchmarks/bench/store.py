"""What a run has measured so far, cell by cell, so that a stopped or broken run goes on where it was."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.bench.records import MAGIC, VERSION
from octopix.errors import ResultError
from octopix.files import write_json
from octopix.records import from_json, parse

Record = TypeVar("Record")
Made = Mapping[str, object]
"""What a record depends on: another file, machine, runtime or setting makes it worthless."""


class Store:
    """Records by name in a folder. Whatever cannot be read, or was made otherwise, is as if it were not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def forget(self) -> None:
        """Begin anew."""
        for path in self._folder.glob("*.json"):
            path.unlink()

    def kept(self, kind: type[Record], name: str, made: Made) -> Record | None:
        """A record of an earlier run that was made the same way; None if there is none."""
        path = self._path(name)
        try:
            raw = parse(path.read_bytes())
        except (OSError, ValueError):
            return None
        if not isinstance(raw, Mapping) or raw.get(MAGIC) != VERSION or raw.get("made") != _strict(made):
            return None
        try:
            return from_json(kind, raw.get("record"), where=path.name)
        except ResultError:
            return None

    def keep(self, record: Any, name: str, made: Made) -> None:
        """Write a record, at once or not at all."""
        content = {MAGIC: VERSION, "made": _strict(made), "record": dataclasses.asdict(record)}
        write_json(self._path(name), content)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"


def _strict(made: Made) -> dict[str, str]:
    return {name: str(value) for name, value in made.items()}
