"""Latency of every artifact in one run: warm, one thread, in turns, on a real picture."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.artifacts import SIDE, Artifact
from octopix.latency import Latency, measure_alternating
from octopix.resize import bicubic
from octopix.restore import Restorer
from octopix.runtime import RunFacts
from train.data.degradations import PairRef, as_channels

THREADS = 1
RUNS, SECONDS = 40, 1.0
QUICK_RUNS, QUICK_SECONDS = 20, 0.25


@dataclass(frozen=True)
class Timing:
    """How long one artifact takes, and on what it really ran."""

    latency: Latency
    facts: RunFacts


def time_all(artifacts: Sequence[Artifact], picture: PairRef, *, quick: bool) -> Mapping[str, Timing]:
    """Scheme -> timing of the bare network at 1 × ``SIDE`` × ``SIDE`` × C.

    Input and output conversions are outside the timed call. The artifacts take turns (A B C A B C …), so that what
    else the machine does meets them all.

    Args:
        artifacts: of one model.
        picture: what the networks see, shrunk or enlarged to the timed size.
        quick: fewer samples.
    """
    seen = bicubic(as_channels(picture.read()[1], artifacts[0].card.channels), size=(SIDE, SIDE))
    restorers = {artifact.card.scheme: Restorer(artifact.path, threads=THREADS) for artifact in artifacts}
    for restorer in restorers.values():
        restorer.run_plane(seen)  # places the input, and was the first call
    latencies = measure_alternating(
        {scheme: restorer.session.execute for scheme, restorer in restorers.items()},
        runs=QUICK_RUNS if quick else RUNS,
        min_seconds=QUICK_SECONDS if quick else SECONDS,
    )
    return {
        scheme: Timing(dataclasses.replace(latencies[scheme], first_ms=None), restorer.session.facts)
        for scheme, restorer in restorers.items()
    }
