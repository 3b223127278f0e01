"""The column that says who left: by its header, or by its cells' words, or by a person's flags."""

from __future__ import annotations

from dataclasses import dataclass

from risk.data import vocabulary as words
from risk.data.cells import Cells, Columns, Hints, Unsure, candidates_of
from risk.data.values import parse_number
from risk.data.vocabulary import folded, header_words

MAX_WORDS = 12  # a target has few; more are a status of something else
NEUTRAL = words.CLIENTS | frozenset(
    "is has did was flag label value status ind indicator yn the a der die hat ha le la il o os "
    "last next this within 30 60 90 365".split()
)


@dataclass(frozen=True)
class Target:
    """The column that says who left: its words for 1 and 0, and how that is known."""

    name: str
    meanings: dict[str, int]
    why: str

    def labels(self, cells: Cells) -> list[int | None]:
        return [self.meanings.get(text) for text in cells.texts]


def meaning(word: str, hints: Hints, *, answers: bool, turned: bool = False) -> int | None:
    """1 for a word that means left, 0 for stayed, None for any other.

    answers: whether yes and no say it, as under a header of leaving; turned: as under "active".
    """
    if word in hints.left or word in hints.stayed:
        return int(word in hints.left)
    plain = folded(word)
    if answers:
        try:
            value = parse_number(word)
            plain = str(int(value)) if value in (0.0, 1.0) else plain
        except ValueError:
            pass
        if plain in words.PLAIN_YES or plain in words.PLAIN_NO:
            return int((plain in words.PLAIN_YES) != turned)
    if plain in words.LEFT or plain in words.STAYED:
        return int(plain in words.LEFT)
    tokens = header_words(word)
    left, stayed = (any(t in group for t in tokens) for group in (words.LEFT, words.STAYED))
    if any(token in words.NEGATIONS for token in tokens):
        return int(stayed) if left != stayed else None
    # "Former customer" has left, though a customer is one who stays.
    return 1 if left else 0 if stayed else None


def _strength(cells: Cells) -> int:
    """How the header says that the column tells who left: 3 of leaving, 2 of staying or a status,
    1 a word for any target, 0 not at all."""
    tokens = set(cells.tokens)
    if cells.says(words.GENERIC):
        return 1
    if cells.says(words.TARGETS):
        return 3
    stems = {token for token in tokens if any(stem in token for stem in words.LEAVING)}
    if stems and not tokens & words.ABOUT and tokens - stems <= NEUTRAL:
        return 3
    if cells.says(words.STAYING) or (cells.says(words.STATUSES)):
        return 2
    status = bool(cells.tokens) and cells.tokens[-1] in words.STATUSES
    return 2 if status and tokens - words.STATUSES <= NEUTRAL else 0


def is_about_leaving(cells: Cells) -> bool:
    """Whether the header speaks of leaving at all: a reason, a score, a date of it."""
    stems = any(stem in token for token in cells.tokens for stem in words.LEAVING)
    return stems or cells.says(words.TARGETS)


def _read_target(cells: Cells, hints: Hints) -> tuple[int, Target, list[str]]:
    """(how sure, the column as a target, the words that are not understood)."""
    strength = _strength(cells)
    turned = cells.says(words.STAYING)
    answers = strength in (1, 3) or turned or cells.name == hints.target
    found = {
        word: meaning(word, hints, answers=answers, turned=turned) for word in sorted(cells.counts)
    }
    unknown = [word for word, label in found.items() if label is None]
    known = {word: label for word, label in found.items() if label is not None}
    strong = any(
        label == 1 and any(s in t for t in header_words(word) for s in (*words.LEAVING, "former"))
        for word, label in known.items()
    )
    by_words = not answers and 1 in known.values() and (strength == 2 or strong)
    why = "header word" if answers and strength else "cell words"
    # Active in every row: a status of whom nobody has left yet.
    nobody = not answers and strength == 2 and not unknown
    sure = strength if answers else 2 if by_words else int(nobody)
    return sure, Target(cells.name, known, why), unknown


def find_target(columns: Columns, hints: Hints) -> Target | None:
    """The column that says who left; None where none is about it."""
    if hints.target:
        _, target, unknown = _read_target(columns[hints.target], hints)
        _insist_on_words(columns[hints.target], unknown)
        return Target(target.name, target.meanings, "flag")
    few = [c for c in columns.values() if 0 < len(c.counts) <= MAX_WORDS and c.name]
    read = [(*_read_target(cells, hints), cells) for cells in few]
    top = max((sure for sure, *_ in read), default=0)
    best = [(target, unknown, cells) for sure, target, unknown, cells in read if sure == top > 0]
    clear = [(target, cells) for target, unknown, cells in best if not unknown]
    if best and not clear:
        _insist_on_words(best[0][2], best[0][1])
    labels = {tuple(target.labels(cells)) for target, cells in clear}
    if len(labels) > 1:
        raise Unsure(
            "two columns could say who left, and they differ: "
            f"{candidates_of(cells for _, cells in clear)}; type --target COLUMN"
        )
    return clear[0][0] if clear else None


def _insist_on_words(cells: Cells, unknown: list[str]) -> None:
    if not unknown:
        return
    shown = ", ".join(map(repr, unknown[:6]))
    raise Unsure(
        f"{cells.name!r} says who left, but what {shown} means is not known; type --left WORD for "
        "each word of clients who left and --stayed WORD for the others (--target COLUMN if it is "
        "another column)"
    )


def refuse_no_target(columns: Columns) -> None:
    """Unsure, with the columns that could say who left."""
    few = [c for c in columns.values() if 2 <= len(c.counts) <= 4 and c.name]
    shown = f": could be {candidates_of(few[:8])}" if few else ""
    raise Unsure(
        f"no column says for sure who left{shown}; type --target COLUMN (and --left WORD, --stayed "
        "WORD for its words), or name it exited with 1 (left), 0 (stayed) or empty"
    )
