"""The beginning of a blob's walk: which version of which blob has arrived, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from azure.storage.blob.aio import BlobClient

from shared.arrivals import Arrival, Door, name_of_restored
from shared.clients import Clients
from shared.events import event
from shared.settings import QUARANTINE, VAULT, AfterStore, OnConflict
from shared.sources import Policy

from .files.naming import is_name
from .files.quarantine import original_of
from .files.source import Source, SourceGone, Version, find_version
from .ingest import Ingest
from .receipts.container import read_receipt
from .receipts.document import Document
from .receipts.receipt import Receipt, State, timestamp
from .verdict import Verdict


@dataclass(frozen=True)
class Run:
    """One run over a version of a blob, whether the blob is read in it or put off at once.

    Args:
        ingest: what it works with.
        arrival: how the blob came.
        version: of the blob.
        standing: the receipts of its name, where they were read.
        receipt: as the run begins with it.
        started: when it began, of `time.monotonic`.
    """

    ingest: Ingest
    arrival: Arrival
    version: Version
    standing: Document | None
    receipt: Receipt
    started: float


def with_possible_names(arrival: Arrival) -> Arrival | None:
    """Return an arrival with those of its names that a blob can have; None if there is none.

    Every trigger passes here before the first request. A file without such a name is ignored, and has no receipt: a
    receipt is kept under the blob's name, which would lead to another blob among the receipts as well.
    """
    names = tuple(filter(is_name, arrival.names))
    if names:
        return replace(arrival, names=names)
    event("blob_decided", verdict=Verdict.IGNORED, reason="name", door=arrival.door)
    return None


async def open_arrived(ingest: Ingest, arrival: Arrival) -> Source:
    """Open an arrival's blob.

    Raises:
        SourceGone: there is no such blob.
        AzureError, Failed: storage failed, or what it holds cannot be read.
    """
    for blob in _candidates(ingest.clients, arrival):
        try:
            source = await Source.open(blob)
        except SourceGone:
            continue
        return replace(source, version=await _as_dropped(ingest.clients, source.version))
    raise SourceGone


async def find_arrived(ingest: Ingest, arrival: Arrival) -> Version | None:
    """Return the version of an arrival's blob, without reading it; None if there is no such blob.

    Raises:
        AzureError, Failed: storage failed, or what it holds cannot be read.
    """
    for blob in _candidates(ingest.clients, arrival):
        if version := await find_version(blob):
            try:
                return await _as_dropped(ingest.clients, version)
            except SourceGone:
                return None
    return None


def _candidates(clients: Clients, arrival: Arrival) -> list[BlobClient]:
    """Return where the blob may be: the first of its possible names under which there is one counts."""
    container = clients.container(arrival.container or clients.settings.dicom_inbox_container)
    return [container.get_blob_client(name) for name in arrival.names]


async def _as_dropped(clients: Clients, version: Version) -> Version:
    """Return a version as it was in the inbox, also where the file is in quarantine by now.

    What retention has put into the vault was not there under this name: it gets one of its own.
    """
    if version.blob.container_name == VAULT:
        return replace(version, name=name_of_restored(version.name))
    return await original_of(clients, version) if version.blob.container_name == QUARANTINE else version


async def begin(ingest: Ingest, arrival: Arrival, version: Version, started: float, *, is_new: bool = False) -> Run:
    """Return a run over a version of a blob.

    Args:
        ingest: what it works with.
        arrival: how the blob came.
        version: of the blob.
        started: when the run began, of `time.monotonic`.
        is_new: whether no receipt is looked for, since there can be none.

    Raises:
        AzureError, Failed: storage failed, or the receipt cannot be read.
    """
    standing = None if is_new else await read_receipt(ingest.clients, version.name)
    return Run(ingest, arrival, version, standing, _first_receipt(ingest, arrival, version, standing), started)


def _first_receipt(ingest: Ingest, arrival: Arrival, version: Version, standing: Document | None) -> Receipt:
    """Return the receipt that a run begins with: the one of this version, or a new one; with today's policy.

    A replay or a restore begins anew: the verdict that stands is the one it asks to have reconsidered. So does a
    version that was closed as gone: it is back.
    """
    known = standing.of_version(version.etag) if standing else None
    if known is not None and known.is_final and not _is_reconsidered(known, arrival.door):
        return known
    if known is None or known.is_final:
        uploaded_at = timestamp(version.last_modified)
        known = Receipt(version.name, version.etag, version.size, uploaded_at, deferrals=arrival.tries)
    begun = replace(known, state=State.DEFERRED, restored=arrival.door is Door.RESTORE)
    return begun.under(policy_of(ingest.clients, arrival, version))


def _is_reconsidered(known: Receipt, door: Door) -> bool:
    """Say whether a verdict is to be given anew.

    Of a file that is replayed and has got into the service, only the file is left to be dealt with. What is restored
    may have been deleted since it was last stored.
    """
    return known.is_gone or door is Door.RESTORE or (door is Door.REPLAY and not known.is_in_service)


def policy_of(clients: Clients, arrival: Arrival, version: Version) -> Policy:
    """Return what holds for a blob: by its name, but for what is restored, which stays in the vault in any case."""
    if arrival.door is Door.RESTORE:
        return Policy(None, arrival.partition, (".dcm",), AfterStore.KEEP, OnConflict.QUARANTINE, 0)
    return clients.sources.policy_for(version.name)
