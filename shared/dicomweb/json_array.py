"""A JSON array of objects, read as it comes: little more than one of them is in memory at a time (pure)."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any

_BLANKS = re.compile(r"[ \t\r\n]*")
_MAX_CHARACTERS = 64 * 1024 * 1024
# What has come before → a character → what has come then; objects apart.
_STEPS = {
    "nothing": {"[": "bracket"},
    "bracket": {"]": "end"},
    "comma": {},
    "object": {",": "comma", "]": "end"},
    "end": {},
}
_decode_object = json.JSONDecoder().raw_decode


class MalformedArray(ValueError):
    """It is no JSON array of objects, not a whole one, or one of its objects is too large."""


class JSONArrayParser:
    """Takes bytes in UTF-8, split anywhere, and gives objects."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._seen = "nothing"
        self._enough = 0

    def feed(self, chunk: bytes) -> Iterator[dict[str, Any]]:
        """Yield the objects that are complete by now.

        Raises:
            MalformedArray: it is none, as far as it has come.
        """
        try:
            self._text += self._decoder.decode(chunk)
        except UnicodeDecodeError:
            raise MalformedArray("it is not UTF-8") from None
        # An object that comes in many chunks is not tried at each of them, but at each doubling.
        if len(self._text) >= self._enough:
            yield from self._objects()
            self._enough = 2 * len(self._text)
        if len(self._text) > _MAX_CHARACTERS:
            raise MalformedArray("an object is too large, or none")

    def close(self) -> Iterator[dict[str, Any]]:
        """Yield what is left.

        Raises:
            MalformedArray: the array is not whole, or something follows it.
        """
        yield from self._objects()
        if self._seen != "end" or self._text:
            raise MalformedArray("it is not whole, or something follows it")

    def _objects(self) -> Iterator[dict[str, Any]]:
        at = self._skip_blanks(0)
        while at < len(self._text) and self._seen != "end":
            if self._text[at] == "{" and self._seen in ("bracket", "comma"):
                try:
                    found, at = _decode_object(self._text, at)
                except json.JSONDecodeError:
                    break  # not all of it is there, or never will be
                except RecursionError:
                    raise MalformedArray("an object is nested too deeply") from None
                self._seen = "object"
                yield found
            else:
                self._step(self._text[at])
                at += 1
            at = self._skip_blanks(at)
        self._text = self._text[at:]

    def _step(self, character: str) -> None:
        if character not in _STEPS[self._seen]:
            raise MalformedArray("it is no array of objects")
        self._seen = _STEPS[self._seen][character]

    def _skip_blanks(self, at: int) -> int:
        found = _BLANKS.match(self._text, at)
        return found.end() if found else at
