"""One version of a blob, held to it: whatever is read of it later is of that version, or fails."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobProperties
from azure.storage.blob.aio import BlobClient

from shared.dicomweb import Body
from shared.folders import is_folder
from shared.part10 import PREAMBLE_BYTES, PREFIX_BYTES
from shared.small_blobs import open_from_start

# A producer may have declared a Content-Encoding. It is no concern of ours: sizes and ranges are of what is stored.
_DECOMPRESS = False
# A conditional read of a blob that has gone may be answered either way.
_GONE = (ResourceNotFoundError, ResourceModifiedError)


class SourceGone(Exception):
    """The blob was deleted or overwritten meanwhile; a newer version has an event of its own."""


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
class Version:
    """Which version of which blob.

    Args:
        blob: where it is.
        name: of the inbox's blob; that of a file in quarantine may have a suffix.
        etag: of the inbox's blob, without quotation marks, as listings have it.
        size: in bytes.
        last_modified: when it was written, to the second.
        condition: the ETag by which the blob itself is held to this version, with its quotation marks.
        metadata: what the producer said of it.
        is_being_copied: whether it is the target of a copy that is under way.
    """

    blob: BlobClient
    name: str
    etag: str
    size: int
    last_modified: datetime
    condition: str
    metadata: dict[str, str]
    is_being_copied: bool = False

    @classmethod
    def of(cls, blob: BlobClient, properties: BlobProperties, size: int) -> Version:
        """Return the version that the properties are of."""
        etag = str(properties.etag).strip('"')
        return cls(
            blob,
            blob.blob_name,
            etag,
            size,
            properties.last_modified,
            f'"{etag}"',
            properties.metadata or {},
            properties.copy.status == "pending",
        )

    @property
    def is_folder(self) -> bool:
        """Whether it only stands for a folder."""
        return is_folder(self.size, self.metadata)


@dataclass(frozen=True)
class Source:
    """A version's first bytes, and the rest on demand."""

    version: Version
    prefix: bytes  # the first `PREFIX_BYTES`, or all of it

    @classmethod
    async def open(cls, blob: BlobClient) -> Source:
        """Read the blob's first bytes: one request (two if it is empty), which tells version and size as well.

        Raises:
            SourceGone: there is no such blob any more.
            Failed: the blob is emptied and filled all the time.
            AzureError: storage failed.
        """
        try:
            opened = await open_from_start(blob, decompress=_DECOMPRESS)
            if isinstance(opened, BlobProperties):
                return cls(Version.of(blob, opened, 0), b"")
            prefix = await opened.read(PREFIX_BYTES)
        except _GONE:
            raise SourceGone from None
        return cls(Version.of(blob, opened.properties, opened.size), prefix)

    async def read(self, offset: int, length: int) -> bytes:
        """Return a range of this version.

        Raises:
            SourceGone: the version is there no longer.
            AzureError: storage failed.
        """
        if offset + length <= len(self.prefix):
            return self.prefix[offset : offset + length]
        version = self.version
        try:
            download = await version.blob.download_blob(
                offset,
                length,
                etag=version.condition,
                match_condition=MatchConditions.IfNotModified,
                decompress=_DECOMPRESS,
            )
            return await download.readall()
        except _GONE:
            raise SourceGone from None

    async def chunks_from(self, offset: int = 0) -> AsyncGenerator[bytes]:
        """Yield this version's content from a byte on; at most some MiB are in memory.

        Raises:
            SourceGone: the version is there no longer.
            AzureError: storage failed.
        """
        if offset < len(self.prefix):
            yield self.prefix[offset:] if offset else self.prefix
            offset = len(self.prefix)
        if offset == self.version.size:
            return
        async with aclosing(self._rest(offset)) as rest:
            async for chunk in rest:
                yield chunk

    async def _rest(self, offset: int) -> AsyncGenerator[bytes]:
        version = self.version
        try:
            download = await version.blob.download_blob(
                offset, etag=version.condition, match_condition=MatchConditions.IfNotModified, decompress=_DECOMPRESS
            )
            async for chunk in download.chunks():
                yield chunk
        except _GONE:
            raise SourceGone from None

    def sha256_of_prefix(self) -> str | None:
        """Return the hash of the whole content where it is at hand; None if it is longer."""
        return hashlib.sha256(self.prefix).hexdigest() if len(self.prefix) == self.version.size else None

    async def sha256(self) -> str:
        """Return the hash of the whole content, read once more."""
        digest = Digest()
        async with aclosing(self.chunks_from()) as chunks:
            async for chunk in chunks:
                digest.update(chunk)
        return digest.sha256


class HashedBody(Body):
    """A request body, hashed as it passes.

    Args:
        content: what is sent.
    """

    def __init__(self, content: Body) -> None:
        super().__init__(self._open, content.length)
        self._content = content
        self._digest = Digest()  # of the latest attempt
        self.preamble = b""  # the bytes in front of `DICM` (PS3.10 §7.1), once they have passed

    async def _open(self) -> AsyncGenerator[bytes]:
        self._digest = digest = Digest()
        async with aclosing(aiter(self._content)) as chunks:
            async for chunk in chunks:
                if digest.size < PREAMBLE_BYTES:
                    self.preamble = (self.preamble[: digest.size] + chunk)[:PREAMBLE_BYTES]
                digest.update(chunk)
                yield chunk

    @property
    def sha256(self) -> str | None:
        """The hash; None unless all of it has passed."""
        return self._digest.sha256 if self._digest.size == self.length else None

    async def complete_sha256(self) -> str:
        """Return the hash of the whole, read once more where the service did not wait for all of it."""
        if self.sha256 is None:
            async for _ in self:
                pass
        return self._digest.sha256


def body_of(source: Source, head: bytes = b"") -> Body:
    """Return a file as a request body, with what must precede it."""

    async def chunks() -> AsyncGenerator[bytes]:
        if head:
            yield head
        async with aclosing(source.chunks_from()) as content:
            async for chunk in content:
                yield chunk

    return Body(chunks, len(head) + source.version.size)


async def find_version(blob: BlobClient) -> Version | None:
    """Return the version that a blob has now; None if there is no such blob.

    Raises:
        AzureError: storage failed.
    """
    try:
        properties = await blob.get_blob_properties()
    except ResourceNotFoundError:
        return None
    return Version.of(blob, properties, properties.size)


async def version_of(blob: BlobClient) -> str | None:
    """Return the ETag that a blob has now, without quotation marks; None if there is no such blob."""
    version = await find_version(blob)
    return version.etag if version else None


def is_leased(error: HttpResponseError) -> bool:
    """Say whether a lease or a snapshot forbids what was tried; a stale ETag is answered with the same status."""
    return getattr(error, "error_code", None) in ("LeaseIdMissing", "SnapshotsPresent")
