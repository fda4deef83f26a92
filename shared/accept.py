"""What a caller takes: the media ranges of its `Accept` headers (RFC 9110 §12.5.1), without I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.problems import invalid_request

# Different ranges of one request: several times what browsers and viewers send. What is negotiated grows with its
# square.
MOST_RANGES: Final = 32

# Members and their pieces; a quote that nobody closes goes on to the end. Nothing is tried twice: linear time.
_MEMBER = re.compile(r'(?:"(?:\\.|[^"\\])*"?|[^",])+', re.DOTALL)
_PIECE = re.compile(r'(?:"(?:\\.|[^"\\])*"?|[^";])+', re.DOTALL)
_NAME = r"[!#$%&'+.^_`|~0-9a-z-]+"
_MEDIA_TYPE = re.compile(rf"\*/\*|{_NAME}/(?:\*|{_NAME})", re.ASCII)
_QUALITY = re.compile(r"[01](?:\.[0-9]*)?|\.[0-9]+", re.ASCII)


@dataclass(frozen=True)
class MediaRange:
    """One member of an `Accept` header.

    Args:
        media_type: in lower case; `*/*` and `image/*` are wildcards.
        parameters: names in lower case, values without quotes; `q` is not among them.
        quality: from 0, which refuses, to 1.
    """

    media_type: str
    parameters: Mapping[str, str]
    quality: float = 1.0

    def covers(self, media_type: str) -> bool:
        """Say whether a media type, without parameters, is in this range."""
        kind, _, subtype = self.media_type.partition("/")
        return self.media_type in ("*/*", media_type) or (subtype == "*" and media_type.startswith(f"{kind}/"))


ANYTHING: Final = MediaRange("*/*", {})


def media_ranges(values: Iterable[str]) -> list[MediaRange]:
    """Return the members of some `Accept` headers, best first, in their own order where they are equally good.

    What cannot be read is left out, and equal ranges count once. Without any header, or with an empty one, all is
    welcome: `*/*`.

    Args:
        values: of all headers of that name; lists or not.

    Raises:
        Refused: 400, there are more than `MOST_RANGES` different ranges.
    """
    text = ",".join(values)
    if not text.strip(", \t"):
        return [ANYTHING]
    ranges: dict[object, MediaRange] = {}
    for found in _MEMBER.finditer(text):
        if member := _media_range(found[0]):
            ranges.setdefault((member.media_type, frozenset(member.parameters.items()), member.quality), member)
            if len(ranges) > MOST_RANGES:
                raise invalid_request(f"Accept has more than {MOST_RANGES} different media ranges: send fewer.")
    return sorted(ranges.values(), key=lambda member: -member.quality)


def quality_of(media_type: str, ranges: Sequence[MediaRange]) -> float:
    """Return how welcome a media type is: what the most specific range that covers it says, 0 where none does."""
    covering = [member for member in ranges if member.covers(media_type)]
    return max(covering, key=_how_specific).quality if covering else 0.0


def _how_specific(member: MediaRange) -> tuple[int, float]:
    return -member.media_type.count("*"), member.quality


def _media_range(member: str) -> MediaRange | None:
    media_type, *pieces = (piece.strip() for piece in _PIECE.findall(member) or [""])
    media_type = "*/*" if media_type == "*" else media_type.lower()  # Java's own client sends a lone star
    parameters: dict[str, str] = {}
    for piece in pieces:
        name, equals, value = piece.partition("=")
        if equals:
            parameters.setdefault(name.strip().lower(), _unquoted(value.strip()))
    quality = parameters.pop("q", "1")
    if not _MEDIA_TYPE.fullmatch(media_type) or not _QUALITY.fullmatch(quality):
        return None
    return MediaRange(media_type, parameters, min(float(quality), 1.0))


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    return re.sub(r"\\(.)", r"\1", value.removeprefix('"').removesuffix('"'), flags=re.DOTALL)
