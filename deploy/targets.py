"""The kinds of device that deploy knows. A transport is one file with a `Target` and one line here."""

from collections.abc import Callable
from pathlib import Path

from deploy.local import LocalTarget
from deploy.target import Target

TARGETS: dict[str, Callable[[Path], Target]] = {
    "local": LocalTarget,
}
"""Name on the command line -> a target with the given working folder."""
