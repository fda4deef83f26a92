"""What callers get: the service's answer in the form agreed upon, streamed."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Final

from starlette.responses import Response, StreamingResponse

from query_api.lookup import Lookup
from shared.dicomweb import InvalidResponse, media_types
from shared.dicomweb.media_types import format_media_type
from shared.problems import NOT_KEPT

from .etags import quoted
from .links import LinkRewriter, with_own_links
from .negotiating import Form
from .opening import Opened, check_kind
from .repackaging import (
    JPEG_ENDING,
    JSON_ENDING,
    PNG_ENDING,
    labelled,
    passed,
    relabelled,
    unwrapped,
    whole,
    wrapped,
)

_PICTURE_ENDINGS: Final = {"image/jpeg": JPEG_ENDING, "image/png": PNG_ENDING}


class Passed(StreamingResponse):
    """An answer of the service, streamed; the connection to the service is given back by `aclose`.

    Args:
        upstream: holds the connection; the response takes it over.
        body: closed with it.
        headers: of ours alone: the service's own (dates, versions, tokens) stay behind.
    """

    def __init__(self, upstream: AsyncExitStack, body: AsyncGenerator[bytes], headers: Mapping[str, str]) -> None:
        super().__init__(body, 200, headers)
        self._upstream = upstream.pop_all()
        self._upstream.push_async_callback(body.aclose)

    async def aclose(self) -> None:
        """Give the connection to the service back."""
        await self._upstream.aclose()


def pass_parts(upstream: AsyncExitStack, lookup: Lookup, opened: Opened, form: Form) -> Passed:
    """Return an answer that came in parts: as it came if that is what the caller takes, else with its parts called
    otherwise, or its only part by itself.

    Args:
        upstream: holds the connection.
        lookup: is told how many parts it is.
        opened: by `open_parts`.
        form: fits it.
    """
    count = _counting(lookup)
    if opened.boundary is None:
        return _pass_content(upstream, lookup, opened, form, opened.chunks)
    if not form.is_multipart:
        return Passed(upstream, unwrapped(opened, count), _headers(lookup, labelled(form.media_type, opened)))
    is_as_it_came = opened.media_type == form.media_type
    body = passed(opened, count) if is_as_it_came else relabelled(opened, count, form.media_type)
    return Passed(upstream, body, _headers(lookup, _in_parts(form.media_type, opened.boundary)))


def pass_picture(upstream: AsyncExitStack, lookup: Lookup, opened: Opened, form: Form) -> Passed:
    """Return a picture, by itself or as the only part of a multipart message.

    Raises:
        InvalidResponse: the answer is of another kind.
    """
    check_kind(opened, form.media_type)
    return _pass_content(upstream, lookup, opened, form, whole(opened, _PICTURE_ENDINGS[form.media_type]))


def _pass_content(
    upstream: AsyncExitStack, lookup: Lookup, opened: Opened, form: Form, content: AsyncGenerator[bytes]
) -> Passed:
    lookup.datasets = 1
    content_type = labelled(form.media_type, opened)
    if form.is_multipart:
        boundary = secrets.token_hex(16)
        body = wrapped(content, boundary, content_type)
        return Passed(upstream, body, _headers(lookup, _in_parts(form.media_type, boundary)))
    length = {"content-length": opened.headers["content-length"]} if "content-length" in opened.headers else {}
    return Passed(upstream, content, _headers(lookup, content_type) | length)


def pass_json(upstream: AsyncExitStack, lookup: Lookup, opened: Opened, form: Form) -> Passed:
    """Return an array of DICOM JSON, whose links lead to the app.

    Raises:
        InvalidResponse: the answer is of another kind.
    """
    check_kind(opened, media_types.DICOM_JSON)
    if not opened.beginning.lstrip().startswith(b"["):
        raise InvalidResponse(f"{opened.transaction}: the answer is no array")
    rewriter = LinkRewriter(lookup.settings.dicom_service_url.rstrip("/"), lookup.app_address)
    # No parameters: some clients compare the media type as a whole.
    headers = _headers(lookup, form.media_type, opened.headers.get("etag"))
    return Passed(upstream, with_own_links(whole(opened, JSON_ENDING), rewriter), headers)


def not_modified(lookup: Lookup, etag: str | None) -> Response:
    """Return the answer to a caller whose copy is current."""
    return Response(status_code=304, headers=_headers(lookup, None, etag))


def _in_parts(media_type: str, boundary: str) -> str:
    return format_media_type(media_types.RELATED, {"type": media_type, "boundary": boundary})


def _counting(lookup: Lookup) -> Callable[[int], None]:
    def count(parts: int) -> None:
        lookup.datasets = parts

    return count


def _headers(lookup: Lookup, content_type: str | None, etag: str | None = None) -> dict[str, str]:
    named = {"content-type": content_type, "etag": quoted(etag)}
    told = {name: value for name, value in named.items() if value is not None}
    return told | {"vary": "Accept"} | NOT_KEPT | lookup.warning_headers()
