"""A JSON record as the dataclass that it is a record of: exactly its fields, each of its type."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints, is_typeddict


def parse_record(expected: Any, value: Any) -> Any:
    """The value as `expected`: a dataclass, a TypedDict (as it is), float, int, str, bool, None, a
    tuple, list or dict of them, or a union.

    ValueError, KeyError or TypeError for anything else: what a file holds is not to be trusted.
    """
    if isinstance(expected, type) and is_dataclass(expected):
        hints = _hints(expected)
        insist(isinstance(value, dict) and set(value) == set(hints))
        return expected(**{name: parse_record(hint, value[name]) for name, hint in hints.items()})
    origin, of = get_origin(expected), get_args(expected)
    if origin in (tuple, list):
        insist(isinstance(value, list))
        return origin(parse_record(of[0], one) for one in value)
    if origin is dict:
        return {key: parse_record(of[1], one) for key, one in value.items()}
    if isinstance(expected, UnionType):
        # JSON does not say which of two records a dict is: a union holds one at most.
        own = [one for one in of if is_dataclass(one) or is_typeddict(one) or get_origin(one)]
        if own and isinstance(value, dict | list):
            return parse_record(own[0], value)
        of = tuple(one for one in of if one not in own)
    else:
        of = (expected,)
    if is_typeddict(expected):
        insist(isinstance(value, dict))
        return value
    if float in of and type(value) in (int, float):
        return number(value)
    insist(type(value) in of)
    return value


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
