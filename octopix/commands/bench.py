"""`octopix bench`: time a model on this machine."""

import argparse
import contextlib
from pathlib import Path

from octopix.card import file_sha256, find_card, graph_sha256
from octopix.commands.options import (
    add_json,
    add_session,
    add_size,
    at_least_one,
    delegate_text,
    fallback_notice,
)
from octopix.commands.outcome import Outcome, table
from octopix.conditions import peak_memory_mib
from octopix.errors import ModelFileError
from octopix.latency import measure
from octopix.proof import noise
from octopix.results import BenchRow, Result, write_result
from octopix.runtime import Session, open_session
from octopix.schema import naming, read_model_bytes
from octopix.summary import count, picture_size

HELP = "time a model on this machine"
DESCRIPTION = """\
Time a .tflite: the network alone, on random values, input already in place (on a GPU with the copies there and back,
since only they show when it is done). Raw samples are kept; unsteady
measurements say so.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `octopix bench`."""
    parser.add_argument("model", type=Path, metavar="M.tflite", help="the network; a card is not needed")
    add_size(parser)
    parser.add_argument("--runs", type=at_least_one, default=20, metavar="N", help="least timed calls (default: 20)")
    parser.add_argument(
        "--seconds", type=_seconds, default=2.0, metavar="S", help="least seconds of timed calls (default: 2)"
    )
    parser.add_argument("--warmup", type=at_least_one, default=3, metavar="N", help="calls before them (default: 3)")
    parser.add_argument("--out", type=Path, metavar="R.json", help="write the result there, too")
    add_session(parser)
    add_json(parser)


def execute(args: argparse.Namespace) -> Outcome:
    """Time the model; the payload is a result JSON of kind ``bench``."""
    content = read_model_bytes(args.model)
    with naming(args.model):
        session = open_session(
            content,
            threads=args.threads,
            runtime=args.runtime,
            delegate=args.delegate,
            allow_fallback=args.allow_fallback,
        )
    shape = _shape(session, args.size)
    session.place(noise(shape, session.input_dtype))
    latency = measure(
        session.execute, warmup=args.warmup, runs=args.runs, min_seconds=args.seconds, init_ms=session.init_ms
    )
    cost, card = count(session.graph, (shape[1], shape[2])), find_card(content)
    row = BenchRow(
        model=card.model if card else args.model.stem,
        scheme=card.scheme if card else None,
        shape=shape,
        macs=cost.macs if cost else None,
        parameters=cost.parameters if cost else None,
        kib=len(content) / 1024,
        latency=latency,
        facts=session.facts,
        graph_sha256=graph_sha256(content),
        file_sha256=file_sha256(content),
        peak_memory_mib=peak_memory_mib(),
    )
    result = Result(kind="bench", rows=(row,))
    if args.out is not None:
        write_result(args.out, result)
    return Outcome(result.to_json(), _text(row, result), warnings=fallback_notice(session.facts))


def _shape(session: Session, size: tuple[int, int] | None) -> tuple[int, ...]:
    """The input shape to time."""
    found = picture_size(session.graph, size)
    if found is None:
        raise ModelFileError(
            expected="a network of one input (1, H, W, C)",
            got=f"inputs {', '.join(map(str, session.input_shapes))}",
            do="time it with the benchmark tool of its runtime",
        )
    return (1, *found, session.input_shape[3])


def _text(row: BenchRow, result: Result) -> str:
    latency, facts = row.latency, row.facts
    got = delegate_text(facts)
    if facts.operators_delegated:
        got += f" ({facts.operators_delegated} of {facts.operators} operators)"
    summary = table(
        ("median ms", "p95 ms", "min ms", "mean ms", "stdev ms", "first ms", "init ms", "samples"),
        [
            [
                *(round(value, 3) for value in (latency.median_ms, latency.p95_ms, latency.min_ms, latency.mean_ms)),
                round(latency.stdev_ms, 3),
                *(None if value is None else round(value, 3) for value in (latency.first_ms, latency.init_ms)),
                len(latency.samples_ms),
            ]
        ],
    )
    return "\n".join(
        [
            f"{row.model} {row.scheme or '(no card)'}  input {'x'.join(map(str, row.shape))}  {row.kib:.1f} KiB"
            f"  {_millions(row.macs)} MMACs  {_millions(row.parameters)} M parameters",
            f"{facts.runtime} {facts.version}, {facts.threads} thread(s), asked {facts.delegate_asked}, got {got}",
            f"on {result.conditions.cpu or result.conditions.machine}, {result.conditions.cores} cores",
            f"timed: {facts.timed}",
            summary,
            *(f"warning: {warning}" for warning in latency.warnings),
        ]
    )


def _millions(value: int | None) -> str:
    return "unknown" if value is None else f"{value / 1e6:.3f}"


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= (value := float(text)) <= 3600:
            return value
    raise argparse.ArgumentTypeError(f"expected 0 to 3600 seconds, got {text!r}")
