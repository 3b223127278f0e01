"""A JSON record as the dataclass that it is a record of: exactly its fields, each of its type."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints


def parse_record(expected: Any, value: Any) -> Any:
    """The value as `expected`: a dataclass, float, str, bool, None, a tuple or a union of them.

    ValueError, KeyError or TypeError for anything else: what a file holds is not to be trusted.
    """
    if isinstance(expected, type) and is_dataclass(expected):
        hints = _hints(expected)
        insist(isinstance(value, dict) and set(value) == set(hints))
        return expected(**{name: parse_record(hint, value[name]) for name, hint in hints.items()})
    if get_origin(expected) is tuple:
        insist(isinstance(value, list))
        return tuple(parse_record(get_args(expected)[0], one) for one in value)
    if isinstance(expected, UnionType):
        kinds = get_args(expected)
        return number(value) if type(value) is int and float in kinds else _one_of(kinds, value)
    if expected is float:
        return number(value)
    return _one_of((expected,), value)


def _one_of(kinds: tuple[Any, ...], value: Any) -> Any:
    insist(type(value) in kinds)
    return number(value) if type(value) is float else value


@cache
def _hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def number(value: Any) -> float:
    """A finite JSON number as a float; ValueError for anything else."""
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(value)
    return float(value)


def insist(sound: bool) -> None:
    if not sound:
        raise ValueError("unsound record")
