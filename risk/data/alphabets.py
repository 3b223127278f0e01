"""Bytes that are not UTF-8 -> the encoding under which their letters read as some language.

General detectors take short lists of names for anything (charset-normalizer: 42 of 93 samples of
company names wrong, most of Western Europe as cp1250), so that names are weighed by alphabets here.
"""

from __future__ import annotations

import math
import re
from functools import cache

# The letters beyond a to z of each language, the commonest first; upper case counts with them.
_LATIN = {
    "äöüß": "cp1252 mac_roman cp850",  # German
    "éèàêçôâîùûëïœæ": "cp1252 mac_roman cp850",  # French
    "óáíéñúü": "cp1252 mac_roman cp850",  # Spanish
    "ãçáéíóâêúõôàü": "cp1252 mac_roman cp850",  # Portuguese
    "àèùòìé": "cp1252 mac_roman cp850",  # Italian
    "åäöéøæü": "cp1252 mac_roman cp850",  # Nordic
    "ëéïèöü": "cp1252",  # Dutch
    "éáíóöþðúæý": "cp1252",  # Icelandic
    "łóżąęśćńź": "cp1250 iso8859-2",  # Polish
    "íáěéýřšžčůúňťďó": "cp1250 iso8859-2",  # Czech
    "áíýéčžšťľôúňďóäĺŕ": "cp1250 iso8859-2",  # Slovak
    "áéöóőüíúű": "cp1250 iso8859-2",  # Hungarian
    "čšžćđ": "cp1250 iso8859-2",  # Croatian, Slovene
    "ăîâţş": "cp1250 iso8859-2",  # Romanian
    "ıüşçğöİâ": "cp1254",  # Turkish
    "õäöüšž": "cp1257",  # Estonian
    "āīēšūņļžķģč": "cp1257",  # Latvian
    "ėšžįųąčūę": "cp1257",  # Lithuanian
}
_OTHER = {
    "оаеинтсрвлкмдпуяыьгзбчйхжшюцщэфъё": "cp1251 koi8-r cp866 iso8859-5 mac_cyrillic",
    "оаинвретслкдмпузіяьбгчйжхцшюєїщґф": "cp1251 koi8-u",  # Ukrainian
    "аоиетнрсвлпкдмъузябгчцщшжйхюфь": "cp1251",  # Bulgarian
    "αοιετσνηυρπκλμςίόάωέγδήθχύβφξώζψ": "cp1253 iso8859-7",
    "יוהלאמרתבשנדעחקפגסטזצכםןךףץ": "cp1255",
    "اليمنرتبةعدسفهكقحجشطصخإضزأذثغظىءئؤآ": "cp1256",
}
# What hardly anybody writes today needs more than a word to speak for it.
RARE = dict.fromkeys("mac_roman cp850 koi8-r koi8-u cp866 iso8859-5 mac_cyrillic".split(), -6.0)
# The first bytes of signs and kana, those of the common letters, and the least second byte.
MULTIBYTE = {
    "gb18030": ((0xA1, 0xA5), (0xB0, 0xD7), 0xA1),
    "big5": ((0xA1, 0xA3), (0xA4, 0xC6), 0x40),
    "cp932": ((0x81, 0x83), (0x88, 0x97), 0x40),
    "euc_jp": ((0xA1, 0xA5), (0xB0, 0xCF), 0xA1),
    "cp949": ((0xA1, 0xA3), (0xB0, 0xC8), 0xA1),
}
_TYPOGRAPHY = "’‘“”„–—…€®©™°§«»·´&×½²³ºª¿¡№\xa0"
_WORD = re.compile(rb"[A-Za-z\x80-\xff]*[\x80-\xff][A-Za-z\x80-\xff]*")
MOST_WORDS, LONGEST, ODD, WRONG = 300, 40, -5.0, -9.0


def find_encoding(data: bytes) -> tuple[str, bool]:
    """(the encoding, whether another one reads the letters nearly as well)."""
    words = list(dict.fromkeys(w[:LONGEST] for w in _WORD.findall(data[:2_000_000])))[:MOST_WORDS]
    wide = _multibyte(data)
    if wide:
        return wide, len(words) < 3
    scores: dict[str, float] = {}
    for latin, alphabets in ((True, _LATIN), (False, _OTHER)):
        for letters, encodings in alphabets.items():
            for encoding in encodings.split():
                score = _score(words, encoding, letters, latin=latin) + RARE.get(encoding, 0.0)
                scores[encoding] = max(score, scores.get(encoding, -math.inf))
    # Several languages of one encoding in one list: each word by the one that fits it best.
    for encoding in ("cp1252", "cp1250", "iso8859-2"):
        own = [letters for letters, names in _LATIN.items() if encoding in names.split()]
        each = (max(_score([w], encoding, a, latin=True) for a in own) for w in words)
        scores[encoding] = max(scores[encoding], sum(each) - 0.6 * len(words))
    best = max(scores, key=lambda name: scores[name])
    text = b" ".join(words)
    if _decoded(text, "cp1252") == _decoded(text, best):  # of equal ones the usual
        best = "cp1252"
    rivals = [n for n, s in scores.items() if s > scores[best] - max(3.0, 0.1 * len(words))]
    unsure = any(_decoded(text, name) != _decoded(text, best) for name in rivals)
    return best, unsure


def _decoded(data: bytes, encoding: str) -> str:
    return data.decode(encoding, "replace")


@cache
def _weights(letters: str) -> dict[str, float]:
    """Letter -> the logarithm of its share, by its place in the list."""
    shares = [1 / (place + 3) for place in range(len(letters))]
    weights = {a: math.log(share / sum(shares)) for a, share in zip(letters, shares, strict=True)}
    # A capital is rarer.
    return {letter.upper(): weight - 1.5 for letter, weight in weights.items()} | weights


def _score(words: list[bytes], encoding: str, letters: str, *, latin: bool) -> float:
    """The logarithm of how likely these words are in the language."""
    weights, total = _weights(letters), 0.0
    for word in words:
        text = _decoded(word, encoding)
        for at, letter in enumerate(text):
            if letter < "\x80":
                continue
            before, after = text[at - 1 : at] if at else "", text[at + 1 : at + 2]
            total += weights.get(letter, ODD if letter in _TYPOGRAPHY else WRONG)
            foreign = [near for near in (before, after) if near and (near < "\x80") != latin]
            total -= 3.0 * len([near for near in foreign if near.isalpha()])
            # A capital inside a word of small letters is another encoding's letter.
            total -= 5.0 * (letter.isupper() and before.islower())
    return total


def _multibyte(data: bytes) -> str:
    """The East Asian encoding whose characters stand in runs; "" where none does."""
    fitting = []
    for encoding in MULTIBYTE:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        runs = re.findall(r"[^\x00-\x7f]+", text)
        letters = [letter.encode(encoding) for run in runs for letter in run]
        first, last, second = MULTIBYTE[encoding]
        common = sum(
            len(pair) == 2 and (first[0] <= pair[0] <= first[1] or last[0] <= pair[0] <= last[1])
            for pair in letters
            if pair[-1] >= second
        )
        # What Cyrillic, Greek or Polish bytes look like there are rare letters, or single ones.
        if len(letters) >= 1.8 * len(runs) and common >= 0.6 * len(letters):
            fitting.append(encoding)
    if len(fitting) < 2:
        return "".join(fitting)
    from charset_normalizer import from_bytes

    lines = [line for line in data.splitlines() if not line.isascii()][:MOST_WORDS]
    best = from_bytes(b"\n".join(lines), cp_isolation=fitting).best()
    return best.encoding if best else fitting[0]
