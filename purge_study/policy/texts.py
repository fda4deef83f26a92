"""How texts are compared: case, width and composition apart; as wholes, or by words (pure)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import zip_longest
from typing import Final

# Letters and marks of scripts that set no blanks between words, or hang particles on them as Korean does: for regular
# expressions, as the inside of a class. A phrase in such a script may begin and end anywhere in a text.
_UNBROKEN: Final = (
    "\u0e01-\u0e3a\u0e40-\u0e4e"  # Thai
    "\u0e81-\u0ece\u0edc-\u0edf"  # Lao
    "\u1000-\u103f\u1050-\u109d\ua9e0-\ua9ef\uaa60-\uaa7f"  # Myanmar
    "\u1780-\u17d3\u17dd"  # Khmer
    "\u1100-\u11ff\u3131-\u318e\ua960-\ua97c\uac00-\ud7fb"  # Hangul
    "\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303c"  # signs among ideographs
    "\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"  # kana, without the dot between words
    "\u3105-\u312f\u31a0-\u31bf"  # Bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd"  # ideographs
)
# Invisible characters, and tatweel, which only stretches a word. First the category Cf (format characters) of Unicode
# 15.1. They are written out, because a search for them takes a tenth of a second at each start.
_UNSEEN: Final = re.compile(
    "["
    "\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064"
    "\u2066-\u206f\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a"
    # Variation selectors, and what else has the property Default_Ignorable_Code_Point
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\ufe00-\ufe0f\ufff0-\ufff8\U000e0000-\U000e0fff"
    # Tatweel
    "\u0640"
    "]"
)
# What looks like a blank and is no space: controls, the empty Braille cell, Hangul fillers, the sign of an object.
_BLANK: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2800\u3164\uffa0\ufffc]")
_WORD: Final = re.compile(rf"(?:[^\W_]|[{_UNBROKEN}])+")
# A letter or digit of another script: a word neither begins nor ends beside it.
_NOT_AFTER_LETTER: Final = rf"(?<![^\W_{_UNBROKEN}])"
_NOT_BEFORE_LETTER: Final = rf"(?![^\W_{_UNBROKEN}])"
_BREAK: Final = rf"(?:(?![{_UNBROKEN}])[\W_])"


def visible(text: str) -> str:
    """Return a text without the characters that nobody sees, and with a space for each that looks like one."""
    return _UNSEEN.sub("", _BLANK.sub(" ", text))


def folded(text: str) -> str:
    """Return a text in the form in which it is compared: small letters, full width as half (NFKC), single blanks.

    Invisible characters are left out, and the two Turkish letters that differ from i by their dot alone are i.
    """
    small = unicodedata.normalize("NFKC", visible(text)).casefold()
    plain = small.replace("i\u0307", "i").replace("\u0131", "i")
    return " ".join(unicodedata.normalize("NFKC", visible(plain)).split())


def words_of(text: str) -> list[str]:
    """Return the words of a text, folded: what stands between blanks and signs."""
    return _WORD.findall(folded(text))


def unbroken_parts(word: str) -> Iterator[str]:
    """Yield the parts of a folded word that `has_phrase` finds in it: they begin and end in an unbroken script."""
    at = [index for index, letter in enumerate(word) if _is_unbroken(letter)]
    yield from (word[first : last + 1] for first in at for last in at if first <= last)


def has_phrase(text: str, phrase: str) -> bool:
    """Say whether a text has the words of a phrase in a row.

    A word is a whole one, except where it begins or ends in a script without blanks between words: there it may be
    part of a longer text.
    """
    return _pattern(phrase).search(folded(text)) is not None


@lru_cache(maxsize=262_144)  # more phrases than a policy of 1 MiB can have: none is compiled anew for each study
def _pattern(phrase: str) -> re.Pattern[str]:
    words = words_of(phrase)
    pattern = "" if _is_unbroken(words[0][0]) else _NOT_AFTER_LETTER
    for word, following in zip_longest(words, words[1:], fillvalue=""):
        pattern += re.escape(word) + _end(word, following)
    return re.compile(pattern)


def _end(word: str, following: str) -> str:
    """Return what must come between a word and the one that follows it in a phrase, if any."""
    if following:
        return f"{_BREAK}*" if _is_unbroken(word[-1]) or _is_unbroken(following[0]) else f"{_BREAK}+"
    return "" if _is_unbroken(word[-1]) else _NOT_BEFORE_LETTER


def _is_unbroken(letter: str) -> bool:
    return re.match(f"[{_UNBROKEN}]", letter) is not None
