"""What a suite asks for: YAML that names models × schemes × sizes × threads × delegates, checked before anything runs.

Committed suites stand in ``benchmarks/suites``; any other is given by its path.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError

from octopix.delegates import find_delegate
from octopix.errors import ConfigError
from octopix.runtime import MAX_THREADS

SUITES = Path(__file__).parents[1] / "suites"
BEST_INT8 = "int8"
"""In place of a scheme: the int8 file with the smallest drop on the validation list."""
Phase = Literal["latency", "memory", "end-to-end", "profile"]
_SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")
_SETTINGS = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Product(BaseModel):
    """Every combination of what it lists is a cell."""

    model_config = _SETTINGS

    models: tuple[str, ...] = Field(min_length=1)
    schemes: tuple[str, ...] = Field(min_length=1)
    """Names of schemes, patterns such as ``int8-ptq-*``, or `BEST_INT8`."""
    sizes: tuple[str, ...] = Field(min_length=1)
    """HEIGHTxWIDTH of what the network sees, in pixels."""
    threads: tuple[int, ...] = Field(min_length=1)
    delegates: tuple[str, ...] = ("cpu",)
    beside: str | None = None
    """One of the models: all are timed in turns with it, and what the others gain on it is said."""


class Suite(BaseModel):
    """A whole suite."""

    model_config = _SETTINGS

    cells: tuple[Product, ...] = Field(min_length=1)
    phases: tuple[Phase, ...] = ("latency", "memory")
    runs: PositiveInt = 40
    """Most timed calls of a slow network, least of a fast one."""
    seconds: PositiveFloat = 1.0
    """Of timed calls for each scheme: at least so long, and not much longer unless ten calls take it."""
    picture: str = "256x256"
    """HEIGHTxWIDTH of the PNG that is restored end to end, before enlargement."""
    slowest: int = Field(default=2, ge=0)
    """So many models get a profile by operator, of each scheme."""
    timeout: PositiveFloat = 300.0
    """Seconds that one process may take."""


@dataclass(frozen=True)
class Size:
    """In pixels."""

    height: int
    width: int

    @property
    def text(self) -> str:
        """As suites write it."""
        return f"{self.height}x{self.width}"


def known_suites() -> tuple[str, ...]:
    """Names of the committed suites."""
    return tuple(sorted(path.stem for path in SUITES.glob("*.yaml")))


def read_suite(asked: str) -> tuple[str, Suite]:
    """A committed suite by its name, or one by its path: (its name, what it says).

    Raises:
        ConfigError: no such suite, no YAML, unknown keys or values; the message lists what there is.
    """
    path = SUITES / f"{asked}.yaml" if asked in known_suites() else Path(asked)
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(known_suites())
        raise ConfigError(
            expected=f"a suite ({known}, or a YAML file)", got=repr(asked), do="correct --suite (SUITE=)"
        ) from error
    except yaml.YAMLError as error:
        got = " ".join(str(error).split())
        raise ConfigError(expected=f"YAML in {path}", got=got, do="mend the suite") from error
    return path.stem, check_suite(raw, path.name)


def check_suite(raw: Any, where: str) -> Suite:
    """Turn parsed YAML into a suite.

    Raises:
        ConfigError: see `read_suite`.
    """
    try:
        suite = Suite.model_validate(raw)
    except ValidationError as error:
        problems = "; ".join(_problem(item) for item in error.errors())
        known = f"{', '.join(Suite.model_fields)}; in each of cells {', '.join(Product.model_fields)}"
        raise ConfigError(
            expected=f"a suite with the keys {known}", got=f"{where}: {problems}", do="mend the suite"
        ) from error
    parse_size(suite.picture)
    for product in suite.cells:
        _check_product(product, where)
    return suite


def parse_size(text: str) -> Size:
    """``128x96`` to height 128, width 96.

    Raises:
        ConfigError: not of that form.
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ConfigError(expected="a size HEIGHTxWIDTH in pixels, e.g. 128x128", got=repr(text), do="mend the suite")
    return Size(int(found[1]), int(found[2]))


def _check_product(product: Product, where: str) -> None:
    for size in product.sizes:
        parse_size(size)
    for delegate in product.delegates:
        find_delegate(delegate)
    for count in product.threads:
        if not 1 <= count <= MAX_THREADS:
            raise ConfigError(expected=f"1 to {MAX_THREADS} threads in {where}", got=str(count), do="mend the suite")
    if product.beside is not None and product.beside not in product.models:
        raise ConfigError(
            expected=f"one of the models {', '.join(product.models)} as beside in {where}",
            got=repr(product.beside),
            do="mend the suite",
        )
    for name in ("models", "schemes", "sizes", "threads", "delegates"):
        _check_unique(getattr(product, name), f"{name} of {where}")


def _check_unique(values: Sequence[object], where: str) -> None:
    twice = sorted({str(value) for value in values if values.count(value) > 1})
    if twice:
        raise ConfigError(expected=f"each of the {where} once", got=f"{', '.join(twice)} twice", do="mend the suite")


def _problem(item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"]) or "the whole file"
    return f"unknown key {where}" if item["type"] == "extra_forbidden" else f"{where}: {item['msg'].lower()}"
