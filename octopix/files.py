"""Writing files so that a reader never meets half of one: temporary file first, rename last."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from octopix.errors import OctopixError


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; move it over ``target`` if the block succeeds.

    The suffix of ``target`` is kept, since image and weight writers choose their format by it.
    On any error the temporary file is removed and ``target`` stays as it was.

    Raises:
        OctopixError: the folder cannot be made or written.
    """
    target = Path(target)
    with _readable_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".part-", suffix=target.suffix)
        os.close(handle)
    part = Path(name)
    try:
        with _readable_errors(target):
            yield part
            part.chmod(_default_mode())  # mkstemp's 0600 would hide results from colleagues
            part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def write_bytes(target: Path, content: bytes) -> None:
    """Write ``content`` to ``target`` at once or not at all."""
    with replacing(target) as part:
        part.write_bytes(content)


def write_text(target: Path, content: str) -> None:
    """Write UTF-8 ``content`` to ``target`` at once or not at all."""
    write_bytes(target, content.encode())


def write_json(target: Path, content: Any) -> None:
    """Write ``content`` as strict JSON (no NaN, no Infinity) at once or not at all."""
    write_text(target, dump_json(content))


def dump_json(content: Any) -> str:
    """Strict, stable JSON text; NaN and Infinity raise ``ValueError`` because no reader is bound to know them."""
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


@contextlib.contextmanager
def _readable_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OctopixError(
            expected=f"a writable place for {target}",
            got=f"{error.strerror or error}",
            do="choose another output folder, or free space and permissions there",
        ) from error


def _default_mode() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask
