"""A blob of the inbox, held to the version that was first read."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob.aio import BlobClient

from shared.dicomweb import Body

from .part10 import PREFIX_BYTES

PREAMBLE_BYTES = 128


class SourceGone(Exception):
    """The blob was deleted or overwritten meanwhile; a newer version has a trigger of its own."""


class Digest:
    """The hash of a content, taken while it passes."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.size = 0

    def update(self, chunk: bytes) -> None:
        """Take in the next bytes."""
        self._hash.update(chunk)
        self.size += len(chunk)

    @property
    def sha256(self) -> str:
        """SHA-256 of what has passed, hexadecimal."""
        return self._hash.hexdigest()


@dataclass(frozen=True)
class Source:
    """One version of a blob: its first bytes, and the rest on demand.

    Args:
        prefix: the first `PREFIX_BYTES`, or all of it.
        etag: the version, with its quotation marks.
        size: in bytes.
        last_modified: when this version was written, to the second.
        metadata: what the producer said of it.
    """

    blob: BlobClient
    prefix: bytes
    etag: str
    size: int
    last_modified: datetime
    metadata: dict[str, str]

    @property
    def bare_etag(self) -> str:
        """The version without quotation marks, as listings have it."""
        return self.etag.strip('"')

    @classmethod
    async def open(cls, blob: BlobClient) -> Source:
        """Read the blob's first bytes: one request (two if it is empty), which tells version and size as well.

        Raises:
            SourceGone: there is no such blob any more.
        """
        try:
            download = await blob.download_blob()
            prefix = await download.read(PREFIX_BYTES)
        except (ResourceNotFoundError, ResourceModifiedError):
            raise SourceGone from None
        properties = download.properties
        return cls(
            blob, prefix, str(properties.etag), download.size, properties.last_modified, properties.metadata or {}
        )

    async def check(self) -> None:
        """Return if this version is still there.

        Raises:
            SourceGone: it is not.
        """
        try:
            properties = await self.blob.get_blob_properties()
        except ResourceNotFoundError:
            raise SourceGone from None
        if properties.etag != self.etag:
            raise SourceGone

    async def range(self, offset: int, length: int) -> bytes:
        """Read `length` bytes of this version from `offset` on; all of them are in memory.

        Raises:
            SourceGone: the version is there no longer.
        """
        try:
            download = await self.blob.download_blob(
                offset, length, etag=self.etag, match_condition=MatchConditions.IfNotModified
            )
            return await download.readall()
        except (ResourceNotFoundError, ResourceModifiedError):
            raise SourceGone from None

    async def chunks(self, digest: Digest) -> AsyncIterator[bytes]:
        """Yield the whole content of this version, taking it into `digest`; at most some MiB are in memory.

        Raises:
            SourceGone: the version is there no longer.
        """
        digest.update(self.prefix)
        yield self.prefix
        if self.size == len(self.prefix):
            return
        async with aclosing(self._rest()) as rest:
            async for chunk in rest:
                digest.update(chunk)
                yield chunk

    async def _rest(self) -> AsyncGenerator[bytes]:
        try:
            download = await self.blob.download_blob(
                offset=len(self.prefix), etag=self.etag, match_condition=MatchConditions.IfNotModified
            )
            async for chunk in download.chunks():
                yield chunk
        except (ResourceNotFoundError, ResourceModifiedError):
            raise SourceGone from None


class HashedBody(Body):
    """A source as a request body; `digest` covers the latest attempt."""

    def __init__(self, source: Source) -> None:
        super().__init__(self._open, source.size)
        self._source = source
        self.digest = Digest()

    @property
    def preamble(self) -> bytes:
        """The bytes in front of `DICM` (PS3.10 §7.1)."""
        return self._source.prefix[:PREAMBLE_BYTES]

    def _open(self) -> AsyncIterator[bytes]:
        self.digest = Digest()
        return self._source.chunks(self.digest)

    async def complete_digest(self) -> Digest:
        """Return the hash of the whole content, read once more where the service did not wait for all of it."""
        if self.digest.size != self.length:
            async for _ in self:
                pass
        return self.digest
