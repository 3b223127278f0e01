"""A cell as people write it -> its value: the forms of numbers and dates, the words for missing.

A form belongs to a column and is found once (`number_form`, `date_form`); afterwards a cell is read
by it alone, so that 1.234 never changes its meaning between files.
"""

from __future__ import annotations

import datetime
import math
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

Raw = str | float | int | bool | datetime.date | None  # typed from sheets, Parquet and JSON

NUMERIC = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
PLAIN, ISO_DAY = "1234.5", "yyyy-mm-dd"
# Form -> (the sign between thousands, the decimal sign). Of forms that fit equally the first
# counts: 1,234 is a thousand more often than a fraction of three decimals.
NUMBER_FORMS = {
    PLAIN: ("", "."),
    "1,234.5": (",", "."),
    "1234,5": ("", ","),
    "1.234,5": (".", ","),
    "1 234,5": (" ", ","),
    "1 234.5": (" ", "."),
    "1'234.5": ("'", "."),
    "1'234,5": ("'", ","),
}
LONGEST = 60  # letters of a number or a date: of a long text no pattern is tried
MOST_CELLS = 20_000  # that a form is found by
ALMOST = 0.9  # of a column's cells; the tenth may be the dirt that quarantine is for

_WORDS = "NA N/A n.a. NULL None NaN #N/A #NV #N/D #DIV/0! #VALUE! #WERT! #REF! #NAME? NaT".split()
_MARKS = ("", "?", "-", "–", "—", "--", r"\N", "(null)", "[NULL]", "<NA>", "<null>", "(blank)")
MISSING = frozenset(w for word in (*_WORDS, *_MARKS) for w in (word, word.upper(), word.lower()))
# North America and the plan without a plan are words of texts.
MISSING_TEXT = MISSING - {"NA", "na", "None", "NONE", "none"}


class Rule(ValueError):
    """The rule that a cell breaks, in words."""


def plain_cell(raw: Raw) -> str:
    """Any cell as one text: without spaces at its ends, its line breaks as spaces."""
    if isinstance(raw, str):
        text = raw.strip()
        return " ".join(text.split()) if "\n" in text or "\r" in text else text
    if raw is None:
        return ""
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, datetime.datetime):
        return raw.date().isoformat() if raw.time() == datetime.time() else raw.isoformat(" ")
    if isinstance(raw, datetime.date):
        return raw.isoformat()
    if isinstance(raw, float) and raw.is_integer() and abs(raw) < 1e15:
        return str(int(raw))  # a sheet holds every number as a float, a client's too
    return "" if isinstance(raw, float) and math.isnan(raw) else repr(raw)


# ------------------------------------------------------------ numbers

_CODES = (
    "USD EUR EURO GBP CHF JPY CNY INR SEK NOK DKK PLN CZK HUF RON BGN TRY RUB UAH BRL MXN CAD AUD "
    "NZD ZAR SGD HKD KRW ILS AED SAR US$ A$ C$ R$ kr. kr zł Kč Ft Fr. Rs. Rs руб."
).split()
_SIGN = "|".join([*map(re.escape, _CODES), "[$€£¥₹₽₩₺₪₴₫฿₦₱]"])
_DRESSED = re.compile(
    rf"(?P<open>\()?\s*(?P<minus>[+-])?\s*(?P<before>{_SIGN})?\s*(?P<minus2>[+-])?\s*"
    rf"(?P<body>[0-9.,][0-9.,' ]*(?:[eE][+-]?[0-9]+)?)\s*(?P<after>{_SIGN}|%)?\s*(?P<behind>-)?"
    r"\s*(?P<close>\))?",
    re.IGNORECASE,
)
_NO_CENTS = re.compile(r"(?<=[0-9])[.,][-–—]+(?=\s*[^0-9]*$)")
_SPACES = str.maketrans({**dict.fromkeys("\xa0\u2007\u2009\u202f", " "), "\u2212": "-", "’": "'"})


def number_pattern(group: str, decimal: str) -> str:
    """Grouped or plain digits, then the decimals; Indian groups of two with commas."""
    mark, point = re.escape(group), re.escape(decimal)
    digits = r"[0-9]+"
    if group:
        inner = rf"(?:{mark}[0-9]{{2,3}})*" if group == "," else rf"(?:{mark}[0-9]{{3}})*"
        digits = rf"(?:[1-9][0-9]{{0,2}}{inner}{mark}[0-9]{{3}}|[0-9]+)"
    return rf"(?:{digits}(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][+-]?[0-9]+)?"


_PATTERNS = {form: re.compile(number_pattern(*signs)) for form, signs in NUMBER_FORMS.items()}


