"""A probe that was dropped: under which name, how far it has come, and what is left of it.

A note in `dicom-control` says what is to be removed. It is written before there is anything, and outlives the removal,
which is thus done once more before the next probe: for what a run left that was killed, and what a late one wrote.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Final
from uuid import uuid4

from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob.aio import BlobClient

from shared import clock
from shared.clients import Clients
from shared.settings import ARCHIVE, CONTROL, QUARANTINE, QUARANTINE_REASONS, RECEIPTS
from shared.small_blobs import TooLarge, read_whole, upload_json
from store_on_upload.files.quarantine import reason_name
from store_on_upload.files.source import version_of
from store_on_upload.receipts.container import read_receipt
from store_on_upload.receipts.receipt import Disposition, Receipt, parse_timestamp, timestamp

from .instance import CONTENT

# What a source of sources.toml may begin with, to give probes a partition.
PREFIX: Final = "dicom-dropbox-probe-"
NOTE: Final = "probe.json"


@dataclass(frozen=True)
class Dropped:
    """A probe.

    Args:
        name: of its blob in the inbox; there was never another one of this name.
        dropped_at: when, as `timestamp` has it.
    """

    name: str
    dropped_at: str

    @property
    def age_seconds(self) -> float:
        """How long ago it was dropped, to the second."""
        return (clock.now() - parse_timestamp(self.dropped_at)).total_seconds()


@dataclass(frozen=True)
class Finding:
    """How far a probe has come.

    Args:
        is_over: whether nothing more is to come.
        reason: why it has not gone through, or not yet; None if it has.
    """

    is_over: bool
    reason: str | None = None


async def last_dropped(clients: Clients) -> Dropped | None:
    """Return the probe that was dropped last; None if there was none, or nobody can tell.

    Raises:
        AzureError: storage failed.
    """
    found = await read_whole(_blob(clients, CONTROL, NOTE))
    try:
        dropped = Dropped(**json.loads(found.content)) if found else None
        return dropped if dropped and dropped.name.startswith(PREFIX) and parse_timestamp(dropped.dropped_at) else None
    except (AttributeError, TypeError, ValueError):
        return None


async def drop(clients: Clients) -> Dropped:
    """Drop a probe, as any producer drops a file.

    Raises:
        AzureError: storage failed.
    """
    suffix = clients.sources.policy_for(PREFIX).suffixes[0]
    dropped = Dropped(f"{PREFIX}{uuid4().hex}{suffix}", timestamp(clock.now()))
    await upload_json(_blob(clients, CONTROL, NOTE), asdict(dropped))
    await clients.inbox.upload_blob(dropped.name, CONTENT)
    return dropped


async def look_at(clients: Clients, dropped: Dropped) -> Finding:
    """Say how far a probe has come: it is over once it has its receipt, and its file is dealt with.

    Raises:
        Unreadable: its receipt cannot be read.
        AzureError: storage failed.
    """
    # In this order: a file leaves the inbox after its receipt is written.
    is_in_inbox = await version_of(clients.inbox.get_blob_client(dropped.name)) is not None
    document = await read_receipt(clients, dropped.name)
    return _finding(document.newest if document else None, is_in_inbox=is_in_inbox)


def _finding(receipt: Receipt | None, *, is_in_inbox: bool) -> Finding:
    if receipt is None or not receipt.is_final:
        reason = receipt.reason if receipt else None
        return Finding(False, reason or "no_receipt") if is_in_inbox else Finding(True, "gone")
    if is_in_inbox and receipt.disposition is not Disposition.KEEP:
        return Finding(False, "not_disposed")
    return Finding(True, None if receipt.is_in_service else receipt.reason)


async def remove(clients: Clients, dropped: Dropped) -> None:
    """Remove what is left of a probe: the file, wherever it is, then what was written about it; harmless when repeated.

    Of its instance the service takes care.

    Raises:
        AzureError: storage failed.
    """
    name = dropped.name
    for container in (clients.settings.dicom_inbox_container, ARCHIVE, QUARANTINE):
        await _remove_file(_blob(clients, container, name))
    for container, about in ((QUARANTINE_REASONS, reason_name(name)), (RECEIPTS, name)):
        with suppress(ResourceNotFoundError):
            await _blob(clients, container, about).delete_blob()


async def _remove_file(blob: BlobClient) -> None:
    """Delete a probe's file, and never what somebody may have put in its place."""
    with suppress(ResourceNotFoundError, ResourceModifiedError, TooLarge):
        found = await read_whole(blob, len(CONTENT))
        if found and found.content == CONTENT:
            await blob.delete_blob(etag=found.etag, match_condition=MatchConditions.IfNotModified)


def _blob(clients: Clients, container: str, name: str) -> BlobClient:
    return clients.container(container).get_blob_client(name)
