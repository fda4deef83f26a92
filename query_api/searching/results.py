"""The answer to a search: its form, its headers, and its body page by page (PS3.18 §10.6.3)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

from starlette.responses import Response, StreamingResponse

from query_api.lookup import Lookup
from query_api.refusals import refused
from shared.accept import MediaRange, quality_of
from shared.dicomweb import InvalidResponse, media_types
from shared.dicomweb.json_text import write_json
from shared.dicomweb.search import Row
from shared.problems import NOT_KEPT

from .finding import Found
from .parameters import pairs_of

_MORE: Final = '299 - "There are additional results that can be requested"'  # PS3.18 §8.3.4.4
_ACCEPTABLE: Final = (media_types.DICOM_JSON, media_types.JSON)

# Results → as they are told.
Form = Callable[[list[Row]], Iterable[Mapping[str, Any]]]


def is_plain(accepted: Sequence[MediaRange], *, asked: bool) -> bool:
    """Return whether results are told in the plain form, for those who ask for it or take nothing but plain JSON.

    Args:
        accepted: what the caller takes.
        asked: by `format=plain`, whatever it takes.

    Raises:
        Refused: 406, it takes no JSON.
    """
    welcome = [member for member in accepted if member.quality > 0]
    if asked or {member.media_type for member in welcome} == {media_types.JSON}:
        return True
    if not any(quality_of(media_type, accepted) for media_type in _ACCEPTABLE):
        raise refused("not-acceptable", members={"acceptable": list(_ACCEPTABLE)})
    return False


class Results(StreamingResponse):
    """What a search found, sent as it comes; what holds the service's pages is given back by `aclose`."""

    def __init__(self, found: Found, body: AsyncGenerator[bytes], media_type: str, headers: Mapping[str, str]) -> None:
        self._found = found
        super().__init__(body, headers=headers, media_type=media_type)

    async def aclose(self) -> None:
        """End what is under way."""
        await self._found.aclose()


def response_of(found: Found, lookup: Lookup, form: Form, media_type: str, headers: Mapping[str, str]) -> Response:
    """Return the answer: as a whole where all results are there.

    Raises:
        InvalidResponse: the first results cannot be told.
    """
    encoded = _encoded(form(found.first))
    if found.rest is not None and (found.first or found.has_more):
        return Results(found, _body(encoded, found.rest, lookup, form, len(found.first)), media_type, headers)
    lookup.datasets = len(found.first)
    if not found.first and lookup.settings.empty_search_status == "204":
        return Response(status_code=204, headers=headers)
    return Response(b"[" + encoded + b"]", media_type=media_type, headers=headers)


def headers_of(lookup: Lookup, found: Found, next_url: str | None) -> dict[str, str]:
    """Return what the answer says besides its results.

    Args:
        lookup: under way.
        found: what was found.
        next_url: where to go on; None if there is no more.
    """
    headers = {**NOT_KEPT, **lookup.warning_headers()}
    if found.erroneous_attributes:
        headers["erroneous-dicom-attributes"] = ",".join(found.erroneous_attributes)
    if next_url is not None:
        headers["Warning"] = ", ".join(filter(None, (headers.get("Warning"), _MORE)))
        headers["Link"] = f'<{next_url}>; rel="next"'
    return headers


def next_query(query: bytes, offset: int) -> str:
    """Return the query string of the same search from another offset on, without the function key."""
    pairs = [pair for pair in pairs_of(query) if pair[0].lower() != "offset"]
    # What separates values stays as it is: a link must not be longer than can be asked for.
    return urlencode([*pairs, ("offset", str(offset))], safe=",*", quote_via=quote)


async def _body(
    first: bytes, rest: AsyncGenerator[list[Row]], lookup: Lookup, form: Form, count: int
) -> AsyncGenerator[bytes]:
    lookup.datasets = count
    yield b"[" + first
    async for rows in rest:
        chunk = _encoded(form(rows))
        yield b"," * bool(chunk and lookup.datasets) + chunk
        lookup.datasets += len(rows)
    yield b"]"


def _encoded(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Return results in JSON, separated by commas; what is no Unicode is replaced."""
    try:
        return write_json(list(rows))[1:-1]
    except (ValueError, RecursionError):
        raise InvalidResponse("search: a result is not JSON") from None