def parse_number(text: str, low: float = -math.inf, form: str = PLAIN) -> float | None:
    """A finite number of this form; None for a missing one.

    Always understood: a currency or % beside it, spaces, and a minus as (1,200) or 1,200-.
    """
    group, decimal = NUMBER_FORMS[form]
    # The plain case first: it is nearly every cell of nearly every file.
    if decimal == "." and NUMERIC.fullmatch(text):
        value = float(text) + 0.0  # -0 and 0 are one value: they must be one duplicate
    elif text in MISSING:
        return None
    else:
        value = _dressed_number(text, form) + 0.0
    if not math.isfinite(value):
        raise Rule("not finite")
    if value < low:
        raise Rule("below 0")
    return value


def _dressed_number(text: str, form: str) -> float:
    group, decimal = NUMBER_FORMS[form]
    if len(text) > LONGEST:
        raise Rule(_no_number(form))
    # 1.234,- is an amount without cents, 1.234- is below zero.
    found = _DRESSED.fullmatch(_NO_CENTS.sub("", text.translate(_SPACES)))
    if found is None or bool(found["open"]) != bool(found["close"]):
        raise Rule(_no_number(form))
    body = found["body"].rstrip()
    if not _PATTERNS[form].fullmatch(body):
        raise Rule(_no_number(form))
    signs = [found[name] for name in ("minus", "minus2", "behind") if found[name]]
    if len(signs) + bool(found["open"]) > 1:
        raise Rule(_no_number(form))
    value = float((body.replace(group, "") if group else body).replace(decimal, "."))
    return -value if found["open"] or signs == ["-"] else value


def _no_number(form: str) -> str:
    return "not a number" if form == PLAIN else f"not a number like {form}"


_COLUMN = re.compile(rf"(?:(?:{NUMERIC.pattern})?\n)*+")


def plain_numbers(cells: Sequence[Raw], low: float = -math.inf) -> list[float | None] | None:
    """A whole column of texts that are plain numbers or empty; None where one is anything else.

    At a sixth of the time that cell by cell takes.
    """
    try:
        text = "\n".join(cells) + "\n"  # type: ignore[arg-type]
    except TypeError:
        return None
    if not _COLUMN.fullmatch(text):
        return None
    found = [float(cell) + 0.0 if cell else None for cell in text.split("\n")[:-1]]
    filled = [number for number in found if number is not None]
    # As many as before: a line break in a cell would have made two of one.
    usable = len(found) == len(cells)
    if usable and filled:
        usable = max(low, -sys.float_info.max) <= min(filled) <= max(filled) < math.inf
    return found if usable else None


def typed_number(raw: Raw, low: float = -math.inf) -> float | None:
    """A cell that is a number already."""
    if raw is None or (isinstance(raw, float) and math.isnan(raw)):
        return None
    if isinstance(raw, bool) or not isinstance(raw, (int, float)):
        raise Rule("not a number")
    return parse_number(repr(raw), low)


def is_numeric(raw: Raw, form: str = PLAIN) -> bool:
    """Whether the cell is a number of this form; a missing one is none."""
    try:
        found = parse_number(raw, form=form) if isinstance(raw, str) else typed_number(raw)
    except Rule:
        return False
    return found is not None


@dataclass(frozen=True)
class FormGuess:
    """Which form a column's cells have; "" where none fits.

    fits: how many of the filled cells. others: forms under which the same cells mean other values,
    as 1.234 or 01/02/2026 can; sample: a cell that does.
    """

    form: str = ""
    filled: int = 0
    fits: int = 0
    others: tuple[str, ...] = ()
    sample: str = ""

    @property
    def is_ambiguous(self) -> bool:
        return bool(self.others)


def number_form(raws: Iterable[Raw], decimal: str = "") -> FormGuess:
    """The form that at least nine of ten filled cells have.

    decimal: the sign that the rest of the file uses, which decides where several forms fit.
    """
    texts = [plain_cell(raw) for raw in raws if isinstance(raw, str)]
    texts = [text for text in texts if text not in MISSING][:MOST_CELLS]
    if not texts:
        return FormGuess(PLAIN)
    values = {form: [_value(text, form) for text in texts] for form in NUMBER_FORMS}
    counts = {form: len(texts) - found.count(None) for form, found in values.items()}
    most = max(counts.values())
    if most < ALMOST * len(texts):
        return FormGuess("", len(texts), most)
    fitting = [form for form in NUMBER_FORMS if counts[form] == most]
    fitting.sort(key=lambda form: decimal not in ("", NUMBER_FORMS[form][1]))
    return _guess(fitting[0], texts, most, {form: values[form] for form in fitting})


def _value(text: str, form: str) -> float | None:
    try:
        return parse_number(text, form=form)
    except Rule:
        return None


