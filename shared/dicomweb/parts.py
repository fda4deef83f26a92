"""The parts of a retrieved message, streamed one after the other."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from .errors import InvalidResponse
from .media_types import media_type_of
from .multipart import (
    Event,
    MalformedMultipart,
    MultipartParser,
    PartBegin,
    PartData,
    PartEnd,
    boundary_of,
)
from .session import Answer, Request


class Part:
    """An instance or a frame on its way in; read it before asking for the next, or what is left of it is dropped."""

    def __init__(self, content_type: str, chunks: AsyncIterator[bytes]) -> None:
        self.media_type, parameters = media_type_of(content_type)
        self.transfer_syntax_uid: str | None = parameters.get("transfer-syntax")
        self._chunks = chunks

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the part's bytes as they come.

        Raises:
            ResponseLost: the connection failed.
            InvalidResponse: the message was cut short.
        """
        return self._chunks

    async def read(self) -> bytes:
        """Return the part as a whole: for frames and small instances."""
        return b"".join([chunk async for chunk in self._chunks])


async def parts_of(request: Request, answer: Answer) -> AsyncGenerator[Part]:
    """Yield the parts of an answer, multipart or not.

    Raises:
        InvalidResponse: it is of another media type than asked for, malformed, or was cut short.
        ResponseLost: the connection failed.
    """
    transaction = request.transaction
    if not answer.content_type.lower().startswith("multipart/"):
        if media_type_of(answer.content_type)[0] != _media_type_of_a_part(request.accept):
            raise InvalidResponse(f"{transaction}: the answer is of another media type than asked for")
        if not answer.tells_its_end:
            raise InvalidResponse(f"{transaction}: the answer does not tell where it ends")
        yield Part(answer.content_type, answer.chunks())
        return
    async with aclosing(_events(transaction, answer)) as events:
        async for event in events:
            if isinstance(event, PartBegin):
                body = _body(events)
                yield Part(event.headers.get("content-type", ""), body)
                async for _ in body:
                    pass  # what the reader left


def _media_type_of_a_part(accept: str) -> str:
    media_type, parameters = media_type_of(accept)
    return parameters.get("type", media_type)


async def _body(events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    async for event in events:
        if isinstance(event, PartEnd):
            return
        if isinstance(event, PartData):
            yield event.data


async def _events(transaction: str, answer: Answer) -> AsyncGenerator[Event]:
    try:
        parser = MultipartParser(boundary_of(answer.content_type))
        async with aclosing(answer.chunks()) as chunks:
            async for chunk in chunks:
                for event in parser.feed(chunk):
                    yield event
        parser.close()
    except MalformedMultipart as error:
        raise InvalidResponse(f"{transaction}: {error}") from None
