"""Checkpoints of a training: the newest whole one is what a killed run goes on from."""

import contextlib
import errno
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from octopix.errors import ConfigError

KEPT = 2
"""Checkpoints in a folder: the newest, and one to fall back to."""

UNREADABLE = (tf.errors.OpError, IndexError, RuntimeError)
"""What TensorFlow raises on damaged checkpoints; a file cut short is an IndexError of its C++."""

FOREIGN = (AssertionError, ValueError)
"""What it raises where names or shapes are not those of the state to fill."""


class Checkpoints:
    """Saves state under the number of its step, and fills it from the newest checkpoint that is whole.

    Args:
        folder: where they are.
        state: by name, what TensorFlow can track: models, optimizers, variables.

    Raises:
        ConfigError: all checkpoints there are damaged, or of another network.
    """

    def __init__(self, folder: Path, state: Mapping[str, Any]) -> None:
        self._folder = folder
        self._state = tf.train.Checkpoint(**state)
        self._restore()
        # TensorFlow's note of them may be damaged, and its retention never removes what an earlier process saved:
        # the files themselves are what counts here.
        (folder / "checkpoint").unlink(missing_ok=True)
        self._manager = tf.train.CheckpointManager(self._state, str(folder), max_to_keep=None)

    @property
    def newest(self) -> int:
        """Step of the newest checkpoint, 0 where there is none."""
        return int(_number((kept_in(self._folder) or ["ckpt-0"])[0]))

    def save(self, step: int) -> None:
        """Write the state; the checkpoints before stay until it is whole.

        Raises:
            ConfigError: it cannot be written, for instance because the disk is full.
        """
        try:
            with room_for("a checkpoint", self._folder):
                self._manager.save(step)
        except ConfigError:
            self._discard(f"ckpt-{step}[._]*")  # it takes the space that lacks
            self._discard("checkpoint.tmp*")
            raise
        for prefix in kept_in(self._folder)[KEPT:]:
            self._discard(f"{Path(prefix).name}.*")

    def _discard(self, pattern: str) -> None:
        for path in sorted(self._folder.glob(pattern), reverse=True):
            for part in (*path.rglob("*"), path):
                part.rmdir() if part.is_dir() else part.unlink(missing_ok=True)

    def _restore(self) -> None:
        """Fill the state from the newest checkpoint that is whole; leave it as it is where there is none yet."""
        problem: Exception | None = None
        for prefix in kept_in(self._folder):
            try:
                self._fill(prefix)
            except FOREIGN as error:
                raise ConfigError(
                    expected=f"checkpoints of this network in {self._folder}",
                    got=f"those of another architecture ({_first_line(error)})",
                    do="name a new folder with --run",
                ) from error
            except UNREADABLE as error:
                problem = error
            else:
                return
        if problem is not None:
            raise ConfigError(
                expected=f"a whole checkpoint in {self._folder}",
                got=f"damaged ones only ({_first_line(problem)})",
                do="restore them, or name a new folder with --run",
            ) from problem

    def _fill(self, prefix: str) -> None:
        status = self._state.restore(prefix)
        try:
            status.assert_consumed()
        except AssertionError:
            status.expect_partial()  # or TensorFlow lists on stderr what was left over
            raise


@contextlib.contextmanager
def room_for(what: str, folder: Path) -> Iterator[None]:
    """Let TensorFlow write ``what`` below ``folder``, and say in a ConfigError why it cannot."""
    try:
        yield
    except (tf.errors.OpError, OSError) as error:
        full = isinstance(error, tf.errors.ResourceExhaustedError) or getattr(error, "errno", None) == errno.ENOSPC
        raise ConfigError(
            expected=f"room for {what} in {folder}",
            got="a full disk" if full else _first_line(error),
            do="make room there; the same command goes on at the last checkpoint",
        ) from error


def kept_in(folder: Path) -> list[str]:
    """Prefixes of the checkpoints in a folder, newest first."""
    prefixes = [str(path.with_suffix("")) for path in folder.glob("ckpt-*.index")]
    return sorted(prefixes, key=_number, reverse=True)


def _number(prefix: str) -> int:
    return int(prefix.rpartition("-")[2])


def _first_line(error: Exception) -> str:
    """What an error says, without TensorFlow's ``{{node …}}`` in front and ``[Op:…]`` behind."""
    line = (str(error) or type(error).__name__).splitlines()[0]
    return re.sub(r"\{\{.*?\}\}|\[Op:\w+\]", "", line).strip()