def _guess(
    chosen: str, texts: Sequence[str], fits: int, values: dict[str, list[float | None]]
) -> FormGuess:
    """The guess with one form of each other meaning."""
    others: dict[str, list[float | None]] = {}
    for form, found in values.items():
        if found != values[chosen] and found not in others.values():
            others[form] = found
    pairs = (zip(texts, values[chosen], found, strict=True) for found in others.values())
    sample = next((text for rows in pairs for text, one, other in rows if one != other), "")
    return FormGuess(chosen, len(texts), fits, tuple(others), sample)


# ------------------------------------------------------------ dates

_MONTHS = (
    "january jan januar jänner janvier janv enero ene gennaio gen januari janeiro",
    "february feb februar février févr fév febrero febbraio februari fevereiro fev",
    "march mar märz mär mrz mars marzo maart mrt março",
    "april apr avril avr abril abr aprile",
    "may mai mayo maggio mag mei maio",
    "june jun juni juin junio giugno giu junho",
    "july jul juli juillet juil julio luglio lug julho",
    "august aug août aou agosto ago augustus",
    "september sep sept septembre septiembre settembre set setembro",
    "october oct oktober okt octobre octubre ottobre ott outubro out",
    "november nov novembre noviembre novembro",
    "december dec dezember dez décembre déc diciembre dic dicembre dezembro",
)


def bare_word(word: str) -> str:
    """The word in small letters without accents."""
    parts = unicodedata.normalize("NFD", word.casefold())
    return "".join(letter for letter in parts if not unicodedata.combining(letter))


