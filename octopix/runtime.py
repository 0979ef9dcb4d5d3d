"""The one place that opens networks, and says truthfully what they run on.

A runtime is chosen by argument (``--runtime``), by the environment variable ``OCTOPIX_RUNTIME``, or as the
first of ``RUNTIMES`` that can be imported. Model bytes are checked by octopix's own reader before
any runtime sees them: tflite-runtime 2.14 ends the whole process on a truncated file.
"""

import importlib
import importlib.metadata
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from octopix.compiled import RUNTIME as COMPILER
from octopix.compiled import compile_model
from octopix.delegates import DELEGATES, Delegate, find_delegate
from octopix.errors import ConfigError, DelegateError, RuntimeMissingError
from octopix.gpu_rules import check_bearable
from octopix.graph import Graph, read_graph
from octopix.interpreters import Interpreter, delegation, make_interpreter
from octopix.proof import is_float, is_half_precise
from octopix.schema import naming, read_model_bytes
from octopix.session import COPIES_TOO, RUN, RunFacts, Session, runtime_errors

__all__ = ["RUNTIMES", "RUNTIME_VARIABLE", "RunFacts", "Session", "load_runtime", "open_session"]

CPU = "cpu"
RUNTIME_VARIABLE = "OCTOPIX_RUNTIME"
MAX_THREADS = 1024
"""More than any CPU has; runtimes ask the system for all at once, and end the process when it refuses."""


@dataclass(frozen=True)
class RuntimeEntry:
    """Where a runtime lives and which extra of octopix installs it."""

    module: str
    extra: str
    numpy_below: int | None = None
    """The NumPy major version it was not compiled for: there it imports, and dies when it makes an interpreter."""


RUNTIMES: Mapping[str, RuntimeEntry] = {
    "ai-edge-litert": RuntimeEntry(module="ai_edge_litert.interpreter", extra="litert"),
    "tflite-runtime": RuntimeEntry(module="tflite_runtime.interpreter", extra="tflite-runtime", numpy_below=2),
}
"""Distribution name -> entry, in order of preference."""


def open_session(
    model: Path | bytes,
    *,
    threads: int = 1,
    runtime: str | None = None,
    delegate: str = "cpu",
    keep_tensors: bool = False,
    allow_fallback: bool = False,
) -> Session:
    """Open a ``.tflite`` for running.

    Args:
        model: the file, or its bytes.
        threads: CPU threads, 1 to `MAX_THREADS`.
        runtime: a key of `RUNTIMES`; None means ``OCTOPIX_RUNTIME``, else the first that is installed.
        delegate: a key of `octopix.delegates.DELEGATES`, or ``library:PATH``.
        keep_tensors: keep every intermediate tensor readable. ai-edge-litert then runs XNNPACK operator
            by operator; tflite-runtime falls back to its builtin kernels (the facts say so).
        allow_fallback: where the delegate is not to be had, let the CPU run the network; ``facts.fallback`` says why.

    Raises:
        RuntimeMissingError: no runtime, or not the one asked for, can be imported.
        ModelFileError: the file is damaged or foreign, or holds what the runtime cannot run.
        DelegateError: the delegate is not to be had, or does not run this network, and there is no fall-back.
        ConfigError: an unknown runtime or delegate, or a number of threads out of range.
    """
    _check_threads(threads)
    asked = find_delegate(delegate)
    name, module = load_runtime(runtime)
    content = read_model_bytes(model)
    with naming(model):
        opening = _Opening(content, read_graph(content), name, module, threads, keep_tensors)
        try:
            return _opened(opening, asked)
        except DelegateError as error:
            if not allow_fallback:
                raise
            session = _interpreted(opening, DELEGATES[CPU])
            session.facts = replace(
                session.facts, delegate_asked=asked.asked, fallback=f"expected {error.expected}, got {error.got}"
            )
            return session


@dataclass(frozen=True)
class _Opening:
    """A network that is to be opened."""

    content: bytes
    graph: Graph
    runtime: str
    module: Any
    threads: int
    keep_tensors: bool


def _opened(opening: _Opening, delegate: Delegate) -> Session:
    return _compiled(opening, delegate) if delegate.resolver is None else _interpreted(opening, delegate)


def _interpreted(opening: _Opening, delegate: Delegate) -> Session:
    start = time.perf_counter()
    with runtime_errors(opening.runtime, "a model this runtime can run", _advice(opening.runtime)):
        interpreter = make_interpreter(
            opening.module,
            opening.content,
            opening.graph,
            resolver=str(delegate.resolver),
            threads=opening.threads,
            keep_tensors=opening.keep_tensors,
            library=delegate.library,
        )
    init_ms = (time.perf_counter() - start) * 1000
    operators, delegated = delegation(interpreter)
    taker = delegate.asked if delegate.library else "cpu-xnnpack"
    got = None if delegated is None else taker if delegated else "cpu-builtin"
    facts = _facts(opening, delegate, got, (operators, delegated))
    return Session(Interpreter(interpreter), opening.graph, facts, init_ms=init_ms, keep_tensors=opening.keep_tensors)


