"""The cells of a suite: what exists of what it names, and the one error that says what does not."""

import contextlib
import fnmatch
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.artifacts import ORDER
from benchmarks.bench.cell import Cell
from benchmarks.bench.suites import BEST_INT8, Product, Size, Suite, parse_size
from benchmarks.summary import INT8
from benchmarks.zoo import RESULTS, read_zoo
from octopix.card import ModelCard, best_int8, read_card
from octopix.errors import ConfigError, ModelFileError

VARIANTS = tuple(f"lesrcnn{kind}_x{scale}_published" for kind in ("", "_blind") for scale in (2, 3, 4))
"""Graphs that `quantize` makes for comparison only: LESRCNN with its two upsampling branches as published."""
DEFAULT_INT8 = "int8-ptq-mse"
"""What `make quantize` is asked for where a suite wants any int8."""


@dataclass(frozen=True)
class Planned:
    """A cell with its file."""

    cell: Cell
    path: Path
    group: tuple[str, ...]
    """What is timed in turns has the same."""
    beside: str | None
    """The model that this one is set against."""


@dataclass(frozen=True)
class Folder:
    """What there is of one model."""

    files: Mapping[str, Path]
    """Scheme -> file."""
    cards: Mapping[str, ModelCard]
    """Of the files that are whole. The others become cells that fail, so that the rest is measured all the same."""


def plan(suite: Suite, artifacts: Path) -> tuple[Planned, ...]:
    """All cells of a suite, those of one group side by side.

    Raises:
        ConfigError: a model or scheme that nobody knows, a size that a network cannot take; or files that are missing,
            with the commands that make them.
    """
    _check_models(suite, artifacts)
    _check_schemes(suite)
    wanted = {model for product in suite.cells for model in product.models}
    folders = {model: _folder(artifacts / model) for model in wanted}
    _check_present(suite, folders, artifacts)
    found = {each.cell: each for product in suite.cells for each in _cells(product, folders)}
    return tuple(sorted(found.values(), key=lambda each: (each.group, _place(each.cell.scheme), each.cell.model)))


def known_models(artifacts: Path) -> tuple[str, ...]:
    """Models of the zoo, the comparison graphs beside it, and whatever has a folder of artifacts."""
    folders = {path.parent.name for path in artifacts.glob("*/*.tflite")}
    return tuple(sorted({*read_zoo(RESULTS).models, *VARIANTS, *folders}))


def _place(scheme: str) -> tuple[int, str]:
    return next((place for place, start in enumerate(ORDER) if scheme.startswith(start)), len(ORDER)), scheme


def _check_models(suite: Suite, artifacts: Path) -> None:
    known = known_models(artifacts)
    for model in (name for product in suite.cells for name in product.models):
        if model not in known:
            raise ConfigError(
                expected=f"a model that exists ({', '.join(known)})", got=repr(model), do="mend the suite"
            )


def _check_schemes(suite: Suite) -> None:
    for scheme in (name for product in suite.cells for name in product.schemes):
        if scheme != BEST_INT8 and not _is_pattern(scheme) and not scheme.startswith(ORDER):
            raise ConfigError(
                expected=f"a scheme: {BEST_INT8} for the best int8, a pattern with *, or a name that begins with "
                + ", ".join(ORDER),
                got=repr(scheme),
                do="mend the suite",
            )


def _is_pattern(scheme: str) -> bool:
    return any(letter in scheme for letter in "*?[")


def _folder(folder: Path) -> Folder:
    files = {path.stem: path for path in sorted(folder.glob("*.tflite")) if not path.name.startswith(".")}
    cards = {}
    for scheme, path in files.items():
        with contextlib.suppress(ModelFileError):
            cards[scheme] = read_card(path)
    return Folder(files, cards)


def _check_present(suite: Suite, folders: Mapping[str, Folder], artifacts: Path) -> None:
    """One error for all that is missing, with the commands that make it."""
    missing: dict[str, dict[str, None]] = {}
    for product, model in ((each, model) for each in suite.cells for model in each.models):
        for scheme in product.schemes:
            if not _schemes(scheme, folders[model]):
                missing.setdefault(model, {})[_to_make(scheme)] = None
    if missing:
        commands = [f"make quantize MODEL={model} SCHEME={','.join(schemes)}" for model, schemes in missing.items()]
        raise ConfigError(
            expected=f"the .tflite files of this suite in {artifacts}",
            got="; ".join(f"no {' or '.join(schemes)} of {model}" for model, schemes in missing.items()),
            do=f"run: {' && '.join(commands)}",
        )


def _to_make(scheme: str) -> str:
    return DEFAULT_INT8 if scheme == BEST_INT8 or (_is_pattern(scheme) and scheme.startswith(INT8)) else scheme


def _schemes(asked: str, folder: Folder) -> tuple[str, ...]:
    """The schemes of a folder that a word of the suite means."""
    if asked == BEST_INT8:
        return _best_int8(folder)
    return tuple(scheme for scheme in folder.files if fnmatch.fnmatchcase(scheme, asked))


def _best_int8(folder: Folder) -> tuple[str, ...]:
    candidates = [scheme for scheme in folder.files if scheme.startswith(INT8)]
    return (best_int8(candidates, folder.cards.get),) if candidates else ()


def _cells(product: Product, folders: Mapping[str, Folder]) -> Iterator[Planned]:
    sizes = [parse_size(text) for text in product.sizes]
    for model in product.models:
        folder = folders[model]
        schemes = dict.fromkeys(found for asked in product.schemes for found in _schemes(asked, folder))
        _check_sizes(folder, model, sizes)
        for scheme, size, threads, delegate in itertools.product(schemes, sizes, product.threads, product.delegates):
            cell = Cell(model, scheme, size.height, size.width, threads, delegate)
            yield Planned(cell, folder.files[scheme], _group(cell, product), product.beside)


def _group(cell: Cell, product: Product) -> tuple[str, ...]:
    model = cell.model if product.beside is None else f"beside {product.beside}"
    return model, f"{cell.height:05}x{cell.width:05}", f"{cell.threads:04}", cell.delegate


def _check_sizes(folder: Folder, model: str, sizes: Sequence[Size]) -> None:
    for card in folder.cards.values():
        for size in sizes:
            if size.height % card.multiple_of or size.width % card.multiple_of:
                raise ConfigError(
                    expected=f"sizes for {model} whose sides are multiples of {card.multiple_of}",
                    got=size.text,
                    do="mend the suite",
                )
