"""``python -m benchmarks pipelines``: a folder of photographs, and pictures with work between the calls."""

import argparse
import dataclasses
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.pipelines.measure import WAYS, PipelineResult, time_cores, time_folder
from benchmarks.progress import progress
from octopix.files import dump_json, write_json
from octopix.latency import instabilities, load_average
from train.data.sources import locate

ROUNDS, SECONDS = 3, 10.0


def add_pipelines(commands: Any) -> None:
    """``pipelines``: see the module."""
    parser = commands.add_parser("pipelines", help="time a folder of photographs, and one core against all")
    parser.add_argument("--folder-model", type=Path, required=True, metavar="M.tflite", help="for the photographs")
    parser.add_argument("--cores-model", type=Path, required=True, metavar="M.tflite", help="for one core against all")
    parser.add_argument(
        "--data", type=Path, help="folder of images (default: $OCTOPIX_DATA, else built-in photographs)"
    )
    parser.add_argument("--out", type=Path, help="JSON to write")
    parser.add_argument("--json", action="store_true", help="the result as JSON on stdout, and nothing else there")
    parser.set_defaults(run=_pipelines)


def _pipelines(options: argparse.Namespace) -> None:
    home, load = locate(options.data), load_average()
    with progress() as stage:
        advance = stage("folder", ROUNDS)
        folder = time_folder(options.folder_model, home, rounds=ROUNDS, watch=advance)
        advance = stage("cores", 1)
        result = PipelineResult(folder, time_cores(options.cores_model, home, seconds=SECONDS))
        advance()
    if options.out is not None:
        write_json(options.out, dataclasses.asdict(result))
    if options.json:
        print(dump_json(dataclasses.asdict(result)), end="")
        return
    print("\n".join(_lines(result, load)))


def _lines(result: PipelineResult, load: float | None) -> Iterator[str]:
    folder, cores = result.folder, result.cores
    yield (
        f"{folder.photos} photographs of {folder.megapixels:g} megapixels, {folder.model} {folder.scheme}, "
        f"{folder.threads} threads: decoded, restored and encoded"
    )
    yield f"{'round':>7}{'wall s':>9}{'CPU s':>9}{'longest photograph s':>22}"
    rounds = zip(folder.wall_s, folder.cpu_s, folder.chain_s, strict=True)
    for number, (wall, cpu, chain) in enumerate(rounds, start=1):
        yield f"{number:>7}{wall:>9.2f}{cpu:>9.2f}{chain:>22.2f}"
    yield f"wall time over max(CPU / {folder.threads}, longest photograph): {folder.ratio:.2f} (median)"
    yield ""
    yield f"{cores.model} {cores.scheme}, {cores.side}×{cores.side} pixels, a PSNR between the calls, in turns"
    yield f"{'way':<28}{'ms a picture':>14}{'times one thread':>18}"
    for way in WAYS:
        yield f"{way:<28}{statistics.median(cores.samples_ms[way]):>14.1f}{cores.speed_up(way):>18.2f}"
    yield f"{f'{cores.threads} processes side by side':<28}{'':>14}{cores.processes_ratio:>18.2f}"
    for way, samples in cores.samples_ms.items():
        yield from (f"warning: {way}: {words}" for words in instabilities(samples))
    if load is not None and load > cores.threads / 2:
        yield f"warning: load average {load:.1f} before the first round"
