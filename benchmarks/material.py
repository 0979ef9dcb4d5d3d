"""All that one model's report is made of, gathered from the folder it will stand in and from those beside it."""

import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.crops import Crop, crops_of
from benchmarks.layers import SENSITIVITY, Sensitivity, read_sensitivity
from benchmarks.summary import Summary, summarise
from octopix.errors import ResultError
from octopix.results import Result, read_result

RESULTS, PLOT_FOLDER, CROP_LIST = "results.json", "plots", "crops.json"
ON_DEVICES = "-on-devices"
"""What the folder of `make deploy` has after the model's name."""


@dataclass(frozen=True)
class Material:
    """One model: figures, and what stands beside them."""

    result: Result
    summary: Summary
    folder: Path
    layers: Sensitivity | None
    """None where `python -m quantize sensitivity` was not run."""
    devices: tuple[Result, ...]
    """What `make deploy` measured of this model."""
    crops: tuple[Crop, ...]

    @property
    def with_truth(self) -> bool:
        """Whether there was ground truth to compare with; else fidelity is all there is."""
        return self.summary.with_truth


def gather(result: Result, folder: Path) -> Material:
    """What belongs to ``result`` in its folder.

    Raises:
        ResultError: something there is damaged, of another version, or of another model.
    """
    summary = summarise(result)
    layers = read_sensitivity(folder / SENSITIVITY)
    if layers is not None and layers.model != summary.model:
        raise ResultError(
            expected=f"the sensitivity of {summary.model} in {folder / SENSITIVITY}",
            got=f"that of {layers.model}",
            do="delete the file",
        )
    return Material(
        result=result,
        summary=summary,
        folder=folder,
        layers=layers,
        devices=_device_results(folder.parent / f"{folder.name}{ON_DEVICES}", summary.model),
        crops=_read_crops(folder / PLOT_FOLDER),
    )


def read_quantize_result(path: Path) -> Result:
    """A result of `make quantize`.

    Raises:
        ResultError: damaged, of another version, or not a result of `make quantize`.
    """
    result = read_result(path)
    if result.kind != "quantize" or not result.rows:
        raise ResultError(
            expected=f"the results.json of `make quantize` at {path}",
            got=f"a result of kind {result.kind} with {len(result.rows)} rows",
            do="give reports/<model>/results.json",
        )
    return result


def _device_results(folder: Path, model: str) -> tuple[Result, ...]:
    results = [(path, read_result(path)) for path in sorted(folder.glob(f"*/{RESULTS}"))]
    for path, result in results:
        if result.kind != "device" or not result.rows or any(row.model != model for row in result.rows):
            raise ResultError(
                expected=f"what `make deploy MODEL={model}` measured in {path}",
                got=f"a result of kind {result.kind}, not of this model alone",
                do="move it away",
            )
    return tuple(result for _, result in results)


def _read_crops(folder: Path) -> tuple[Crop, ...]:
    path = folder / CROP_LIST
    if not path.exists():
        return ()
    try:
        crops = crops_of(json.loads(path.read_bytes()))
    except ValueError as error:
        raise _spoilt(path, str(error)) from error
    missing = [name for crop in crops for name in crop.tiles.values() if not (folder / name).is_file()]
    if missing:
        raise _spoilt(path, f"no {missing[0]} beside it")
    return crops


def _spoilt(path: Path, got: str) -> ResultError:
    return ResultError(expected=f"a list of crops in {path}", got=got, do="measure again, or delete the list")