def _compiled(opening: _Opening, delegate: Delegate) -> Session:
    _check_compiled(opening, delegate)
    start = time.perf_counter()
    engine, adapter = compile_model(opening.content, opening.graph, delegate, threads=opening.threads)
    init_ms = (time.perf_counter() - start) * 1000
    operators = len(opening.graph.operators)
    # Accepted for the GPU alone: all of them. How many of them XNNPACK takes here, nobody says.
    facts = _facts(opening, delegate, None, (operators, operators if adapter else None))
    session = Session(engine, opening.graph, facts, init_ms=init_ms, keep_tensors=False)
    half = is_half_precise(session, _interpreted(opening, DELEGATES[CPU]), asked=delegate.asked)
    got = (adapter.got if adapter else DELEGATES[CPU].asked) + "-fp16" * half
    timed = COPIES_TOO if adapter else RUN
    session.facts = replace(facts, delegate_got=got, adapter=adapter.name if adapter else None, timed=timed)
    return session


def _check_compiled(opening: _Opening, delegate: Delegate) -> None:
    """Refuse what CompiledModel does not do, or what would end the process there."""
    if opening.keep_tensors:
        raise ConfigError(expected="a delegate that shows tensors", got=delegate.asked, do="choose cpu or cpu-builtin")
    if opening.runtime != COMPILER:
        raise DelegateError(
            expected=f"the runtime {COMPILER} for {delegate.asked}",
            got=opening.runtime,
            do=f'run: pip install "octopix[{RUNTIMES[COMPILER].extra}]", or choose --delegate cpu',
        )
    if delegate.hardware == "GPU":
        check_bearable(opening.graph)
    elif not is_float(opening.graph):
        raise DelegateError(
            expected="a float network for half precision",
            got="one with integer weights or values",
            do="choose --delegate cpu, which computes integers as integers",
        )


def _facts(
    opening: _Opening, delegate: Delegate, got: str | None, operators: tuple[int | None, int | None]
) -> RunFacts:
    return RunFacts(
        runtime=opening.runtime,
        version=_version(opening.runtime),
        delegate_asked=delegate.asked,
        delegate_got=got,
        threads=opening.threads,
        operators=operators[0],
        operators_delegated=operators[1],
    )


def load_runtime(name: str | None = None) -> tuple[str, Any]:
    """Choose and import a runtime: (its key in `RUNTIMES`, its interpreter module).

    Raises:
        ConfigError: ``name`` or ``OCTOPIX_RUNTIME`` is no key of `RUNTIMES`.
        RuntimeMissingError: it is not installed, or cannot be imported; names the command that mends it.
    """
    wanted = name or os.environ.get(RUNTIME_VARIABLE) or None
    if wanted is not None:
        _known(RUNTIMES, wanted, f"runtime (given, or in {RUNTIME_VARIABLE}) that")
    candidates = tuple(RUNTIMES) if wanted is None else (wanted,)
    reasons = []
    for candidate in candidates:
        try:
            return candidate, _import(RUNTIMES[candidate])
        except (ImportError, OSError) as error:  # OSError: a native library that is damaged or of another machine
            reasons.append(f"{candidate}: {' '.join(str(error).split())}")
    raise RuntimeMissingError(
        expected="an installed TFLite runtime" if wanted is None else f"the runtime {wanted}",
        got="; ".join(reasons),
        do=f'run: pip install "octopix[{RUNTIMES[candidates[0]].extra}]"',
    )


def _import(entry: RuntimeEntry) -> Any:
    module = importlib.import_module(entry.module)
    if entry.numpy_below is not None and int(np.__version__.partition(".")[0]) >= entry.numpy_below:
        raise ImportError(f"compiled for NumPy below {entry.numpy_below}, but this is NumPy {np.__version__}")
    return module


def _version(runtime: str) -> str:
    try:
        return importlib.metadata.version(runtime)
    except importlib.metadata.PackageNotFoundError:  # a module put there by hand, without its package's records
        return "unknown"


def _advice(runtime: str) -> str:
    others = " or ".join(name for name in RUNTIMES if name != runtime)
    return f"try another runtime ({others}), or convert the model for older operator versions"


def _check_threads(threads: int) -> None:
    if not 1 <= threads <= MAX_THREADS:
        raise ConfigError(
            expected=f"1 to {MAX_THREADS} threads", got=str(threads), do="give as many as the CPU has cores"
        )


def _known(registry: Mapping[str, Any], name: str, what: str) -> Any:
    if name not in registry:
        raise ConfigError(
            expected=f"a {what} octopix knows", got=repr(name), do=f"choose one of: {', '.join(registry)}"
        )
    return registry[name]
