"""The quarantine: a refused file and the reason beside it, in two containers under one name."""

from __future__ import annotations

import asyncio

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobProperties
from azure.storage.blob.aio import BlobClient

from shared.clients import Clients
from shared.events import Failed
from shared.settings import QUARANTINE, QUARANTINE_REASONS

from .receipt import Receipt, upload_json
from .source import Source

_COPY_POLL_SECONDS = 0.5
_COPY_POLLS = 600  # five minutes in all
_LONGEST_NAME = 1024
_SOURCE_ETAG = "source_etag"  # metadata of the copy: which version of the source it is


async def move_to_quarantine(clients: Clients, source: Source, receipt: Receipt) -> None:
    """Copy the file, verify the copy, write its reason, then delete the original: each step may be repeated.

    A lease or a snapshot on the original keeps it in the inbox: then the deletion fails, and nothing is forced.

    Raises:
        Failed: the copy is not what it should be, or not there in time.
        SourceGone: the version that was judged is there no longer.
        AzureError: storage failed.
    """
    copy = await _copy(clients, source, receipt)
    await _write_reason(clients, copy.blob_name, receipt)
    await _delete(source)


async def _copy(clients: Clients, source: Source, receipt: Receipt) -> BlobClient:
    container = clients.container(QUARANTINE)
    for name in (receipt.blob, _with_suffix(receipt.blob, f"~{receipt.etag}")):
        copy = container.get_blob_client(name)
        try:
            await _start_copy(copy, source, receipt)
        except ResourceExistsError:
            properties = await copy.get_blob_properties()
            if properties.metadata.get(_SOURCE_ETAG) != receipt.etag:
                continue  # another version of the file lies there under this name
            await _clear_if_failed(copy, properties)
        await _verify(copy, source)
        return copy
    raise Failed("quarantine: both names for the copy are taken by other versions")


def _with_suffix(name: str, suffix: str) -> str:
    """Append to a blob's name, shortened where it would be longer than Azure allows."""
    return name[: _LONGEST_NAME - len(suffix)] + suffix


async def _start_copy(copy: BlobClient, source: Source, receipt: Receipt) -> None:
    # Copy Blob within one account: no size limit, no SAS, and the bytes do not pass through us.
    try:
        await copy.start_copy_from_url(
            source.blob.url,
            # Naming any metadata means that none is copied.
            metadata={**source.metadata, _SOURCE_ETAG: receipt.etag},
            source_etag=source.etag,
            source_match_condition=MatchConditions.IfNotModified,
            match_condition=MatchConditions.IfMissing,
        )
    except (ResourceNotFoundError, ResourceModifiedError):
        # Of the source, or of the container that we copy to? Both answer the same.
        await source.check()
        raise


async def _clear_if_failed(copy: BlobClient, properties: BlobProperties) -> None:
    """Make room for another attempt where an earlier copy came to nothing."""
    if properties.copy.status in ("failed", "aborted"):
        await copy.delete_blob(etag=properties.etag, match_condition=MatchConditions.IfNotModified)
        raise Failed("quarantine: an earlier copy had failed; it was removed")


async def _verify(copy: BlobClient, source: Source) -> None:
    for _ in range(_COPY_POLLS):
        properties = await copy.get_blob_properties()
        if properties.copy.status != "pending":
            return _check(properties, source)
        await asyncio.sleep(_COPY_POLL_SECONDS)
    raise Failed("quarantine: the copy is not complete yet")


def _check(properties: BlobProperties, source: Source) -> None:
    if properties.copy.status != "success" or properties.size != source.size:
        raise Failed("quarantine: the copy is not like its original")


async def _write_reason(clients: Clients, name: str, receipt: Receipt) -> None:
    reason = clients.container(QUARANTINE_REASONS).get_blob_client(_with_suffix(name, ".json"))
    await upload_json(reason, receipt.to_json())


async def _delete(source: Source) -> None:
    """Delete only the version that was judged; it is no error if that is already gone."""
    try:
        await source.blob.delete_blob(etag=source.etag, match_condition=MatchConditions.IfNotModified)
    except (ResourceNotFoundError, ResourceModifiedError):
        return
