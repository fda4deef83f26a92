"""An instance of the service, claimed by one run of all processes while it replaces it or clears its remains away.

For each such instance there is a blob in `dicom-control`, named by a hash of its UIDs. Its lease is the claim, and ends
by itself a minute after its holder has died; its content tells of the instance's latest replacement.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict, astuple, dataclass
from typing import TypeVar

from azure.storage.blob.aio import BlobClient, BlobLeaseClient
from pydantic import TypeAdapter, ValidationError

from shared.clients import Clients
from shared.dicomweb.partitions import DEFAULT_PARTITION
from shared.leases import LeaseTaken, held
from shared.settings import CONTROL
from shared.small_blobs import in_json, read_whole, upload_json
from store_on_upload.files.source import Version
from store_on_upload.receipts.receipt import timestamp
from store_on_upload.setback import NotYet
from store_on_upload.verdict import Replaced

from .uids import Uids

T = TypeVar("T")


@dataclass(frozen=True)
class Replacement:
    """The latest replacement of an instance, written before it is made.

    Args:
        blob, etag: the version of the inbox's blob that took the place.
        came_at: when that version was uploaded, as receipts have it.
        replaced: what gave way.
    """

    blob: str
    etag: str
    came_at: str
    replaced: Replaced

    @classmethod
    def by(cls, version: Version, replaced: Replaced) -> Replacement:
        """Return the replacement that a version of the inbox's blob makes."""
        return cls(version.name, version.etag, timestamp(version.last_modified), replaced)

    def is_by(self, version: Version) -> bool:
        """Say whether a version of the inbox's blob made it, or was about to."""
        return (self.blob, self.etag) == (version.name, version.etag)

    def is_later_than(self, version: Version) -> bool:
        """Say whether the version that made it was uploaded after another one: in a later second."""
        return self.came_at > timestamp(version.last_modified)

    def forestalls(self, version: Version) -> bool:
        """Say whether another version made it that was uploaded later than this one, or in the same second."""
        return not self.is_by(version) and self.came_at >= timestamp(version.last_modified)


_REPLACEMENT = TypeAdapter(Replacement)


@dataclass
class Claim:
    """A claim that is held.

    Args:
        blob: whose lease it is.
        lease: the lease.
        awaits_answer: whether the service may still carry out what it was asked for: then the claim is not given up
            at the end, but ends by itself within a minute.
    """

    blob: BlobClient
    lease: BlobLeaseClient
    awaits_answer: bool = False

    async def latest(self) -> Replacement | None:
        """Return the latest replacement that is written down; None if there is none.

        Raises:
            NotYet: it cannot be read.
            AzureError: storage failed.
        """
        return await _read(self.blob)

    async def note(self, replacement: Replacement | None) -> None:
        """Write down the replacement that is about to be made; or, if it was refused, the one before.

        Raises:
            AzureError: storage failed, or the claim is lost.
        """
        await upload_json(self.blob, asdict(replacement) if replacement else {}, lease=self.lease)


async def read_replacement(clients: Clients, partition: str | None, uids: Uids) -> Replacement | None:
    """Return the latest replacement of an instance, made or just about to be; None if there was never one.

    Raises:
        NotYet: it cannot be read.
        AzureError: storage failed.
    """
    return await _read(_blob(clients, partition, uids))


async def _read(blob: BlobClient) -> Replacement | None:
    found = await read_whole(blob)
    return None if found is None or found.content == in_json({}) else read_note(_REPLACEMENT, found.content)


def read_note(kind: TypeAdapter[T], content: bytes) -> T:
    """Read what the app has written down of a replacement.

    Raises:
        NotYet: it is damaged, and only an operator can tell what it was; no file is to blame.
    """
    try:
        return kind.validate_json(content)
    except ValidationError:
        raise NotYet("note_damaged", is_outage=True) from None


@asynccontextmanager
async def claimed(clients: Clients, partition: str | None, uids: Uids) -> AsyncGenerator[Claim]:
    """Claim an instance, and hold it for as long as it takes.

    Raises:
        NotYet: another run has it, or it was lost since storage could not be reached.
        AzureError: storage failed.
    """
    blob = _blob(clients, partition, uids)
    claim: Claim | None = None
    try:
        async with held(blob, lambda: claim is None or not claim.awaits_answer) as lease:
            claim = Claim(blob, lease)
            yield claim
    except LeaseTaken:
        raise NotYet("being_replaced", is_outage=True) from None


def _blob(clients: Clients, partition: str | None, uids: Uids) -> BlobClient:
    identity = "\n".join((partition or DEFAULT_PARTITION, *astuple(uids)))
    name = f"instances/{hashlib.sha256(identity.encode()).hexdigest()}.json"
    return clients.container(CONTROL).get_blob_client(name)
