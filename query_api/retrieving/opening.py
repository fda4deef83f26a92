"""The beginning of an answer: what the status is decided by, before the caller gets a byte."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from query_api.lookup import Lookup
from shared.dicomweb import Answer, InvalidResponse, NotFound
from shared.dicomweb.media_types import media_type_of
from shared.dicomweb.multipart import Event, MultipartParser, PartBegin, boundary_of
from shared.dicomweb.parts import reading_multipart

_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)
# Preamble and headers of a first part are a few lines.
_MAX_BEGINNING_BYTES = 64 * 1024
_PIECE_BYTES = 1024


@dataclass(frozen=True)
class Opened:
    """An answer whose content has begun to come.

    Args:
        transaction: what errors call it.
        headers: of the answer.
        media_type: of the content: of its first part, where it has parts.
        transfer_syntax: of the same, if it is told.
        boundary: of the parts; None where the content is by itself.
        beginning: the first bytes of the body.
        chunks: all of the body, the beginning as well.
    """

    transaction: str
    headers: Mapping[str, str]
    media_type: str
    transfer_syntax: str | None
    boundary: str | None
    beginning: bytes
    chunks: AsyncGenerator[bytes]


def transaction_of(lookup: Lookup) -> str:
    """Return what errors call a lookup."""
    return f"{lookup.route.transaction} {lookup.route.resource}"


async def open_parts(upstream: AsyncExitStack, answer: Answer, transaction: str) -> Opened:
    """Wait for the first bytes of an answer's first part; one that came by itself, against what was asked, will do.

    Args:
        upstream: holds the connection; what is opened is closed with it.
        answer: with a body.
        transaction: what errors call it.

    Raises:
        InvalidResponse: it is empty, no multipart message where it says so, or, by itself, does not tell where it ends.
        NotFound: it is whole and has no part.
        ResponseLost: the connection failed.
    """
    if not media_type_of(answer.content_type)[0].startswith("multipart/"):
        return await open_content(upstream, answer, transaction)
    body = _body_of(upstream, answer)  # HTTP need not tell where it ends: the closing delimiter does
    with reading_multipart(transaction):
        boundary = boundary_of(answer.content_type)
        found = await _first_part(body, MultipartParser(boundary))
    if found is None:
        raise NotFound(transaction, 404)  # what was there when the service looked is there no more
    part, beginning = found
    content_type = part.headers.get("content-type", "")
    return _opened(upstream, answer, transaction, content_type, boundary.decode("ascii"), beginning, body)


async def open_content(upstream: AsyncExitStack, answer: Answer, transaction: str) -> Opened:
    """Wait for the first bytes of an answer that is by itself; white space, which JSON may begin with, is none yet.

    Raises:
        InvalidResponse: it is empty, or does not tell where it ends.
        ResponseLost: the connection failed.
    """
    if not answer.tells_its_end:
        raise InvalidResponse(f"{transaction}: the answer does not tell where it ends")
    body = _body_of(upstream, answer)
    beginning = await _beginning(body)
    if not beginning:
        raise InvalidResponse(f"{transaction}: the answer is empty")
    return _opened(upstream, answer, transaction, answer.content_type, None, beginning, body)


def check_kind(opened: Opened, media_type: str) -> None:
    """See that the content is what was asked for, not a proxy's own page.

    Raises:
        InvalidResponse: it is of another media type.
    """
    if opened.media_type != media_type:
        raise InvalidResponse(f"{opened.transaction}: the answer is of another kind than was asked for")


def _opened(
    upstream: AsyncExitStack,
    answer: Answer,
    transaction: str,
    content_type: str,
    boundary: str | None,
    beginning: bytes,
    body: AsyncGenerator[bytes],
) -> Opened:
    media_type, parameters = media_type_of(content_type)
    syntax = parameters.get("transfer-syntax", "")
    chunks = _joined(beginning, body)
    upstream.push_async_callback(chunks.aclose)
    # What is none would not go into a header.
    told = syntax if _UID.fullmatch(syntax) else None
    return Opened(transaction, answer.headers, media_type, told, boundary, beginning, chunks)


def _body_of(upstream: AsyncExitStack, answer: Answer) -> AsyncGenerator[bytes]:
    body = answer.chunks()
    upstream.push_async_callback(body.aclose)
    return body


async def _beginning(body: AsyncGenerator[bytes]) -> bytes:
    """Read until there is more than white space, or too much of that; return all that was read."""
    seen = bytearray()
    async for chunk in body:
        seen += chunk
        if chunk.strip() or len(seen) > _MAX_BEGINNING_BYTES:
            break
    return bytes(seen)


async def _first_part(body: AsyncGenerator[bytes], parser: MultipartParser) -> tuple[PartBegin, bytes] | None:
    """Read until the first part has shown a byte, or its end; return its head and all that was read."""
    seen: list[bytes] = []
    head: PartBegin | None = None
    async for chunk in body:
        is_too_long = sum(map(len, seen)) > _MAX_BEGINNING_BYTES
        seen.append(chunk)
        for event in _events(parser, chunk):
            if isinstance(event, PartBegin):
                head = event
            elif head is not None:
                return head, b"".join(seen)
        if is_too_long:
            break
    parser.close()
    return None


def _events(parser: MultipartParser, chunk: bytes) -> Iterator[Event]:
    """Feed a chunk piece by piece: it is large, and what is looked for a few lines."""
    for start in range(0, len(chunk), _PIECE_BYTES):
        yield from parser.feed(chunk[start : start + _PIECE_BYTES])


async def _joined(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk
