"""How the index compares text: the collation of the service's database, as keys that compare byte by byte.

Exact matching ignores case and trailing blanks; of person names it ignores accents too. Fuzzy matching compares the
beginnings of words.
"""

from __future__ import annotations

import re
import unicodedata

from local.dicom_service.attributes import Attribute

PERSON_NAME_LENGTH = 200
_WORD_BREAK = re.compile(r"[\s^=]+")


def key_of(attribute: Attribute, value: str) -> str:
    """Return what a value of the attribute is indexed under, and looked for as."""
    value = value.rstrip(" \0")
    if attribute.vr == "PN":
        return _without_accents(value[:PERSON_NAME_LENGTH]).casefold()
    if attribute.vr in ("DA", "UI"):
        return value
    return unicodedata.normalize("NFC", value).casefold()


def words_of(name: str) -> str:
    """Return the words of a person name, each after a blank, so that ` jo` is found at a word's beginning."""
    words = _WORD_BREAK.split(_without_accents(name).casefold().rstrip("\0"))
    return "".join(f" {word}" for word in words if word)


def words_begin_with(words: str | None, prefixes: str) -> bool:
    """Tell whether consecutive words begin with the prefixes, one each; both as from `words_of`."""
    parts = " ".join(re.escape(prefix) + r"\S*" for prefix in prefixes.split())
    return re.search(rf"(?:^| ){parts}", words or "") is not None


def _without_accents(value: str) -> str:
    decomposed = unicodedata.normalize("NFD", value)
    return "".join(character for character in decomposed if not unicodedata.combining(character))
