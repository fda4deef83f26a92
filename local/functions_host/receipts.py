"""Receipts: which version of which blob has been handed to which function.

They lie where the real host keeps them, so they survive restarts:
`azure-webjobs-hosts/blobreceipts/{host id}/{function}/"{ETag}"/{container}/{blob}`.
A receipt says that the message was put on the queue, not that the function succeeded: retries are
the queue's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob.aio import BlobClient, ContainerClient

_INCOMPLETE = "Incomplete"
_LEASE_SECONDS = 30


class Receipts:
    """The receipts of one host."""

    def __init__(self, hosts_container: ContainerClient, host_id: str) -> None:
        self._container = hosts_container
        self._root = f"blobreceipts/{host_id}"

    async def completed(self, function: str, container: str) -> AsyncIterator[tuple[str, str]]:
        """Yield the blob name and ETag of every finished receipt of a function, in one listing."""
        root = f"{self._root}/{function}/"
        async for blob in self._container.list_blobs(name_starts_with=root, include=["metadata"]):
            etag, _, path = blob.name.removeprefix(root).partition("/")
            if path.startswith(f"{container}/") and not _is_incomplete(blob.metadata):
                yield path.removeprefix(f"{container}/"), etag.strip('"')

    async def hand_over(self, function: str, path: str, etag: str, enqueue: Callable[[], Awaitable[None]]) -> bool:
        """Enqueue a blob version unless its receipt says that this was done.

        Returns:
            Whether the version is dealt with; False while another host, perhaps a killed one,
            still holds the receipt.
        """
        receipt = self._container.get_blob_client(f'{self._root}/{function}/"{etag}"/{path}')
        if not await _create(receipt) and await _is_completed(receipt):
            return True
        try:
            lease = await receipt.acquire_lease(_LEASE_SECONDS)
        except HttpResponseError:
            return False
        await enqueue()
        await receipt.set_blob_metadata({}, lease=lease)
        await lease.release()
        return True


async def _create(receipt: BlobClient) -> bool:
    try:
        await receipt.upload_blob(
            b"", metadata={_INCOMPLETE: "true"}, overwrite=True, match_condition=MatchConditions.IfMissing
        )
    except ResourceExistsError:
        return False
    return True


async def _is_completed(receipt: BlobClient) -> bool:
    try:
        properties = await receipt.get_blob_properties()
    except ResourceNotFoundError:
        return False
    return not _is_incomplete(properties.metadata)


def _is_incomplete(metadata: dict[str, str] | None) -> bool:
    # HTTP header names, which metadata travel as, have no case.
    return any(name.lower() == _INCOMPLETE.lower() for name in metadata or {})
