"""`octopix inspect`: what is inside a `.tflite`."""

import argparse
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from octopix.card import ModelCard
from octopix.commands.options import add_json, add_size
from octopix.commands.outcome import Outcome, table
from octopix.complexity import FLOPS_PER_MAC
from octopix.gpu_fit import GpuFit, gpu_fit
from octopix.summary import ModelSummary, Port, summarise

HELP = "show what is inside a .tflite"
DESCRIPTION = """\
Show a .tflite: its card, operators, number types, MACs, parameters, receptive field and hashes.
No runtime is needed, and no card either. With --delegate gpu also operators that would not run there and what to
change: by rules found on LiteRT's accelerator, and where there is a GPU (or a software one), by trying.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `octopix inspect`."""
    parser.add_argument("model", type=Path, metavar="M.tflite", help="the network")
    add_size(parser)
    parser.add_argument("--delegate", choices=("gpu",), help="show what would not run there, and what to change")
    add_json(parser)


def execute(args: argparse.Namespace) -> Outcome:
    """Read the file and show it."""
    summary = summarise(args.model, size=args.size)
    payload, text = dataclasses.asdict(summary), _text(summary)
    if args.delegate is not None:
        fit = gpu_fit(args.model)
        payload["gpu"], text = dataclasses.asdict(fit), f"{text}\n\n{_fit_text(fit)}"
    return Outcome(payload, text)


def _fit_text(fit: GpuFit) -> str:
    rows = [(each.operator, each.name, each.effect, each.why, each.do) for each in fit.findings]
    known = table(("#", "operator", "on the GPU", "because it", "what to do"), rows)
    lines = [known if rows else "On the GPU: no operator is known to fail."]
    lines += [f"the GPU says: {line}" for line in fit.said]
    if fit.got is None:
        return "\n".join([*lines, f"not run here: {fit.why}"])
    adapter = f" ({fit.adapter})" if fit.adapter else ""
    return "\n".join([*lines, f"run here on {fit.got}{adapter}: all operators, with the CPU's output"])


def _text(summary: ModelSummary) -> str:
    at = "" if summary.size is None else f" at {summary.size[0]}x{summary.size[1]}"
    facts = [
        ("file", f"{summary.file}, {summary.kib:.1f} KiB"),
        *(() if summary.card is None else _card(summary.card)),
        *(("input", _port(port)) for port in summary.inputs),
        *(("output", _port(port)) for port in summary.outputs),
        ("MACs", _number(summary.macs) + at),
        *(("flops", _flops(summary.macs, name) + at) for name in FLOPS_PER_MAC),
        ("parameters", _number(summary.parameters)),
        ("receptive field", _number(summary.receptive_field)),
        ("multiple of", _number(summary.multiple_of)),
        ("scale", "unknown" if summary.scale is None else f"×{summary.scale:g}"),
        ("graph sha256", summary.graph_sha256),
        ("file sha256", summary.file_sha256),
        *(("unknown because", reason) for reason in summary.unknown),
    ]
    if summary.card is None:
        facts.insert(1, ("card", "none: `octopix run` cannot use this file"))
    width = max(len(name) for name, _ in facts) + 2
    return "\n".join(f"{name:{width}}{value}" for name, value in facts) + "\n\n" + _operators(summary)


def _card(card: ModelCard) -> Iterator[tuple[str, str]]:
    yield "model", f"{card.model} {card.scheme} ({card.task} ×{card.scale}, {card.channels})"
    if card.corrections:
        yield "corrections", ", ".join(card.corrections)
    if card.calibration is not None:
        calibration = card.calibration
        yield "calibration", f"{calibration.calibrator}, {calibration.images} images of {calibration.source}"
    if card.validation is not None:
        quality = card.validation
        yield (
            "validation",
            f"{quality.psnr:.3f} dB, float {quality.psnr_float:.3f} dB, drop {quality.drop:.3f} dB"
            f" ({quality.image_set}, {quality.images} images, protocol {quality.protocol})",
        )
    if card.faithful is not None:
        found = card.faithful
        value = "identical" if found.fidelity is None else f"{found.fidelity:.2f} dB"
        yield "fidelity", f"{value} ({found.image_set}, {found.images} images, no ground truth)"
    if card.training:
        yield "training", card.training
    if card.created:
        yield "created", card.created


def _operators(summary: ModelSummary) -> str:
    rows = [
        (
            operator.index,
            operator.name,
            f"{','.join(operator.dtypes)} -> {operator.output_dtype}",
            _shape(operator.output_shape),
            None if operator.output_scale is None else f"{operator.output_scale:.6g}",
            operator.output_zero_point,
            operator.macs,
            operator.parameters,
        )
        for operator in summary.operators
    ]
    return table(("#", "operator", "types", "output", "scale", "zero point", "MACs", "parameters"), rows)


def _port(port: Port) -> str:
    quantization = "" if port.scale is None else f", scale {port.scale:.8g}, zero point {port.zero_point}"
    return f"{port.name} {_shape(port.shape)} {port.dtype}{quantization}"


def _shape(shape: Sequence[int] | None) -> str | None:
    return None if shape is None else "x".join("?" if side < 0 else str(side) for side in shape)


def _flops(macs: int | None, convention: str) -> str:
    return "unknown" if macs is None else f"{macs * FLOPS_PER_MAC[convention] / 1e9:.4g} G ({convention})"


def _number(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"
