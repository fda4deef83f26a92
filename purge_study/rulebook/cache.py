"""Cache the parsed policy and its lists: a blob that has not changed is neither downloaded nor parsed again."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Collection, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Generic, TypeVar
from weakref import ref

from azure.storage.blob.aio import BlobClient

from shared.small_blobs import Unchanged, Whole, read_whole

T = TypeVar("T")
# Of all cached lists together. A parsed line takes 300 bytes to 1 KiB, so the cache takes up to 250 MiB.
MOST_LINES: Final = 250_000


@dataclass(frozen=True)
class Version:
    """A version of a blob.

    Args:
        etag: with its quotation marks.
        last_modified: when it was written.
        sha256: of its content, in hexadecimal.
    """

    etag: str
    last_modified: datetime
    sha256: str


@dataclass(frozen=True)
class Parser(Generic[T]):
    """A way to parse a blob.

    Args:
        kind: tells parsers apart.
        parse: returns the parsed content. It runs in the cache's thread, and what it raises is never cached.
        most_bytes: how large the blob may be.
        depends_on: what the result depends on besides the content.
        lines_in: returns how many lines a result has.
    """

    kind: str
    parse: Callable[[bytes], T]
    most_bytes: int
    depends_on: tuple[Hashable, ...] = ()
    lines_in: Callable[[T], int] = lambda value: 0


@dataclass(frozen=True)
class _Parsed(Generic[T]):
    version: Version
    depends_on: tuple[Hashable, ...]
    value: ref[T]


@dataclass
class _Slot(Generic[T]):
    """The last parsed version of a blob. It stays while a request uses it, and afterwards if it is cached."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    parsed: _Parsed[T] | None = None
    cached: T | None = None
    lines: int = 0

    def known(self, depends_on: tuple[Hashable, ...]) -> tuple[Version, T] | None:
        if self.parsed is None or self.parsed.depends_on != depends_on:
            return None
        value = self.parsed.value()
        return None if value is None else (self.parsed.version, value)

    def clear(self) -> None:
        self.parsed, self.cached, self.lines = None, None, 0


class ParseCache:
    """Cache the last parsed version of each blob. Larger versions are shared by the requests that use them.

    Args:
        most_lines: how many lines the cached versions have together.
    """

    def __init__(self, most_lines: int = MOST_LINES) -> None:
        self._most_lines = most_lines
        self._slots: dict[tuple[str, str], _Slot[Any]] = {}
        # One thread, so that ingest goes on meanwhile: to parse 64 MiB may take 400 MiB.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="parse")

    async def read(self, blob: BlobClient, parser: Parser[T], seen: Callable[[Version], None]) -> T | None:
        """Return the parsed content of a blob's current version; None if there is no such blob.

        This asks storage for the version each time. Concurrent callers parse a version once.

        Args:
            blob: the blob.
            parser: parses it.
            seen: receives the version, before it is parsed.

        Raises:
            TooLarge: the blob has more bytes than the parser takes.
            Failed, AzureError: storage failed.
            Exception: what the parser raises.
        """
        slot: _Slot[T] = self._slots.setdefault((parser.kind, blob.url), _Slot())
        async with slot.lock:
            known = slot.known(parser.depends_on)
            try:
                whole = await read_whole(blob, parser.most_bytes, unless=known and known[0].etag)
            except Unchanged:
                if known is None:
                    raise
                seen(known[0])
                return known[1]
            # Before the next version is parsed: two of them would take twice the memory.
            known = None
            slot.clear()
            if whole is None:
                return None
            return await self._parse(slot, whole, parser, seen)

    def keep_only(self, blobs: Collection[BlobClient]) -> None:
        """Forget all blobs but these."""
        urls = {blob.url for blob in blobs}
        self._slots = {key: slot for key, slot in self._slots.items() if key[1] in urls}

    async def _parse(self, slot: _Slot[T], whole: Whole, parser: Parser[T], seen: Callable[[Version], None]) -> T:
        loop = asyncio.get_running_loop()
        digest = await loop.run_in_executor(self._thread, hashlib.sha256, whole.content)
        version = Version(whole.etag, whole.last_modified, digest.hexdigest())
        seen(version)
        value = await loop.run_in_executor(self._thread, parser.parse, whole.content)
        slot.parsed = _Parsed(version, parser.depends_on, ref(value))
        lines = parser.lines_in(value)
        if lines + sum(other.lines for other in self._slots.values()) <= self._most_lines:
            slot.cached, slot.lines = value, lines
        return value
