"""Trying again: transient errors only, a few times, waiting twice as long each time."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from deploy.target import TargetTimeoutError, TransientTargetError

Outcome = TypeVar("Outcome")


@dataclass(frozen=True)
class Patience:
    """How often, and how long between."""

    attempts: int = 3
    first_wait_s: float = 1.0
    timed_out_attempts: int = 2
    """What hung once may have met a busy device; what hung twice will hang again, and each time costs its limit."""
    sleep: Callable[[float], None] = time.sleep

    def persist(self, action: Callable[[], Outcome], *, before_retry: Callable[[], None] = lambda: None) -> Outcome:
        """Call ``action`` until it succeeds, fails for good, or was tried often enough; the last error is raised.

        Args:
            action: what to try.
            before_retry: what to do after waiting, such as connecting anew.
        """
        tries = 0
        while True:
            tries += 1
            try:
                return action()
            except TransientTargetError as error:
                most = self.timed_out_attempts if isinstance(error, TargetTimeoutError) else self.attempts
                if tries >= min(most, self.attempts):
                    raise
            self.sleep(self.first_wait_s * 2 ** (tries - 1))
            before_retry()


NO_PATIENCE = Patience(attempts=1)
