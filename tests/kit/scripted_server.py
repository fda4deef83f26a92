"""An HTTP server of raw sockets that does as it is told, and keeps what it received byte for byte."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Self


class End(Enum):
    """How a connection ends when its script does not go on to a next request."""

    RESET = auto()
    FIN = auto()
    STALL = auto()  # nothing more is said; the other side must go
    DEAF = auto()  # nor is anything more read, until the server is told to hear


class Read(Enum):
    """How much of a request is read before the answer starts, or goes on."""

    ALL = auto()
    SLOWLY = auto()  # all of it, at some 10 MB/s
    HEAD = auto()
    NOTHING = auto()


@dataclass(frozen=True)
class Script:
    """What one request is answered with: bytes to send as one chunk each, pauses in seconds, more to read,
    and perhaps an end.
    """

    steps: tuple[bytes | float | Read | End, ...]
    read: Read = Read.ALL

    def then(self, *steps: bytes | float | Read | End) -> Self:
        """Return the script with more steps."""
        return type(self)((*self.steps, *steps), self.read)

    def after(self, read: Read) -> Self:
        """Return the script for another point of the request."""
        return type(self)(self.steps, read)


def script(*steps: bytes | float | Read | End) -> Script:
    """Return a script of these steps, which starts once the request was read."""
    return Script(steps)


def head(status: int, headers: Mapping[str, str] | None = None) -> bytes:
    """Return the head of an answer, with no more headers than those given."""
    lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def answer(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Script:
    """Answer at once, in one piece, with the right length."""
    length = {} if status in (204, 304) else {"Content-Length": str(len(body))}
    return script(head(status, {**length, **(headers or {})}) + body)


def partitions(*names: str) -> Script:
    """Answer with the DICOM service's list of partitions."""
    listed = [
        {"partitionKey": key, "partitionName": name, "createdDate": "2026-01-31T08:15:30Z"}
        for key, name in enumerate(names, start=1)
    ]
    return answer(200, json.dumps(listed).encode(), {"Content-Type": "application/dicom+json"})


def chunked(*chunks: bytes) -> tuple[bytes, ...]:
    """Return chunks in the chunked coding, without the last one."""
    return tuple(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)


LAST_CHUNK = b"0\r\n\r\n"


@dataclass
class Received:
    """One request as it came in; `gone` is set once its connection is over."""

    connection: int
    head: bytes = b""
    body: bytes = b""
    is_complete: bool = False
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def method(self) -> str:
        """The method."""
        return self.head.decode("latin-1").split(" ", 2)[0]

    @property
    def target(self) -> str:
        """The request target, as it was sent."""
        return self.head.decode("latin-1").split(" ", 2)[1]

    @property
    def headers(self) -> dict[str, str]:
        """The headers, names in lower case; a header that comes twice has its values joined."""
        found: dict[str, str] = {}
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            if line:
                name, _, value = line.partition(":")
                found[name.lower()] = ", ".join(filter(None, (found.get(name.lower()), value.strip())))
        return found


class ScriptedServer:
    """Answers the nth request with the nth script, and with the last one from there on; or as `scripts` decides."""

    def __init__(self, scripts: tuple[Script, ...] | Callable[[Received], Script]) -> None:
        self._scripts = scripts
        self._connections: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Event()
        self._hearing = asyncio.Event()
        self.connections = 0
        self.requests: list[Received] = []
        self.port = 0

    @property
    def url(self) -> str:
        """The base address for a client, with a version in its path."""
        return f"http://127.0.0.1:{self.port}/v2"

    @property
    def targets(self) -> list[str]:
        """The request targets, without the version."""
        return [request.target.removeprefix("/v2") for request in self.requests]

    async def arrival(self, count: int = 1) -> Received:
        """Wait until so many requests have begun to come in, and return the last of these."""
        async with asyncio.timeout(5):
            while len(self.requests) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.requests[count - 1]

    def hear(self) -> None:
        """Let the deaf connections read on, and thus see that the other side has gone."""
        self._hearing.set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection in a task of its own."""
        self.connections += 1
        task = asyncio.ensure_future(self._serve(self.connections, reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def stop(self) -> None:
        """End what is still connected."""
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, connection: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = Received(connection)
        try:
            while first := await reader.read(1):
                received = Received(connection)
                self.requests.append(received)
                self._arrived.set()
                if not await self._exchange(received, first, reader, writer):
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            received.gone.set()
            writer.close()

    async def _exchange(
        self, received: Received, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Take in a request and play its script; say whether the connection goes on."""
        number = len(self.requests)
        if isinstance(self._scripts, tuple):
            chosen = self._scripts[min(number, len(self._scripts)) - 1]
            await _receive(received, chosen.read, first, reader)
        else:
            await _receive(received, Read.ALL, first, reader)
            chosen = self._scripts(received)
        for step in chosen.steps:
            if isinstance(step, End):
                if step is End.DEAF:
                    await self._hearing.wait()
                await _end(step, reader, writer)
                return False
            if isinstance(step, Read):
                await _receive_body(received, step, reader)
                continue
            if isinstance(step, float):
                await asyncio.sleep(step)
                continue
            writer.write(step)
            await writer.drain()
            await asyncio.sleep(0)
        return True


async def _receive(received: Received, much: Read, first: bytes, reader: asyncio.StreamReader) -> None:
    if much is Read.NOTHING:
        return
    received.head = first + await reader.readuntil(b"\r\n\r\n")
    if much is not Read.HEAD:
        await _receive_body(received, much, reader)


async def _receive_body(received: Received, much: Read, reader: asyncio.StreamReader) -> None:
    if received.headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readuntil(b"\r\n"), 16):
            received.body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
    length = int(received.headers.get("content-length", "0"))
    while len(received.body) < length:
        chunk = await reader.read(min(length - len(received.body), 65536))
        if not chunk:
            raise ConnectionError
        received.body += chunk
        if much is Read.SLOWLY:
            await asyncio.sleep(0.006)
    received.is_complete = True


async def _end(how: End, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if how in (End.STALL, End.DEAF):
        while await reader.read(65536):
            pass
    elif how is End.RESET:
        # Closing a socket that may not linger sends RST.
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()


@contextlib.asynccontextmanager
async def serve(
    *scripts: Script | Callable[[Received], Script], tls: ssl.SSLContext | None = None
) -> AsyncIterator[ScriptedServer]:
    """Run a server on a free port: scripts in the order of the requests, or one function that chooses."""
    chosen = tuple(one for one in scripts if isinstance(one, Script))
    chooser = next((one for one in scripts if not isinstance(one, Script)), None)
    server = ScriptedServer(chooser or chosen)
    listener = await asyncio.start_server(server.accept, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        await server.stop()
        await listener.wait_closed()
