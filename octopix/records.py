"""Frozen dataclasses to and from strict JSON, every value checked against its annotation.

JSON that people edit, cut or bring from another version must fail with the name of the field, not later with an
``AttributeError`` somewhere in a table. Known kinds of annotation: str, int, float, bool, None, unions of
these, ``Literal``, ``tuple[X, ...]``, ``tuple[X, Y]``, ``Mapping[str, X]`` and other dataclasses.
"""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from octopix.errors import ResultError

Record = TypeVar("Record")


def parse(text: str | bytes) -> Any:
    """Parse strict JSON whose numbers fit a double or 64 bits.

    Raises:
        ValueError: not JSON (NaN and Infinity are none), a number out of range, or brackets nested too deep.
    """
    try:
        return json.loads(text, parse_constant=_no_constant, parse_float=_finite, parse_int=_integer)
    except RecursionError as error:
        raise ValueError("brackets nested too deep") from error


def _no_constant(name: str) -> None:
    raise ValueError(f"{name}, which is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {text[:20]}, which is out of range")
    return value


def _integer(text: str) -> int:
    if len(text) > 20 or abs(int(text)) >= 2**63:
        raise ValueError(f"a whole number of {len(text)} digits, which is out of range")
    return int(text)


def from_json(kind: type[Record], raw: Any, *, where: str) -> Record:
    """Make a ``kind`` of parsed JSON.

    Fields with a default may be missing; fields that ``kind`` does not have are ignored, since results carry
    derived values (medians, ratios) for people who read them without octopix.

    Raises:
        ResultError: a field is missing or of another type; ``where`` and its name lead the message.
    """
    if not isinstance(raw, Mapping):
        raise _misfit(where, "an object", raw)
    hints = typing.get_type_hints(kind)
    values = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]  # every kind is a dataclass
        if field.name in raw:
            values[field.name] = _value(hints[field.name], raw[field.name], f"{where}.{field.name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise _misfit(where, f"the field {field.name!r}", sorted(raw))
    return kind(**values)


def _value(hint: Any, raw: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _either(arguments, raw, where)
    if origin is Literal:
        if raw not in arguments:
            raise _misfit(where, " or ".join(map(repr, arguments)), raw)
        return raw
    if dataclasses.is_dataclass(hint):
        return from_json(typing.cast("type[Any]", hint), raw, where=where)
    if origin is tuple:
        return _sequence(arguments, raw, where)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(raw, Mapping):
            raise _misfit(where, "an object", raw)
        return {str(key): _value(arguments[1], value, f"{where}.{key}") for key, value in raw.items()}
    return _plain(hint, raw, where)


def _either(kinds: tuple[Any, ...], raw: Any, where: str) -> Any:
    if raw is None and type(None) in kinds:
        return None
    rest = [kind for kind in kinds if kind is not type(None)]
    for kind in rest[:-1]:
        try:
            return _value(kind, raw, where)
        except ResultError:
            continue
    return _value(rest[-1], raw, where)  # the last one's complaint is the one to show


def _sequence(kinds: tuple[Any, ...], raw: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(raw, list):
        raise _misfit(where, "a list", raw)
    each = (kinds[0],) * len(raw) if kinds[-1] is Ellipsis else kinds
    if len(each) != len(raw):
        raise _misfit(where, f"{len(each)} values", raw)
    pairs = zip(each, raw, strict=True)
    return tuple(_value(kind, value, f"{where}[{place}]") for place, (kind, value) in enumerate(pairs))


def _plain(kind: Any, raw: Any, where: str) -> Any:
    if kind is float and type(raw) in (int, float) and not math.isnan(raw):
        return float(raw)
    if kind is Any or (kind in (str, int, bool, type(None)) and type(raw) is kind):
        return raw
    raise _misfit(where, getattr(kind, "__name__", str(kind)), raw)


def _misfit(where: str, expected: str, got: Any) -> ResultError:
    shown = repr(got)
    return ResultError(
        expected=f"{expected} at {where}",
        got=shown if len(shown) <= 80 else shown[:77] + "...",
        do="give a result JSON that octopix wrote, unedited",
    )
