"""Requests under way that may be about to open a file: until they end, a file whose row is gone stays.

So an answer that has begun is of the instances as they were, whatever is replaced or deleted meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from anyio import CancelScope, to_thread
from starlette.types import ASGIApp, Receive, Scope, Send


class Readers:
    """Who may be reading, and what can be removed once they have ended; methods do not block."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next = 0
        self._under_way: dict[int, None] = {}  # in the order in which they began
        self._retired: list[tuple[int, list[str]]] = []

    def begin(self) -> int:
        """Return the number of a reader that begins now."""
        with self._lock:
            self._next += 1
            self._under_way[self._next] = None
            return self._next

    def end(self, reader: int) -> list[str]:
        """Return the names of the files that nobody can be reading any more, now that this reader has ended."""
        with self._lock:
            del self._under_way[reader]
            return self._unread()

    def retire(self, names: Iterable[str]) -> list[str]:
        """Take the names of files whose rows are gone, and return those that nobody can be reading."""
        with self._lock:
            self._retired.append((self._next, list(names)))
            return self._unread()

    def _unread(self) -> list[str]:
        oldest = next(iter(self._under_way), self._next + 1)
        unread = [names for last_reader, names in self._retired if last_reader < oldest]
        self._retired = [(last_reader, names) for last_reader, names in self._retired if last_reader >= oldest]
        return [name for names in unread for name in names]


class CountReaders:
    """ASGI middleware that makes each GET a reader, until its answer is sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (ASGI)."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        files = scope["app"].state.service.files
        reader = files.readers.begin()
        try:
            await self._app(scope, receive, send)
        finally:
            if unread := files.readers.end(reader):
                with CancelScope(shield=True):
                    await to_thread.run_sync(files.unlink, unread)
