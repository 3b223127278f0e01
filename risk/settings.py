"""What a key of config.json is, and what its value may be; risk/config.py declares them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, fields
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

NEEDED = object()  # the default of a key that has none


class Place(NamedTuple):
    """Where an entry stands, for an error, and the folder that relative paths start from."""

    where: str
    root: Path


class Kind(NamedTuple):
    """What an entry may be: in words, as a test, and how its value is read; limits: for people."""

    wanted: str
    fits: Callable[[Any], bool]
    read: Callable[[Any, Place], Any] = lambda value, place: value
    limits: str = ""


class Key(NamedTuple):
    """One entry. name: in config.json; meaning: for people, in Markdown."""

    name: str
    default: Any
    kind: Kind
    meaning: str


def key(default: Any, kind: Kind, meaning: str, name: str = "") -> Any:
    return field(metadata={"key": (name, default, kind, meaning)})


def keys_of(declared: type) -> dict[str, Key]:
    """Field -> its entry, of Config or one of its sections."""
    found = {}
    for one in fields(declared):
        if "key" in one.metadata:
            name, *rest = one.metadata["key"]
            found[one.name] = Key(name or one.name, *rest)
    return found


def unique_entries(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object; ValueError where it has an entry twice."""
    # json takes the last of two without a word, and a person may have changed the first.
    for position, (name, _) in enumerate(pairs):
        if name in dict(pairs[:position]):
            raise ValueError(f"the entry {name!r} stands there twice")
    return dict(pairs)


# Words of which entries are made that configs of the exercise this began as carry besides its five
# (logs_folder_path, cleaned_data): nobody reads them, and nobody believes in them.
_EXERCISE = frozenset(
    "api app base cat categorical clean cleaned cols confusion csv data database dataset db "
    "dependencies deployed deployment dev dir directory encoder endpoint extension features figure "
    "figures file filename files final folder image images ingested ingestion input label latest "
    "log logger logging logs matrix model models name num numeric numerical old output path pdf "
    "pickle plot plots practice prediction predictions processed prod production project raw "
    "record records report reporting reports requirements response responses results returns root "
    "score scores scoring size source sqlite static stats summary target test train trained "
    "training url".split()
)
_NEAR, _SAME = 0.75, 0.8  # prot is port, logs_path is log_path; the exercise's own names are longer


def _near(name: str, declared: type, cutoff: float = _NEAR) -> str:
    """The section's entry that was most likely meant, "" where none is near."""
    names = [entry.name for entry in keys_of(declared).values()]
    return next(iter(difflib.get_close_matches(name, names, n=1, cutoff=cutoff)), "")


def _home(name: str, declared: type) -> str:
    """The section inside this one that has such an entry, "" where none has."""
    for entry in keys_of(declared).values():
        inner = getattr(entry.kind.read, "__self__", None)
        if isinstance(inner, type) and name in {key.name for key in keys_of(inner).values()}:
            return entry.name
    return ""


def strangers(declared: type, raw: Mapping[str, object]) -> tuple[list[str], list[str]]:
    """What the section does not know: (refused, the exercise's that is passed over)."""
    keys, refused, passed = keys_of(declared).values(), list[str](), list[str]()
    is_whole = any(key.default is NEEDED for key in keys)
    for name in [name for name in raw if name not in {key.name for key in keys}]:
        words = re.findall("[a-z]+", name.casefold())
        foreign = is_whole and words and _EXERCISE.issuperset(words) and not _home(name, declared)
        slip = name != "label" and _near(name, declared, _SAME)
        (passed if foreign and not slip else refused).append(name)
    return refused, passed


