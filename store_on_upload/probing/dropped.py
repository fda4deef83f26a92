"""A probe that was dropped: how far it has come, and what is left of it.

It always has the same name. So what a run has left that was killed is found by the next one, and one receipt tells of
all probes. No other file that somebody gives that name is touched: a probe is known by its bytes.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob.aio import BlobClient

from shared import clock
from shared.clients import Clients
from shared.settings import ARCHIVE, QUARANTINE, QUARANTINE_REASONS
from shared.small_blobs import TooLarge, Whole, read_whole
from store_on_upload.files.quarantine import delete_reason_without_file, read_reason
from store_on_upload.files.source import version_of
from store_on_upload.receipts.container import read_receipt
from store_on_upload.receipts.receipt import Disposition, Receipt

from .instance import CONTENT

# With a suffix of the inbox behind it. What a source of sources.toml may begin with, to give probes a partition.
NAME: Final = "dicom-dropbox-probe"


@dataclass(frozen=True)
class Dropped:
    """A probe.

    Args:
        etag: its version of the blob, without quotation marks.
        dropped_at: when, to the second.
    """

    etag: str
    dropped_at: datetime

    @property
    def age_seconds(self) -> float:
        """How long ago it was dropped."""
        return (clock.now() - self.dropped_at).total_seconds()


@dataclass(frozen=True)
class Finding:
    """How far a probe has come.

    Args:
        is_over: whether nothing more is to come.
        reason: why it has not gone through, or not yet; None if it has.
    """

    is_over: bool
    reason: str | None = None


async def drop(clients: Clients) -> Dropped | None:
    """Drop a probe, as any producer drops a file; None where somebody's file has its name.

    Raises:
        AzureError: storage failed.
    """
    try:
        written = await _in_inbox(clients).upload_blob(CONTENT)
    except ResourceExistsError:
        return await find_dropped(clients)  # it is ours where the answer to a first attempt was lost
    return Dropped(written["etag"].strip('"'), written["last_modified"])


async def find_dropped(clients: Clients) -> Dropped | None:
    """Return the probe that is in the inbox; None if there is none.

    Raises:
        AzureError: storage failed.
    """
    found = await _read_probe(_in_inbox(clients))
    return Dropped(found.etag.strip('"'), found.last_modified) if found else None


async def look_at(clients: Clients, dropped: Dropped) -> Finding:
    """Say how far a probe has come: it is over once it has its receipt, and its file is dealt with.

    Raises:
        Unreadable: its receipt cannot be read.
        AzureError: storage failed.
    """
    # In this order: a file leaves the inbox after its receipt is written.
    is_in_inbox = await version_of(_in_inbox(clients)) == dropped.etag
    document = await read_receipt(clients, _name(clients))
    return _finding(document.of_version(dropped.etag) if document else None, is_in_inbox=is_in_inbox)


def _finding(receipt: Receipt | None, *, is_in_inbox: bool) -> Finding:
    if receipt is None or not receipt.is_final:
        reason = receipt.reason if receipt else None
        return Finding(False, reason or "no_receipt") if is_in_inbox else Finding(True, "gone")
    if is_in_inbox and receipt.disposition is not Disposition.KEEP:
        return Finding(False, "not_disposed")
    return Finding(True, None if receipt.is_in_service else receipt.reason)


async def remove(clients: Clients, dropped: Dropped | None) -> None:
    """Remove a probe from the inbox, and what is left of any elsewhere, but for their receipt; harmless when repeated.

    Another one that has come into the inbox meanwhile is another run's, who waits for it.

    Of their instance the service takes care.

    Raises:
        Unreadable: the reason of one in quarantine cannot be read.
        AzureError: storage failed.
    """
    if dropped:
        await _delete(_in_inbox(clients), f'"{dropped.etag}"')
    for container in map(clients.container, (ARCHIVE, QUARANTINE)):
        async for copy in container.list_blob_names(name_starts_with=_name(clients)):
            await _remove_file(container.get_blob_client(copy))
    reasons = clients.container(QUARANTINE_REASONS)
    async for name in reasons.list_blob_names(name_starts_with=_name(clients)):
        copy = name.removesuffix(".json")
        reason = await read_reason(clients, copy)
        if reason and reason.blob == _name(clients):  # and not of a file whose name begins alike
            await delete_reason_without_file(clients, copy)


async def _remove_file(blob: BlobClient) -> None:
    """Delete a probe's file, and never what somebody may have put in its place."""
    if found := await _read_probe(blob):
        await _delete(blob, found.etag)


async def _delete(blob: BlobClient, etag: str) -> None:
    with suppress(ResourceNotFoundError, ResourceModifiedError):
        await blob.delete_blob(etag=etag, match_condition=MatchConditions.IfNotModified)


async def _read_probe(blob: BlobClient) -> Whole | None:
    with suppress(TooLarge):
        found = await read_whole(blob, len(CONTENT))
        return found if found and found.content == CONTENT else None
    return None


def _in_inbox(clients: Clients) -> BlobClient:
    return clients.inbox.get_blob_client(_name(clients))


def _name(clients: Clients) -> str:
    return NAME + clients.sources.policy_for(NAME).suffixes[0]
