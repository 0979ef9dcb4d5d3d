"""How many threads linear algebra takes."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from threadpoolctl import threadpool_limits

Function = TypeVar("Function", bound=Callable[..., Any])


def one_thread(function: Function) -> Function:
    """The function, with NumPy and SciPy on one thread while it runs.

    For small matrices, and beside interpreters on all cores: several threads would wait for one another there.
    """
    return cast(Function, threadpool_limits.wrap(limits=1, user_api="blas")(function))