MONTH_NUMBERS = {bare_word(name): at for at, row in enumerate(_MONTHS, 1) for name in row.split()}
_TIME = (
    r"(?:(?:T|,?\s+)[0-9]{1,2}[:.h][0-9]{2}(?:[:.][0-9]{2}(?:[.,][0-9]+)?)?"
    r"\s*(?:[AaPp]\.?[Mm]\.?)?\s*(?:Z|UTC|GMT|CET|CEST|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_DAY, _MONTH, _YEAR = r"(?P<d>[0-9]{1,2})", r"(?P<m>[0-9]{1,2})", r"(?P<y>[0-9]{4}|'?[0-9]{2})"
_FULL, _NAME = r"(?P<y>[0-9]{4})", r"(?P<b>[^\W\d_]{3,10})\.?"
_DE = r"(?:\s+de)?\s+"  # 31 de enero de 2026
# Form -> how its cells look, those first that say more; two-digit years are of 1970 to 2069.
DATE_FORMS = {
    form: re.compile(pattern)
    for form, pattern in {
        ISO_DAY: rf"(?:{_FULL}-(?P<m>[0-9]{{2}})-(?P<d>[0-9]{{2}})"
        rf"(?:{_TIME}|[T ][0-9:.,]+(?:Z|[+-][0-9:]+)?)"
        r"|(?P<y2>[0-9]{4})(?P<m2>[0-9]{2})(?P<d2>[0-9]{2})|(?P<y3>[0-9]{4})-(?P<m3>[0-9]{2}))",
        "yyyy/mm/dd": rf"{_FULL}/{_MONTH}/{_DAY}{_TIME}",
        "yyyy.mm.dd": rf"{_FULL}\.\s?{_MONTH}\.\s?{_DAY}\.?{_TIME}",
        "dd.mm.yyyy": rf"{_DAY}\.\s?{_MONTH}\.\s?{_YEAR}{_TIME}",
        "dd/mm/yyyy": rf"{_DAY}/{_MONTH}/{_YEAR}{_TIME}",
        "mm/dd/yyyy": rf"{_MONTH}/{_DAY}/{_YEAR}{_TIME}",
        "dd-mm-yyyy": rf"{_DAY}-{_MONTH}-{_YEAR}{_TIME}",
        "mm-dd-yyyy": rf"{_MONTH}-{_DAY}-{_YEAR}{_TIME}",
        "dd mmm yyyy": rf"{_DAY}\.?(?:{_DE}|[-/. ]\s?){_NAME}(?:{_DE}|[-/. ]){_YEAR}{_TIME}",
        "mmm dd, yyyy": rf"{_NAME}\s+{_DAY}(?:st|nd|rd|th)?,?\s+{_FULL}{_TIME}",
        "mmm yyyy": rf"{_NAME}(?:{_DE}|[-/._ ]){_FULL}",
        "mmm-yy": rf"{_NAME}(?:\s|[-/._ ]){_YEAR}",
        "yyyy-mmm": rf"{_FULL}[-/._ ]{_NAME}",
        "mm/yyyy": rf"{_MONTH}/{_FULL}",
        "mm.yyyy": rf"{_MONTH}\.{_FULL}",
        "mm-yyyy": rf"{_MONTH}-{_FULL}",
        "yyyy/mm": rf"{_FULL}/{_MONTH}",
        "yyyymm": r"(?P<y>(?:19|20)[0-9]{2})(?P<m>[0-9]{2})",
        "yyyy-qn": r"(?:(?P<y>[0-9]{4})[-_ /]?Q(?P<q>[1-4])|Q(?P<q2>[1-4])[-_ /]?(?P<y2>[0-9]{4}))",
        "yyyy-wnn": r"(?P<y>[0-9]{4})[-_ ]?W(?P<w>[0-9]{1,2})",
        "yyyy": r"(?P<y>(?:19|20)[0-9]{2})",
        "excel": r"(?P<x>[1-9][0-9]{4})(?:\.[0-9]+)?",
    }.items()
}
_EXCEL_START = datetime.date(1899, 12, 30)


def parse_date(text: str, form: str = ISO_DAY) -> str:
    """The date as YYYY-MM-DD; a month, quarter or week is its last day, since only then its
    snapshot is whole."""
    return _parse_date(text[: LONGEST + 1], form)


@lru_cache(maxsize=20_000)  # a file holds the same few dates again and again
def _parse_date(text: str, form: str) -> str:
    found = DATE_FORMS[form].fullmatch(text) if len(text) <= LONGEST else None
    date = _date_of({k: v for k, v in found.groupdict().items() if v}) if found else None
    if date is None:
        shown = "2026-01-31" if form == ISO_DAY else form
        raise Rule("empty date" if text in MISSING else f"not a date like {shown}")
    return date.isoformat()


def _date_of(parts: dict[str, str]) -> datetime.date | None:
    parts = {name[0]: text for name, text in parts.items()}
    try:
        if "x" in parts:
            return _EXCEL_START + datetime.timedelta(days=int(parts["x"]))
        year = _year(parts["y"])
        if "w" in parts:
            return datetime.date.fromisocalendar(year, int(parts["w"]), 7)
        if "q" in parts:
            return _month_end(year, 3 * int(parts["q"]))
        month = (
            MONTH_NUMBERS.get(bare_word(parts["b"]), 0) if "b" in parts else int(parts.get("m", 12))
        )
        return (
            datetime.date(year, month, int(parts["d"]))
            if "d" in parts
            else (_month_end(year, month))
        )
    except (ValueError, OverflowError):
        return None


def _year(text: str) -> int:
    digits = text.lstrip("'")
    return int(digits) if len(digits) == 4 else int(digits) + (1900 if int(digits) >= 70 else 2000)


def _month_end(year: int, month: int) -> datetime.date:
    # The first of the next month less a day: its last day, without a table of months.
    if not 1 <= month <= 12:
        raise ValueError("no month")
    return datetime.date(year + month // 12, month % 12 + 1, 1) - datetime.timedelta(days=1)


def typed_date(raw: Raw, form: str = ISO_DAY) -> str:
    """The date in a cell that is no text; a bare number is one only where the form says so."""
    if isinstance(raw, datetime.datetime):
        return raw.date().isoformat()
    if isinstance(raw, datetime.date):
        return raw.isoformat()
    return parse_date(plain_cell(raw), form)


def date_form(raws: Iterable[Raw], *, serials: bool = False) -> FormGuess:
    """The form that every filled cell has; serials: whether 45000 may be a sheet's date."""
    texts = list(dict.fromkeys(plain_cell(raw) for raw in raws if raw is not None))
    texts = [text for text in texts if text not in MISSING]
    fitting: dict[str, list[str]] = {}
    for form in DATE_FORMS:
        if form == "excel" and (not serials or fitting):
            continue
        try:
            fitting[form] = [parse_date(text, form) for text in texts]
        except Rule:
            continue
    if not texts or not fitting:
        return FormGuess(ISO_DAY if not texts else "", len(texts))
    chosen, *rest = fitting
    others = tuple(form for form in rest if fitting[form] != fitting[chosen])
    pairs = (zip(texts, fitting[chosen], fitting[form], strict=True) for form in others)
    sample = next((text for rows in pairs for text, one, other in rows if one != other), "")
    return FormGuess(chosen, len(texts), len(texts), others, sample)


# ------------------------------------------------------------ by a column's form

FORMS = (*NUMBER_FORMS, *DATE_FORMS)


def number_parser(form: str, low: float = -math.inf) -> Callable[[Raw], float | None]:
    point = NUMBER_FORMS[form][1] == "."

    def parse(raw: Raw) -> float | None:
        if not isinstance(raw, str):
            return typed_number(raw, low)
        # Here too, since it is most of the time that a file takes.
        if point and NUMERIC.fullmatch(raw) and low <= (value := float(raw) + 0.0) < math.inf:
            return value
        return parse_number(raw.strip(), low, form)

    return parse


def date_parser(form: str) -> Callable[[Raw], str]:
    def parse(raw: Raw) -> str:
        return parse_date(raw.strip(), form) if isinstance(raw, str) else typed_date(raw, form)

    return parse
