"""A JSON record as the dataclass that it is a record of, and back: its fields, each of its type.

What is in it and has a to_json() and a from_json() of its own is written and parsed by these.
"""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints, is_typeddict


def to_record(value: Any) -> Any:
    """The value as JSON has it, which parse_record() takes back."""
    if is_dataclass(value):
        return {field.name: _own_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {name: _own_json(one) for name, one in value.items()}
    return [_own_json(one) for one in value] if isinstance(value, list | tuple) else value


def _own_json(value: Any) -> Any:
    return value.to_json() if hasattr(value, "to_json") else to_record(value)


def parse_record(expected: Any, value: Any) -> Any:
    """The value as `expected`: a dataclass, a TypedDict (as it is), float, int, str, bool, None, a
    tuple, list or dict of them, or a union.

    ValueError, KeyError or TypeError for anything else: what a file holds is not to be trusted.
    """
    if isinstance(expected, type) and is_dataclass(expected):
        hints = _hints(expected)
        insist(isinstance(value, dict) and set(value) == set(hints))
        return expected(**{name: _parse(hint, value[name]) for name, hint in hints.items()})
    origin, of = get_origin(expected), get_args(expected)
    if origin in (tuple, list):
        insist(isinstance(value, list))
        kinds = of if origin is tuple and of[-1] is not Ellipsis else of[:1] * len(value)
        return origin(_parse(kind, one) for kind, one in zip(kinds, value, strict=True))
    if origin is dict:
        return {key: _parse(of[1], one) for key, one in value.items()}
    if isinstance(expected, UnionType):
        # JSON does not say which of two records a dict is: a union holds one at most.
        own = [one for one in of if is_dataclass(one) or is_typeddict(one) or get_origin(one)]
        if own and isinstance(value, dict | list):
            return _parse(own[0], value)
        of = tuple(one for one in of if one not in own)
    else:
        of = (expected,)
    if is_typeddict(expected):
        insist(isinstance(value, dict))
        return value
    if float in of and (type(value) is float or (type(value) is int and int not in of)):
        return number(value)
    insist(type(value) in of)
    return value


def _parse(expected: Any, value: Any) -> Any:
    own = getattr(expected, "from_json", None)
    return own(value) if own else parse_record(expected, value)


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
