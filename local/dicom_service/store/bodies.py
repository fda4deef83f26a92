"""The body of a Store request → files, as it arrives and byte for byte, in constant memory (PS3.18 §10.5.1)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from starlette.requests import Request

from local.dicom_service.store.incoming_file import IncomingFile
from local.dicom_service.stored.files import Files
from local.dicom_service.web.errors import ServiceError, bad_request
from shared.dicomweb.media_types import DICOM, RELATED, media_type_of
from shared.dicomweb.multipart import (
    Event,
    MalformedMultipart,
    MultipartParser,
    PartBegin,
    PartData,
    boundary_of,
)

MAX_PARTS = 10_000
_CLOSED_QUOTES = re.compile(r'[^"]*(?:"[^"\\]*(?:\\.[^"\\]*)*"[^"]*)*')  # RFC 9110 §5.6.4; linear time


class Receiver:
    """Takes one request's body apart into files; `discard` what is left of them in the end."""

    def __init__(self, request: Request, files: Files, max_bytes: int) -> None:
        self._request = request
        self._files = files
        self._max_bytes = max_bytes
        self._incoming: list[IncomingFile] = []

    async def receive(self) -> list[Path]:
        """Receive the whole body and return a file for each instance in it.

        Raises:
            ServiceError: 400, 413 or 415; nothing is to be stored.
            ClientDisconnect: the body broke off.
        """
        content_type = self._request.headers.get("content-type", "")
        if content_type.strip().lower() == DICOM:
            self._check_announced_length()
            return [await self._receive_single()]
        parser, default_type = _multipart(content_type)
        self._check_announced_length()
        return await self._receive_parts(parser, default_type)

    def discard(self) -> None:
        """Remove the files that were not taken."""
        for incoming in self._incoming:
            incoming.discard()

    def _check_announced_length(self) -> None:
        announced = self._request.headers.get("content-length", "0")
        if announced.isdigit() and int(announced) > self._max_bytes:
            raise self._too_large()

    def _too_large(self) -> ServiceError:
        return ServiceError(413, f"The request is larger than the limit of {self._max_bytes} bytes.")

    async def _chunks(self) -> AsyncIterator[bytes]:
        received = 0
        async for chunk in self._request.stream():
            received += len(chunk)
            if received > self._max_bytes:
                raise self._too_large()
            yield chunk

    def _new_file(self) -> IncomingFile:
        self._incoming.append(IncomingFile(self._files.new_incoming()))
        return self._incoming[-1]

    async def _receive_single(self) -> Path:
        incoming = self._new_file()
        async for chunk in self._chunks():
            await incoming.write(chunk)
        await incoming.finish()
        return incoming.path

    async def _receive_parts(self, parser: MultipartParser, default_type: str | None) -> list[Path]:
        parts = _Parts(self._new_file, default_type)
        is_empty = True
        try:
            async for chunk in self._chunks():
                is_empty = is_empty and not chunk
                for event in parser.feed(chunk):
                    await parts.take(event)
            if not (is_empty or parts.begun):
                parser.close()  # an empty list of parts has an end; another boundary than the announced one has none
        except MalformedMultipart:
            raise bad_request("The multipart body is malformed.") from None
        # A body that ends within a part passes for one without that part: so does the service, by mistake.
        return parts.complete


class _Parts:
    """The parts of a message, each in a file."""

    def __init__(self, new_file: Callable[[], IncomingFile], default_type: str | None) -> None:
        self.complete: list[Path] = []
        self.begun = 0
        self._new_file = new_file
        self._default_type = default_type
        self._headers: dict[str, str] = {}
        self._file: IncomingFile | None = None

    async def take(self, event: Event) -> None:
        """Take the next event of the parser.

        Raises:
            ServiceError: 400, it is one part too many; 415, a part is not a DICOM file.
        """
        if isinstance(event, PartBegin):
            self.begun += 1
            if self.begun > MAX_PARTS:
                raise bad_request(f"The request has more than {MAX_PARTS} parts.")
            self._headers = event.headers
        elif isinstance(event, PartData):
            await self._open().write(event.data)
        elif self._headers or self._file is not None:
            await self._finish(self._open())
        # else: neither headers nor bytes: what a message without parts looks like from some clients.

    def _open(self) -> IncomingFile:
        if self._file is None:
            content_type = self._headers.get("content-type", self._default_type) or ""
            # Only the first part may leave its type to the message's own.
            self._default_type = None
            if content_type.lower() != DICOM:
                raise _unsupported_media_type()
            self._file = self._new_file()
        return self._file

    async def _finish(self, file: IncomingFile) -> None:
        await file.finish()
        self.complete.append(file.path)
        self._file = None


def _multipart(content_type: str) -> tuple[MultipartParser, str | None]:
    """Return a parser for the message, and the type of a first part that names none."""
    media_type, parameters = media_type_of(content_type) if content_type else ("", {})
    if media_type != RELATED or not _CLOSED_QUOTES.fullmatch(content_type):
        raise _unsupported_media_type()
    if "start" in parameters:
        raise bad_request("The start parameter of multipart/related is not supported.")
    try:
        return MultipartParser(boundary_of(content_type)), parameters.get("type")
    except MalformedMultipart:
        raise _unsupported_media_type() from None


def _unsupported_media_type() -> ServiceError:
    return ServiceError(415)
