"""Wildcard matching (PS3.4 §C.2.2.2.4), which the Azure service does not do: `*` any text, `?` any one character."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from shared.dicomweb.search import Row

from .rows import values_of

# The VRs whose values may be patterns; a star or question mark in any other is none.
VRS: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})

# A PN, the longest value that the service can be searched for: three component groups with `=` between them (PS3.5
# §6.2). A pattern of more characters is refused.
MOST_CHARACTERS: Final = 3 * 64 + 2

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
        texts = _texts(values_of(row, self.tag) or [""])
        return any(self._matcher.matches(self._plain(text)) for text in texts)

    @cached_property
    def _matcher(self) -> _Matcher:
        return _Matcher(self._plain(self.text))

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


class _Matcher:
    """Match texts against a pattern: one step for each character, however many stars there are.

    All ways to match are followed at once. A bit of a whole number stands for each place between the characters of the
    pattern, stars apart: it is set while the text so far matches what stands before that place.
    """

    def __init__(self, pattern: str) -> None:
        characters = [one for one in pattern if one != "*"]
        self._any = sum(1 << place for place, one in enumerate(characters) if one == "?")
        self._places = dict.fromkeys(characters, self._any)
        for place, one in enumerate(characters):
            self._places[one] |= 1 << place
        self._stars = 0
        place = 0
        for one in pattern:
            if one == "*":
                self._stars |= 1 << place
            else:
                place += 1
        self._end = 1 << len(characters)

    def matches(self, text: str) -> bool:
        """Say whether the whole text matches."""
        reached = 1
        for character in text:
            reached = (reached & self._places.get(character, self._any)) << 1 | reached & self._stars
            if not reached:
                return False
        return bool(reached & self._end)