def unknown_words(names: Sequence[str], declared: type) -> list[str]:
    """One sentence on all that are refused: an entry that nobody reads is a setting that a person
    believes in."""
    out, asked = [], []
    for name in names:
        by = f" by {name!r}" if len(names) > 1 else ""
        if home := _home(name, declared):
            asked.append(f"put {name!r} into {home!r}")
        elif near := _near(name, declared):
            asked.append(f"did you mean {near!r}{by}?")
        else:
            out.append(repr(name))
    asked += [f"take {', '.join(out) if len(names) > 1 else 'it'} out"] if out else []
    noun = "entry" if len(names) == 1 else "entries"
    return ["; ".join([f"unknown {noun} {', '.join(map(repr, names))}", *asked])] if names else []


def _names_path(value: Any) -> bool:
    """A shell would expand ~, this software does not: a folder of that name is never meant."""
    plain = isinstance(value, str) and bool(value.strip())
    return plain and "\0" not in value and not value.startswith("~")


def resolve(root: Path, text: str) -> Path:
    """A path of config.json; a slash at both ends means relative to it, as at the starter's."""
    relative = text.strip("/") if text.startswith("/") and text.endswith("/") else text
    return Path(root, relative).resolve()


def _is_web_address(text: Any) -> bool:
    """Without user and password, which would be shown wherever the address is."""
    if not isinstance(text, str):
        return False
    try:
        parts = urlsplit(text)
        plain = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
        usable = bool(plain) and text.isascii() and parts.port != 0 and not parts.fragment
    except ValueError:
        return False
    return not text or (usable and text.isprintable() and " " not in text)


def _names_features(value: Any) -> bool:
    if isinstance(value, dict):
        kinds_right = all(kind in ("number", "text") for kind in value.values())
        return bool(value) and kinds_right and all(value)
    return isinstance(value, list) and bool(value) and all(isinstance(n, str) and n for n in value)


def choice(*names: str) -> Kind:
    return Kind(" or ".join(map(repr, names)), lambda value: value in names)


def number(low: float = 0, high: float = 1e9, *, whole: bool = False) -> Kind:
    types = (int,) if whole else (int, float)  # true is neither
    limits = f"{low:g} to {high:.0f}" if high < 1e9 else f"at least {low:g}" if low else ""
    return Kind(
        f"a {'whole ' if whole else ''}number from {low:g} to {high:.0f}",
        lambda value: type(value) in types and low <= value <= high,  # NaN is in no range
        limits=limits,
    )


def section(made: Callable[[Mapping[str, object], Place], Any]) -> Kind:
    return Kind("an object {...}", lambda value: isinstance(value, dict), made)


def number_or(word: str, low: float) -> Kind:
    """A number from `low`, or the word, which is read as 0."""
    numbers = number(low)
    return Kind(
        f'{numbers.wanted}, or "{word}"',
        lambda value: value == word or numbers.fits(value),
        lambda value, _: 0 if value == word else value,
        limits=f'{numbers.limits}, or `"{word}"`',
    )


FOLDER = Kind(
    "a folder's name (relative to this file, or absolute; without ~)",
    _names_path,
    lambda value, place: resolve(place.root, value),
)
FILE = Kind(
    "a file's path",
    lambda value: value == "" or _names_path(value),
    lambda value, place: resolve(place.root, value) if value else None,
)
TEXT = Kind("a text", lambda value: isinstance(value, str))
LIST = Kind(
    "a list of texts",
    lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value),
    lambda value, _: tuple(value),
)
FOLDERS = LIST._replace(read=lambda texts, place: tuple(resolve(place.root, t) for t in texts))
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
OBJECT = Kind("an object {...}", lambda value: isinstance(value, dict))
FEATURES = Kind('a list of column names, or {"name": "number" or "text"}', _names_features)
WEB_ADDRESS = Kind("an address as https://example.com/path, without a user in it", _is_web_address)


class PathBelow:
    """Where a file lies that more than one module needs: its folder's field, its name."""

    def __init__(self, folder: str, name: str) -> None:
        self.folder, self.name = folder, name

    def __get__(self, config: object, _: type) -> Path:
        folder: Path = getattr(config, self.folder)
        return folder / self.name
