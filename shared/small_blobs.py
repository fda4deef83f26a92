"""Blobs read from their start; our own small ones, receipts above all, read and written as a whole."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.blob import BlobProperties, ContentSettings
from azure.storage.blob.aio import BlobClient, StorageStreamDownloader

from shared.events import Failed

_NOT_MODIFIED = 304
_NO_SUCH_RANGE = 416  # an empty blob has no first byte
_MOST_OPENINGS = 3


@dataclass(frozen=True)
class Whole:
    """What a blob held when it was read.

    Args:
        content: all of it.
        etag: its version, with its quotation marks.
        last_modified: when that was written.
    """

    content: bytes
    etag: str
    last_modified: datetime


class TooLarge(Exception):
    """A blob holds more than may be read of it."""


class Unchanged(Exception):
    """A blob is the version that the caller knows."""


async def read_whole(blob: BlobClient, most_bytes: int | None = None, *, unless: str | None = None) -> Whole | None:
    """Return a blob's content; None if there is no such blob.

    Args:
        blob: the blob.
        most_bytes: how many bytes may be read; None: all.
        unless: the ETag of a version that is not to be downloaded; None: every version is.

    Raises:
        Unchanged: it is the version that is not to be downloaded.
        TooLarge: it has more bytes than may be read.
        Failed: it is emptied and filled all the time.
        AzureError: storage failed.
    """
    try:
        opened = await open_from_start(blob, unless=unless)
    except ResourceNotFoundError:
        return None
    except HttpResponseError as error:
        if error.status_code == _NOT_MODIFIED:
            raise Unchanged from None
        raise
    if isinstance(opened, BlobProperties):
        return Whole(b"", str(opened.etag), opened.last_modified)
    if most_bytes is not None and opened.size > most_bytes:
        raise TooLarge
    return Whole(await opened.readall(), str(opened.properties.etag), opened.properties.last_modified)


async def open_from_start(
    blob: BlobClient, *, decompress: bool = True, unless: str | None = None
) -> StorageStreamDownloader[bytes] | BlobProperties:
    """Begin to read a blob of any size: one request, two if it is empty; return its properties if it is.

    Args:
        blob: the blob.
        decompress: whether a content encoding is undone.
        unless: the ETag of a version that is not to be read; None: every version is.

    Raises:
        Failed: it is emptied and filled all the time.
        AzureError: storage failed, there is no such blob, or it is the version that is not to be read (304).
    """
    condition: dict[str, Any] = {"etag": unless, "match_condition": MatchConditions.IfModified} if unless else {}
    for _ in range(_MOST_OPENINGS):
        try:
            # With an offset, the SDK does not read an empty blob again: that answer may be of a later version.
            downloader: StorageStreamDownloader[bytes] = await blob.download_blob(0, decompress=decompress, **condition)
            return downloader
        except HttpResponseError as error:
            if error.status_code != _NO_SUCH_RANGE:
                raise
        properties: BlobProperties = await blob.get_blob_properties()
        if properties.size == 0:
            return properties
    raise Failed("the blob is emptied and filled all the time")


def in_json(document: dict[str, Any]) -> bytes:
    """Return a document as it is written."""
    return json.dumps(document, indent=1).encode()


async def upload_json(blob: BlobClient, document: dict[str, Any], **options: Any) -> str:
    """Write a blob of JSON, over one that is there unless the conditions forbid it; return its ETag.

    Raises:
        AzureError: storage failed, or a condition is not met.
    """
    written = await blob.upload_blob(
        in_json(document),
        overwrite=True,
        content_settings=ContentSettings(content_type="application/json"),
        **options,
    )
    return str(written["etag"])
