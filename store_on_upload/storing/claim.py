"""An instance of the service, claimed by one run of all processes while it replaces it or clears its remains away.

For each such instance there is a blob in `dicom-control`, named by a hash of its UIDs. Its lease is the claim, and ends
by itself a minute after its holder has died; its content tells of the instance's latest replacement.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, astuple, dataclass

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob.aio import BlobClient, BlobLeaseClient

from shared.clients import Clients
from shared.settings import CONTROL
from store_on_upload.files.small_blobs import read_whole, upload_json
from store_on_upload.verdict import NotYet, Replaced

from .tombstones import DEFAULT_PARTITION
from .uids import Uids

_LEASE_SECONDS = 60
_RENEW_AFTER_SECONDS = 20.0
# After the last renewal was asked for: by then a holder that cannot renew has stopped, and nobody else has begun.
_SAFE_SECONDS = _LEASE_SECONDS - 5.0


@dataclass(frozen=True)
class Replacement:
    """The latest replacement of an instance, written before it is made.

    Args:
        blob, etag: the version of the inbox's blob that took the place.
        replaced: what gave way.
    """

    blob: str
    etag: str
    replaced: Replaced


@dataclass(frozen=True)
class Claim:
    """A claim that is held."""

    blob: BlobClient
    lease: BlobLeaseClient

    async def note(self, replacement: Replacement | None) -> None:
        """Write down the replacement that is about to be made, or that it was not made.

        Raises:
            AzureError: storage failed, or the claim is lost.
        """
        await upload_json(self.blob, asdict(replacement) if replacement else {}, lease=self.lease)


async def read_replacement(clients: Clients, partition: str | None, uids: Uids) -> Replacement | None:
    """Return the latest replacement of an instance, made or just about to be; None if there was never one.

    Raises:
        AzureError: storage failed.
    """
    found = await read_whole(_blob(clients, partition, uids))
    document = json.loads(found.content) if found else {}
    return Replacement(**document | {"replaced": Replaced(**document["replaced"])}) if document else None


@asynccontextmanager
async def claimed(clients: Clients, partition: str | None, uids: Uids) -> AsyncGenerator[Claim]:
    """Claim an instance, and hold it for as long as it takes.

    Raises:
        NotYet: another run has it, or it was lost since storage could not be reached.
        AzureError: storage failed.
    """
    blob = _blob(clients, partition, uids)
    asked_at = asyncio.get_running_loop().time()
    lease = await _acquire(blob)
    limit = asyncio.timeout_at(asked_at + _SAFE_SECONDS)
    try:
        async with limit, _renewing(lease, limit):
            yield Claim(blob, lease)
    except TimeoutError:
        if limit.expired():
            raise _taken() from None
        raise
    finally:
        with suppress(AzureError):  # it ends by itself
            await lease.release()


async def _acquire(blob: BlobClient) -> BlobLeaseClient:
    try:
        return await _try_to_acquire(blob)
    except ResourceNotFoundError:
        with suppress(ResourceExistsError):
            await upload_json(blob, {}, match_condition=MatchConditions.IfMissing)
        return await _try_to_acquire(blob)


async def _try_to_acquire(blob: BlobClient) -> BlobLeaseClient:
    try:
        return await blob.acquire_lease(lease_duration=_LEASE_SECONDS)
    except HttpResponseError as error:
        if error.status_code == 409:
            raise _taken() from None
        raise


def _taken() -> NotYet:
    return NotYet("being_replaced", is_outage=True)


@asynccontextmanager
async def _renewing(lease: BlobLeaseClient, limit: asyncio.Timeout) -> AsyncGenerator[None]:
    renewals = asyncio.create_task(_renew(lease, limit))
    try:
        yield
    finally:
        renewals.cancel()
        await asyncio.gather(renewals, return_exceptions=True)


async def _renew(lease: BlobLeaseClient, limit: asyncio.Timeout) -> None:
    while True:
        await asyncio.sleep(_RENEW_AFTER_SECONDS)
        asked_at = asyncio.get_running_loop().time()
        with suppress(AzureError):  # tried again, until the limit
            await lease.renew()
            limit.reschedule(asked_at + _SAFE_SECONDS)


def _blob(clients: Clients, partition: str | None, uids: Uids) -> BlobClient:
    identity = "\n".join((partition or DEFAULT_PARTITION, *astuple(uids)))
    name = f"instances/{hashlib.sha256(identity.encode()).hexdigest()}.json"
    return clients.container(CONTROL).get_blob_client(name)
