"""Writing files so that a reader never meets half of one: temporary file first, rename last."""

import contextlib
import functools
import json
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from octopix.errors import OctopixError

_ASKING = threading.Lock()


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; move it over ``target`` if the block succeeds.

    The suffix of ``target`` is kept, since image and weight writers choose their format by it.
    On any error the temporary file is removed and ``target`` stays as it was.

    Raises:
        OctopixError: the folder cannot be made or written, or ``target`` is a device, a pipe or a folder.
    """
    target = Path(target)
    _check_regular(target)
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


def write_bytes(target: Path, content: bytes | memoryview) -> None:
    """Write ``content`` to ``target`` at once or not at all."""
    with replacing(target) as part:
        part.write_bytes(content)


def write_text(target: Path, content: str) -> None:
    """Write UTF-8 ``content`` to ``target`` at once or not at all."""
    write_bytes(target, content.encode())


def write_json(target: Path, content: Any) -> None:
    """Write ``content`` as strict JSON (no NaN, no Infinity) at once or not at all."""
    # UTF-8 has everything but the halves of surrogates that stand for odd bytes in file names: JSON writes them \udcXX.
    write_bytes(target, dump_json(content).encode(errors="backslashreplace"))


def dump_json(content: Any, *, ascii_only: bool = False) -> str:
    """Strict, stable JSON text; NaN and Infinity raise ``ValueError`` because no reader is bound to know them.

    ``ascii_only`` escapes all other characters, for streams of unknown encoding.
    """
    return json.dumps(content, indent=2, ensure_ascii=ascii_only, allow_nan=False) + "\n"


def check_writable(folder: Path) -> None:
    """Meet a folder that cannot be written now, not after minutes; what lies in it stays.

    Raises:
        OctopixError: it cannot be made or written.
    """
    probe = folder / ".probe"
    write_bytes(probe, b"")
    probe.unlink()


def name_of(path: Path) -> str:
    """The name of a model that came as ``path``: its stem, or a folder's name, in letters safe in file names."""
    resolved = path.resolve()
    stem = resolved.name if resolved.is_dir() else resolved.stem
    return re.sub(r"[^A-Za-z0-9_+-]+", "_", stem).strip("_") or "model"


def is_folder(path: Path) -> bool:
    """Whether ``path`` is a folder; False where the system will not tell (no permission, a name too long)."""
    try:
        return path.is_dir()
    except OSError:
        return False


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


def _check_regular(target: Path) -> None:
    """A rename over a pipe or over ``/dev/null`` would replace it for everyone."""
    with _readable_errors(target):
        special = target.exists() and not target.is_file()
    if special:
        raise OctopixError(
            expected=f"a writable place for {target}",
            got="a folder" if target.is_dir() else "something that is no regular file",
            do="choose another name",
        )


def _default_mode() -> int:
    with _ASKING:  # the umask belongs to the process, and can only be read by setting it
        return _asked_mode()


@functools.cache
def _asked_mode() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask
