"""The quarantine: a refused file and the reason beside it, in two containers under one name."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace

from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob.aio import BlobClient

from shared.clients import Clients
from shared.settings import QUARANTINE, QUARANTINE_REASONS
from shared.small_blobs import read_whole, upload_json
from store_on_upload.receipts.container import Unreadable
from store_on_upload.receipts.receipt import Receipt, parse_timestamp

from .moving import SOURCE_ETAG, copy_verified
from .naming import copy_names, is_name, with_suffix
from .source import SourceGone, Version, find_version, version_of


async def copy_to_quarantine(clients: Clients, version: Version, receipt: Receipt, *, is_repeated: bool) -> None:
    """Copy the file, verify the copy, write its reason: each step may be repeated.

    Raises:
        Failed: the copy is not what it should be, or not there in time.
        SourceGone: the version that was judged is there no longer.
        AzureError: storage failed.
    """
    name = await copy_verified(clients, version, QUARANTINE, is_repeated=is_repeated)
    await write_reason(clients, name, receipt)


async def names_in_quarantine(clients: Clients, version: Version) -> list[str]:
    """Return the names under which copies of a version of the inbox's blob are in quarantine.

    Raises:
        AzureError: storage failed.
    """
    copies = [clients.container(QUARANTINE).get_blob_client(name) for name in copy_names(version.name, version.etag)]
    found = [await find_version(copy) for copy in copies]
    return [copy.name for copy in found if copy and copy.metadata.get(SOURCE_ETAG) == version.etag]


def reason_name(quarantine_name: str) -> str:
    """Return the name of the blob that says why a file is in quarantine."""
    return with_suffix(quarantine_name, ".json")


async def write_reason(clients: Clients, quarantine_name: str, receipt: Receipt) -> None:
    """Write why a file is in quarantine: its receipt."""
    await upload_json(_reason(clients, quarantine_name), receipt.to_json())


async def original_of(clients: Clients, version: Version) -> Version:
    """Return the version of a file in quarantine as what it was in the inbox: of its first name and ETag.

    Raises:
        SourceGone: it has no reason beside it, so it is about to go, or has not come to rest yet; or the reason names
            what no blob of the inbox can be called.
        Unreadable: its reason is something else.
        AzureError: storage failed.
    """
    reason = await read_reason(clients, version.blob.blob_name)
    if reason is None or not is_name(reason.blob) or version.metadata.get(SOURCE_ETAG) != reason.etag:
        raise SourceGone
    return replace(version, name=reason.blob, etag=reason.etag, last_modified=parse_timestamp(reason.uploaded_at))


async def read_reason(clients: Clients, quarantine_name: str) -> Receipt | None:
    """Return why a file is in quarantine; None if nothing is written.

    Raises:
        Unreadable: there is something else.
        AzureError: storage failed.
    """
    found = await read_whole(_reason(clients, quarantine_name))
    return _parse(found.content) if found else None


async def delete_reason(clients: Clients, quarantine_name: str, etag: str) -> None:
    """Delete the reason of a version that has left the quarantine; not that of another one in its place.

    Raises:
        Unreadable: there is something else.
        AzureError: storage failed.
    """
    blob = _reason(clients, quarantine_name)
    found = await read_whole(blob)
    if found and _parse(found.content).etag == etag:
        with suppress(ResourceNotFoundError, ResourceModifiedError):
            await blob.delete_blob(etag=found.etag, match_condition=MatchConditions.IfNotModified)


async def delete_reason_without_file(clients: Clients, quarantine_name: str) -> None:
    """Delete what is left where the process died when a file had just been taken out of quarantine.

    Raises:
        AzureError: storage failed.
    """
    reason = await read_reason(clients, quarantine_name)
    if reason and await version_of(clients.container(QUARANTINE).get_blob_client(quarantine_name)) is None:
        await delete_reason(clients, quarantine_name, reason.etag)


def _parse(content: bytes) -> Receipt:
    try:
        return Receipt.from_json(json.loads(content))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise Unreadable("the reason beside a file in quarantine cannot be read") from None


def _reason(clients: Clients, quarantine_name: str) -> BlobClient:
    return clients.container(QUARANTINE_REASONS).get_blob_client(reason_name(quarantine_name))
