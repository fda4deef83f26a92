"""The parts of a retrieved message, streamed one after the other."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from typing import Self

from .errors import InvalidResponse
from .media_types import media_type_of
from .messages import Answer, Request
from .multipart import (
    Event,
    MalformedMultipart,
    MultipartParser,
    PartBegin,
    PartData,
    PartEnd,
    boundary_of,
)


class Part:
    """An instance or a frame on its way in; read it before asking for the next, or what is left of it is dropped."""

    def __init__(self, content_type: str, chunks: AsyncIterator[bytes | None]) -> None:
        self.media_type, parameters = media_type_of(content_type)
        self.transfer_syntax_uid: str | None = parameters.get("transfer-syntax")
        self._chunks = chunks
        self._is_taken = False

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the part's bytes as they come, once.

        Raises:
            ResponseLost: the connection failed.
            InvalidResponse: the message was cut short, or is compressed.
            RuntimeError: the part was read before, or is no longer the current one.
        """
        if self._is_taken:
            raise RuntimeError("a part can be read once")
        self._is_taken = True
        return _Chunks(self._chunks)

    async def read(self) -> bytes:
        """Return the part as a whole: for frames and small instances.

        Raises:
            ResponseLost, InvalidResponse, RuntimeError: as `chunks`.
        """
        return b"".join([chunk async for chunk in self.chunks()])


class _Chunks:
    """The bytes of a part: they end where it ends, and not where reading was broken off, as a generator would."""

    def __init__(self, source: AsyncIterator[bytes | None]) -> None:
        self._source = source
        self._is_over = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._is_over:
            raise StopAsyncIteration
        try:
            chunk = await anext(self._source)
        except StopAsyncIteration:
            raise RuntimeError("a part can be read only while it is the current one of an open retrieval") from None
        if chunk is None:
            self._is_over = True
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """Leave the rest, which is dropped when the next part is asked for."""
        self._is_over = True


async def parts_of(request: Request, answer: Answer) -> AsyncGenerator[Part]:
    """Yield the parts of an answer, multipart or not.

    Raises:
        InvalidResponse: it is of another media type than asked for, malformed, has no part, or was cut short.
        ResponseLost: the connection failed.
    """
    transaction = request.transaction
    if answer.content_type.lower().startswith("multipart/"):
        async with aclosing(_parts_of_message(transaction, answer)) as parts:
            async for part in parts:
                yield part
        return
    if media_type_of(answer.content_type)[0] != _media_type_of_a_part(request.accept):
        raise InvalidResponse(f"{transaction}: the answer is of another media type than asked for")
    if not answer.tells_its_end:
        raise InvalidResponse(f"{transaction}: the answer does not tell where it ends")
    async with aclosing(_whole(answer)) as content:
        yield Part(answer.content_type, content)


async def _whole(answer: Answer) -> AsyncGenerator[bytes | None]:
    async with aclosing(answer.chunks()) as chunks:
        async for chunk in chunks:
            yield chunk
    yield None


async def _parts_of_message(transaction: str, answer: Answer) -> AsyncGenerator[Part]:
    count = 0
    is_complete = False
    async with aclosing(_events(transaction, answer)) as events:
        async for event in events:
            is_complete = event is None
            if isinstance(event, PartBegin):
                count += 1
                async with aclosing(_body(events)) as body:
                    yield Part(event.headers.get("content-type", ""), body)
                    async for _ in body:
                        pass  # what the reader left
    # A reader that went on after an error comes here too.
    if not is_complete or not count:
        raise InvalidResponse(f"{transaction}: the answer has no part, or not all of them")


def _media_type_of_a_part(accept: str) -> str:
    media_type, parameters = media_type_of(accept)
    return parameters.get("type", media_type)


async def _body(events: AsyncIterator[Event | None]) -> AsyncGenerator[bytes | None]:
    """Yield the bytes of a part, and None at its end."""
    async for event in events:
        if isinstance(event, PartEnd):
            yield None
            return
        if isinstance(event, PartData):
            yield event.data


async def _events(transaction: str, answer: Answer) -> AsyncGenerator[Event | None]:
    """Yield what a message consists of, and None once it has come to its end."""
    with reading_multipart(transaction):
        boundary = boundary_of(answer.content_type)
    async with aclosing(events_of(transaction, boundary, answer.chunks())) as events:
        async for event in events:
            yield event
    yield None


async def events_of(transaction: str, boundary: bytes, chunks: AsyncGenerator[bytes]) -> AsyncGenerator[Event]:
    """Yield what a message consists of, as its chunks come; these are closed at the end.

    Raises:
        InvalidResponse: the message is malformed, or was cut short.
    """
    parser = MultipartParser(boundary)
    with reading_multipart(transaction):
        async with aclosing(chunks):
            async for chunk in chunks:
                for event in parser.feed(chunk):
                    yield event
        parser.close()


@contextmanager
def reading_multipart(transaction: str) -> Iterator[None]:
    """Turn what the parser says of a message into InvalidResponse."""
    try:
        yield
    except MalformedMultipart as error:
        raise InvalidResponse(f"{transaction}: {error}") from None
