"""Wildcard matching (PS3.4 §C.2.2.2.4), which the Azure service does not do: `*` any text, `?` any one character."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from shared.dicomweb.search import Row

from .rows import values_of

# The VRs whose values may be patterns; a star or question mark in any other is none.
VRS: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})

_WILDCARD = re.compile(r"[*?]")
_WORDS = re.compile(r"[^\W_]+(?:[\s^=]+[^\W_]+)*")


def has_wildcard(text: str) -> bool:
    """Say whether a text is a pattern."""
    return bool(_WILDCARD.search(text))


def matches_all(text: str) -> bool:
    """Say whether a text is nothing but stars: universal matching (PS3.4 §C.2.2.2.3)."""
    return bool(text) and not text.strip("*")


def fuzzy_prefix(pattern: str) -> str:
    """Return the words that each name begins with that matches a pattern, the last of them perhaps cut short.

    Of a word with other characters than letters and digits only what stands before them counts: how the service cuts
    such a word is not known. Empty where the pattern does not begin with a letter or digit.
    """
    words = _WORDS.match(_WILDCARD.split(pattern, maxsplit=1)[0])
    return words[0] if words else ""


@dataclass(frozen=True)
class Pattern:
    """What an attribute's value must be like.

    Args:
        tag: the attribute.
        text: with wildcards or without; case does not matter, nor do trailing blanks.
        is_name: a PN; neither accents nor carets at the end matter, and any component group may match (PS3.5 §6.2.1).
    """

    tag: str
    text: str
    is_name: bool = False

    def matches(self, row: Row) -> bool:
        """Say whether any value of the attribute matches; one that is absent has an empty value.

        Args:
            row: a result in DICOM JSON.
        """
        pattern = self._plain(self.text)
        return any(_matches(pattern, self._plain(text)) for text in _texts(values_of(row, self.tag) or [""]))

    def _plain(self, text: str) -> str:
        text = unicodedata.normalize("NFC", text.rstrip(" \0").lower())
        return _without_accents(text).rstrip("^ ") if self.is_name else text


def _texts(values: list[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, dict):
            groups = [value.get(group) or "" for group in ("Alphabetic", "Ideographic", "Phonetic")]
            yield from filter(None, groups)
            yield "=".join(groups).rstrip("=")
        else:
            yield "" if value is None else str(value)


def _without_accents(text: str) -> str:
    decomposed = unicodedata.normalize("NFD", text)
    # Put together again: the letters of a Korean syllable are no characters of their own.
    return unicodedata.normalize("NFC", "".join(one for one in decomposed if not unicodedata.combining(one)))


def _matches(pattern: str, text: str) -> bool:
    """Match by going back to the last star alone: not exponential in the number of stars, as `re` would be."""
    at = done = 0
    star, star_at = -1, 0
    while done < len(text):
        if pattern[at : at + 1] == "*":
            star, star_at = at, done
            at += 1
        elif pattern[at : at + 1] in ("?", text[done]):
            at += 1
            done += 1
        elif star >= 0:
            star_at += 1
            at, done = star + 1, star_at
        else:
            return False
    return not pattern[at:].strip("*")
