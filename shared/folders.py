"""Folders: with a hierarchical namespace, which SFTP needs, storage lists each one as a blob, though it is no file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from azure.storage.blob import BlobProperties
from azure.storage.blob.aio import ContainerClient


def is_folder(size: int, metadata: Mapping[str, str]) -> bool:
    """Say whether a blob only stands for a folder, as storage lists it, and as tools for Data Lake make one."""
    return size == 0 and metadata.get("hdi_isfolder", "").lower() == "true"


async def files_under(container: ContainerClient, prefix: str) -> AsyncIterator[BlobProperties]:
    """Yield the blobs whose names begin with a prefix, without folders.

    Raises:
        AzureError: storage failed.
    """
    async for blob in container.list_blobs(name_starts_with=prefix, include=["metadata"]):
        if not is_folder(blob.size, blob.metadata or {}):
            yield blob
