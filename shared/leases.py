"""A blob's lease as a claim that one run of all processes holds; it ends by itself a minute after its holder died."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob.aio import BlobClient, BlobLeaseClient

from shared.small_blobs import upload_json

_LEASE_SECONDS = 60
_RENEW_AFTER_SECONDS = 20.0
# After the last renewal was asked for: by then a holder that cannot renew has stopped, and nobody else has begun.
_SAFE_SECONDS = _LEASE_SECONDS - 5.0


class LeaseTaken(Exception):
    """Another run has the lease, or it was lost since storage could not be reached."""


@asynccontextmanager
async def held(blob: BlobClient, may_release: Callable[[], bool] = lambda: True) -> AsyncGenerator[BlobLeaseClient]:
    """Hold a blob's lease for as long as it takes; the blob is made if there is none.

    Args:
        blob: whose lease it is.
        may_release: asked at the end; if not, the lease is left to end by itself.

    Raises:
        LeaseTaken: another run has it, or it was lost.
        AzureError: storage failed.
    """
    asked_at = asyncio.get_running_loop().time()
    lease = await _acquire(blob)
    limit = asyncio.timeout_at(asked_at + _SAFE_SECONDS)
    try:
        async with limit, _renewing(lease, limit):
            yield lease
    except TimeoutError:
        if limit.expired():
            raise LeaseTaken from None
        raise
    finally:
        if may_release():
            with suppress(AzureError):  # it ends by itself
                await lease.release()


async def verify(lease: BlobLeaseClient) -> None:
    """See that a lease is held still, and for another minute from now on.

    Raises:
        LeaseTaken: it is not.
        AzureError: it cannot be told.
    """
    try:
        await lease.renew()
    except HttpResponseError as error:
        if error.status_code in (404, 409, 412):
            raise LeaseTaken from None
        raise


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
            raise LeaseTaken from None
        raise


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
