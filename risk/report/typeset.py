"""A sheet of A4 in millimetres: texts measured, cut and broken to fit, rules, boxes and axes.

Measured by the font's own advances, so that nothing has to be drawn to know whether it fits.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import TYPE_CHECKING, Any

from risk.report.figures import FONT, INK, LINE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, HEIGHT, MARGIN = 210.0, 297.0, 14.0
INNER = WIDTH - 2 * MARGIN
POINT = 25.4 / 72  # millimetres
LEADING = 1.32
NO_GLYPH, CUT = "□", "…"
MOST_LETTERS = 600  # of a longer text nothing beyond is looked at


@cache
def _font(bold: bool) -> Any:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return get_font(findfont(FontProperties(family=FONT, weight="bold" if bold else "normal")))


@cache
def _letters() -> frozenset[int]:
    """What both weights can show."""
    return frozenset(_font(True).get_charmap()) & frozenset(_font(False).get_charmap())


@cache
def _advance(letter: str, bold: bool) -> float:
    """The letter's width as a share of the font's size."""
    from matplotlib.ft2font import LoadFlags

    font = _font(bold)
    # NO_SCALE: in the font's own units, one measure for every size.
    return font.load_char(ord(letter), flags=LoadFlags.NO_SCALE).horiAdvance / font.units_per_EM


def showable(text: str) -> str:
    """The text on one line, with a box for each letter that the font lacks."""
    plain = (" " if letter.isspace() else letter for letter in text[:MOST_LETTERS])
    # Cf holds marks that nobody sees, of direction for instance: no box stands for them.
    kept = (letter for letter in plain if unicodedata.category(letter) not in ("Cc", "Cf", "Cs"))
    known = _letters()
    return "".join(letter if ord(letter) in known else NO_GLYPH for letter in kept).strip()


def width_of(text: str, size: float, bold: bool = False) -> float:
    """The width of a showable text in millimetres."""
    return sum(_advance(letter, bold) for letter in text) * size * POINT


def fitted(text: str, width: float, size: float, bold: bool = False) -> str:
    """The text, cut with an ellipsis where it is wider."""
    text = showable(text)
    if width_of(text, size, bold) <= width:
        return text
    return _head(text, width - width_of(CUT, size, bold), size, bold).rstrip() + CUT


def broken(text: str, width: float, size: float, most: int, bold: bool = False) -> list[str]:
    """The text in at most so many lines, the last one cut; a word wider than a line is broken."""
    words, lines = showable(text).split(" "), [""]
    while words:
        longer = f"{lines[-1]} {words[0]}".strip()
        if width_of(longer, size, bold) <= width:
            lines[-1] = longer
            words.pop(0)
        elif len(lines) == most:
            lines[-1] = fitted(" ".join([lines[-1], *words]).strip(), width, size, bold)
            break
        elif lines[-1]:
            lines.append("")
        else:
            # At least a letter, or a column narrower than one would never end.
            lines[-1] = _head(words[0], width, size, bold) or words[0][0]
            words[0] = words[0][len(lines[-1]) :]
            lines.append("")
    return [line for line in lines if line]


def _head(text: str, room: float, size: float, bold: bool) -> str:
    """As many of its letters as find room."""
    end = 0
    while end < len(text) and (room := room - width_of(text[end], size, bold)) >= 0:
        end += 1
    return text[:end]


class Sheet:
    """One page; x from the left, y from the top, both in millimetres."""

    def __init__(self) -> None:
        from matplotlib.figure import Figure

        self.figure: Figure = Figure(figsize=(WIDTH / 25.4, HEIGHT / 25.4))

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float = 7.5,
        *,
        bold: bool = False,
        colour: str = INK,
        align: str = "left",
        width: float = INNER,
    ) -> None:
        """One line with its foot at y, cut to the width."""
        line = fitted(text, width, size, bold)
        if line:
            weight = "bold" if bold else "normal"
            self.figure.text(
                x / WIDTH, 1 - y / HEIGHT, line,
                fontsize=size, fontweight=weight, color=colour, ha=align, va="baseline",
            )  # fmt: skip

    def block(
        self,
        x: float,
        y: float,
        text: str,
        width: float,
        size: float = 7.5,
        *,
        most: int = 3,
        bold: bool = False,
        colour: str = INK,
    ) -> float:
        """The text in lines, the first one's foot at y; where the next line's foot would be."""
        step = size * POINT * LEADING
        for line in broken(text, width, size, most, bold):
            self.text(x, y, line, size, bold=bold, colour=colour, width=width + 1)
            y += step
        return y

    def rule(self, y: float, x: float = MARGIN, width: float = INNER, colour: str = LINE) -> None:
        self.box(x, y, width, 0.2, colour)

    def box(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        """A filled box with its upper left corner at (x, y)."""
        from matplotlib.patches import Rectangle

        place = (x / WIDTH, 1 - (y + height) / HEIGHT)
        self.figure.add_artist(Rectangle(place, width / WIDTH, height / HEIGHT, color=colour, lw=0))

    def line(self, points: list[tuple[float, float]], colour: str, thick: float = 0.8) -> None:
        from matplotlib.lines import Line2D

        xs, ys = zip(*points, strict=True)
        self.figure.add_artist(
            Line2D([x / WIDTH for x in xs], [1 - y / HEIGHT for y in ys], color=colour, lw=thick)
        )

    def axes(self, x: float, y: float, width: float, height: float) -> Any:
        """Axes whose frame has its upper left corner at (x, y)."""
        place = (x / WIDTH, 1 - (y + height) / HEIGHT, width / WIDTH, height / HEIGHT)
        return self.figure.add_axes(place)
