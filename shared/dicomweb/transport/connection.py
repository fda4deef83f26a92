"""A connection of aiohttp in use: how it ends, and an end put to it at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp
import httpx


class IdleTimer:
    """Calls `expire` with an error's class once a wait has taken too long."""

    def __init__(self, expire: Callable[[type[httpx.TimeoutException]], None]) -> None:
        self._expire = expire
        self._handle: asyncio.TimerHandle | None = None

    def start(self, seconds: float | None, error: type[httpx.TimeoutException]) -> None:
        """Begin a wait of at most so many seconds, in place of the one before; None is for ever."""
        self.stop()
        if seconds is not None:
            self._handle = asyncio.get_running_loop().call_later(seconds, self._expire, error)

    def stop(self) -> None:
        """End the wait."""
        if self._handle:
            self._handle.cancel()
            self._handle = None


class Connection:
    """What carries one request."""

    def __init__(self, connection: aiohttp.connector.Connection) -> None:
        self._socket = connection.transport
        self.closed = _end_of(connection)

    def abort(self) -> None:
        """Close it now: aiohttp waits until what is in the buffer has gone out, perhaps for ever."""
        if self._socket and not self.closed.done():
            self._socket.abort()

    @property
    def was_reset(self) -> bool:
        """Whether it has ended in another way than by an orderly end."""
        return self.closed.done() and not self.closed.cancelled() and self.closed.exception() is not None


def _end_of(connection: aiohttp.connector.Connection) -> asyncio.Future[None]:
    """Return what is done once the connection is closed, with an exception if it was reset."""
    closed = None if connection.protocol is None else connection.protocol.closed
    if closed is None:  # it already is
        closed = asyncio.get_running_loop().create_future()
        closed.set_result(None)
    closed.remove_done_callback(_take_note)  # of the request before
    closed.add_done_callback(_take_note)
    return closed


def _take_note(closed: asyncio.Future[None]) -> None:
    """Ask for the exception: asyncio logs those that nobody asks for."""
    if not closed.cancelled():
        closed.exception()
