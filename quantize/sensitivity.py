"""Where the loss comes from: each layer alone in int8, and each layer alone in float.

Two models per layer: one in which only this layer is int8 tells how hard it is to quantize, the full int8 model with
this one layer left in float what leaving it out would win. Both are judged by fidelity, on calibration crops that
nothing was learned from, and by the drop of PSNR, on crops of the validation list.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from octopix.card import Quality
from octopix.complexity import complexity
from octopix.graph import read_graph
from quantize.candidate import Candidate
from quantize.corrections import Judge
from quantize.selective import layers, mixed

VERSION = 1
"""Of `Report.to_json`."""

Measure = Callable[[bytes], Quality]
"""From a model without a card to its figures on crops of the validation list."""


@dataclass(frozen=True)
class LayerSensitivity:
    """One convolution."""

    name: str
    operator: str
    """CONV_2D or DEPTHWISE_CONV_2D."""
    macs: int
    macs_share: float
    """Of the network's multiply-accumulates."""
    fidelity_alone: float
    """dB, with int8 in this layer only; infinite where the output is the float model's."""
    gain_in_float: float
    """dB of fidelity won where this layer alone stays float."""
    alone_drop_db: float | None = None
    """Drop with int8 in this layer only; None without ground truth."""
    left_out_gain_db: float | None = None
    """By how much the drop shrinks where this layer alone stays float."""


@dataclass(frozen=True)
class Report:
    """All layers of a model."""

    model: str
    float_sha256: str
    """Graph of the float32 file: others' weights have other sensitivities."""
    scheme: str
    image_set: str
    images: int
    protocol: str
    base_psnr_db: float | None
    """Of the int8 model on the crops; None without ground truth."""
    layers: tuple[LayerSensitivity, ...]

    def to_json(self) -> dict[str, Any]:
        """What ``sensitivity.json`` holds, for the report beside the artifacts."""
        names = ("name", "operator", "macs", "alone_drop_db", "left_out_gain_db")
        rows = [{name: getattr(each, name) for name in names} for each in self.layers]
        return {"version": VERSION, **asdict(self), "layers": rows}


def sensitivity(
    candidate: Candidate,
    judge: Judge,
    *,
    measure: Measure | None = None,
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[LayerSensitivity, ...]:
    """Every convolution, in order of execution.

    Args:
        candidate: ranges and constants of the int8 model.
        judge: of the same float model.
        measure: gives drops; None where there is no ground truth.
        watch: told layers done and their number.
    """
    graph = read_graph(candidate.float_model)
    work, known = complexity(graph), layers(graph)
    everything = judge.error(candidate.int8)
    drop = None if measure is None else measure(candidate.int8).drop
    found = []
    for done, each in enumerate(known, start=1):
        alone = mixed(candidate, [other for other in known if other is not each])
        without = mixed(candidate, [each])
        macs = work.per_operator[each.operator].macs
        found.append(
            LayerSensitivity(
                name=each.name,
                operator=graph.operators[each.operator].name,
                macs=macs,
                macs_share=macs / work.macs,
                fidelity_alone=_decibels(1, judge.error(alone)),
                gain_in_float=_decibels(everything, judge.error(without)),
                alone_drop_db=None if measure is None else measure(alone).drop,
                left_out_gain_db=None if measure is None or drop is None else drop - measure(without).drop,
            )
        )
        watch(done, len(known))
    return tuple(found)


def _decibels(signal: float, error: float) -> float:
    return 10 * math.log10(signal / error) if error > 0 else math.inf
