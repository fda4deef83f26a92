"""A way to HTTP services that counts the requests on it, and does something to one of them."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self
from urllib.parse import urlsplit

_CHUNK_BYTES = 64 * 1024
_CONNECTION = re.compile(rb"\r\nconnection:[^\r]*", re.IGNORECASE)


_Server = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Moment(StrEnum):
    """When a request is struck."""

    BEFORE = "before"  # the service never sees it
    DURING = "during"  # it sees half of the body
    AFTER = "after"  # it has carried it out; its answer is lost


@dataclass(frozen=True)
class Step:
    """A request that came by."""

    number: int  # from 1 on, of all targets together
    target: int  # from 0 on
    method: str
    body_bytes: int
    path: str  # with its query
    headers: Mapping[str, str] = field(default_factory=dict)  # their names in lower case


@dataclass
class Fault:
    """What happens to one request, or to several in a row.

    Args:
        at: the first one's number.
        moment: when.
        status: what is answered instead; None cuts the connection.
        times: how many requests.
        strike: called first; whoever waits for an answer then gets none, and the connection stays until he goes.
        meanwhile: called instead of all that, before the request is passed on as if nothing had happened.
        target: requests to this one of the gateway's targets alone; None means all.
        method: requests of this method alone; None means all.
        path: requests alone whose path, with its query, has this in it.
        is_last: nothing passes any more once it has struck, as if who asks were dead.
    """

    at: int
    moment: Moment
    status: int | None = None
    times: int = 1
    strike: Callable[[], None] | None = None
    meanwhile: Callable[[], None] | None = None
    target: int | None = None
    method: str | None = None
    path: str = ""
    is_last: bool = False

    def is_for(self, step: Step, moment: Moment) -> bool:
        """Say whether a request is meant, at this moment."""
        is_meant = self.target in (None, step.target) and self.at <= step.number < self.at + self.times
        is_such = self.method in (None, step.method) and self.path in step.path
        return is_meant and is_such and moment is self.moment


class Gateway:
    """Listens once for each target, and passes requests on, each over a connection of its own.

    Args:
        targets: addresses of services.
        forbids: says by which error code of storage a request is refused that no fault strikes; None lets it pass.
        refusal: the status of such a refusal.
        rewritten: returns what is answered in place of an answer, both as they go over the wire.
    """

    def __init__(
        self,
        *targets: str,
        forbids: Callable[[Step], str | None] = lambda step: None,
        refusal: int = 409,
        rewritten: Callable[[Step, bytes], bytes] = lambda step, answer: answer,
    ) -> None:
        self._forbids, self._refusal = forbids, refusal
        self._rewritten = rewritten
        self._targets = [urlsplit(target) for target in targets]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.urls: Sequence[str] = []
        self.steps: list[Step] = []
        self._fault: Fault | None = None
        self.is_over = False  # a fault has struck that is the last one
        self._serving: set[asyncio.Task[None] | None] = set()  # the loop itself would let go of them

    def __enter__(self) -> Self:
        self._thread.start()
        self.urls = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def begin(self, fault: Fault | None = None) -> None:
        """Count from 1 again, with another fault or none."""
        self.steps, self._fault, self.is_over = [], fault, False

    async def _listen(self) -> list[str]:
        self._servers = [
            await asyncio.start_server(self._server_for(target), "127.0.0.1", 0) for target in range(len(self._targets))
        ]
        ports = [server.sockets[0].getsockname()[1] for server in self._servers]
        return [f"http://127.0.0.1:{port}{target.path}" for port, target in zip(ports, self._targets, strict=True)]

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _server_for(self, target: int) -> _Server:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._serving.add(task := asyncio.current_task())
            try:
                with suppress(OSError, asyncio.IncompleteReadError):
                    await self._pass_on(reader, writer, target)
            finally:
                writer.close()
                self._serving.discard(task)

        return serve

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: int) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if self.is_over:
            return None
        step = _step(len(self.steps) + 1, target, head)
        self.steps.append(step)
        fault = self._fault
        if fault and fault.meanwhile and fault.is_for(step, fault.moment):
            await asyncio.to_thread(fault.meanwhile)
            fault = None
        if fault and fault.is_for(step, Moment.BEFORE):
            await _skip(reader, step.body_bytes if fault.status else 0)
            return await self._strike(fault, reader, writer)
        if code := await asyncio.to_thread(self._forbids, step):
            await _skip(reader, step.body_bytes)
            return await _answer(writer, f"{self._refusal} Refused\r\nx-ms-error-code: {code}")
        address = self._targets[target]
        service_reader, service_writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            # The end of the connection is the end of the answer, which thus needs no parser.
            service_writer.write(_CONNECTION.sub(b"", head[:-2]) + b"Connection: close\r\n\r\n")
            if fault and fault.is_for(step, Moment.DURING):
                await _copy(reader, service_writer, step.body_bytes // 2)
                return await self._strike(fault, reader, writer)
            with suppress(ConnectionError):  # a service may refuse a body before its end
                await _copy(reader, service_writer, step.body_bytes)
            answer = await service_reader.read()
        finally:
            service_writer.close()
        if fault and fault.is_for(step, Moment.AFTER):
            return await self._strike(fault, reader, writer)
        writer.write(self._rewritten(step, answer))
        return await writer.drain()

    async def _strike(self, fault: Fault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.is_over = fault.is_last
        if fault.strike:
            await asyncio.to_thread(fault.strike)
            await reader.read()
        if fault.status:
            await _answer(writer, f"{fault.status} Told to")


def _step(number: int, target: int, head: bytes) -> Step:
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, path, _ = first.split(" ")
    named = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in named}
    return Step(number, target, method, int(headers.get("content-length", 0)), path, headers)


async def _answer(writer: asyncio.StreamWriter, head: str) -> None:
    writer.write(f"HTTP/1.1 {head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
    await writer.drain()


async def _skip(reader: asyncio.StreamReader, length: int) -> None:
    await reader.readexactly(length)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, length: int) -> None:
    while length and (chunk := await reader.read(min(length, _CHUNK_BYTES))):
        writer.write(chunk)
        await writer.drain()
        length -= len(chunk)
