"""TensorFlow without its native chatter, for the command lines of `train` and `quantize`."""

import contextlib
import faulthandler
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO


@contextlib.contextmanager
def native_noise_dropped() -> Iterator[TextIO]:
    """Send what native code writes to file descriptor 2 nowhere, and yield a stream that still reaches the user.

    TensorFlow's C++ prints notes on every import and conversion, whatever its log level. Python's ``sys.stderr`` keeps
    working, and a crash in native code still leaves Python's traceback.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept, before = os.dup(2), sys.stderr
    with (
        os.fdopen(kept, "w", buffering=1, encoding="utf-8", errors="replace") as screen,
        Path(os.devnull).open("w") as void,
    ):
        os.dup2(void.fileno(), 2)
        sys.stderr = screen
        faulthandler.enable(screen)
        try:
            import tensorflow as tf

            tf.get_logger().setLevel("ERROR")
            yield screen
        finally:
            faulthandler.disable()
            os.dup2(kept, 2)
            sys.stderr = before
