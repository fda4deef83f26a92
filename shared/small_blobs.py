"""Our own small blobs, receipts above all, read and written as a whole."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import ContentSettings
from azure.storage.blob.aio import BlobClient


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


async def read_whole(blob: BlobClient, most_bytes: int | None = None) -> Whole | None:
    """Return a blob's content; None if there is no such blob.

    Raises:
        TooLarge: it has more bytes than may be read.
        AzureError: storage failed.
    """
    try:
        download = await blob.download_blob()
        if most_bytes is not None and download.size > most_bytes:
            raise TooLarge
        properties = download.properties
        return Whole(await download.readall(), str(properties.etag), properties.last_modified)
    except ResourceNotFoundError:
        return None


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
