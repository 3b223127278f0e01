"""A file's bytes -> its text: UTF-8, UTF-16, or the encoding that its letters speak for."""

from __future__ import annotations

import re
from typing import NamedTuple

from risk.data.alphabets import find_encoding

DAMAGED = re.compile("[\\udc80-\\udcff]")
WORDS = re.compile(r"\b\w*[^\W\d_\x00-\x7f]\w*")
FEW_LINES = 2
UTF8_MARK = b"\xef\xbb\xbf"
SIGNATURES = {
    b"\x1f\x8b": "compressed by gzip; unpack it first",
    b"PK\x03\x04": "a zip or a spreadsheet; save it as CSV",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet, or one with a password; save it as plain .xlsx",
    **{bytes([0x80, protocol]): "a pickle; save it as CSV" for protocol in (2, 3, 4, 5)},
    b"%PDF": "a PDF; save the table as CSV",
}


class Refused(Exception):
    """The file as a whole cannot be understood; the text says why and what to do."""


class Decoded(NamedTuple):
    """note: a sentence where the encoding was found by the letters, else ""."""

    text: str
    encoding: str
    note: str = ""


def decode(data: bytes, encoding: str = "") -> Decoded:
    """The text; bytes that are no letters stay marked as lone surrogates, for their row's error.

    encoding: the one to use where the file is not UTF-8; "" for the one that its letters speak for.
    """
    for signature, what in SIGNATURES.items():
        if data.startswith(signature):
            raise Refused(f"this is {what}")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return Decoded(data.decode("utf-16", "replace"), "utf-16")
    if wide := _wide(data):
        return Decoded(data.decode(wide, "replace"), wide)
    # latin-1 takes any byte, so that a mark before it must go first.
    body = data.removeprefix(UTF8_MARK)
    try:
        return Decoded(body.decode(), "utf-8")
    except UnicodeDecodeError:
        pass
    if len(body) < len(data):
        return Decoded(body.decode(errors="surrogateescape"), "utf-8")
    # What was always the default says nothing of a file that is none.
    if encoding and encoding.lower() not in ("utf-8", "utf8", "utf_8"):
        return Decoded(body.decode(encoding, "surrogateescape"), encoding)
    return _by_letters(body)


def _by_letters(body: bytes) -> Decoded:
    """UTF-8 with a few damaged bytes, or what its letters speak for."""
    text = body.decode(errors="surrogateescape")
    letters = len(text) - len(text.encode("ascii", "ignore"))
    damaged = len(text) - len(text.encode("utf-8", "ignore").decode())
    lines = [line for line in text.splitlines() if DAMAGED.search(line)]
    # One line of letters tells no language, unless the header has them: without it nothing is read.
    few = len(lines) < FEW_LINES and not DAMAGED.search(text[: len(text.partition("\n")[0])])
    if letters - damaged > damaged or few:
        what = f"bytes on {len(lines)} {'line' if len(lines) == 1 else 'lines'} are not UTF-8"
        hint = 'where the file is in another encoding, name it as "csv": {"encoding": "cp1252"}'
        return Decoded(text, "utf-8", f"{what}; {hint}")
    encoding, unsure = find_encoding(body)
    text = body.decode(encoding, "surrogateescape")
    words = list(dict.fromkeys(WORDS.findall(text)))[:2]
    note = f"not UTF-8, read as {encoding} by its letters, as in {' and '.join(words)}"
    doubt = '; another encoding fits nearly as well: where that looks wrong, set "csv": "encoding"'
    return Decoded(text, encoding, note + (doubt if unsure else ""))


def _wide(data: bytes) -> str:
    """UTF-16 without a mark: every other byte of its letters is 0."""
    head = data[:4000]
    half = max(1, len(head) // 2)
    if head[1::2].count(0) > 0.6 * half and head[::2].count(0) < 0.1 * half:
        return "utf-16-le"
    return "utf-16-be" if head[::2].count(0) > 0.6 * half > 6 * head[1::2].count(0) else ""
