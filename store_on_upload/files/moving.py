"""Copying a version to another container, so that the original may go: copy, verify, and only then say so."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from azure.core import MatchConditions
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import BlobProperties
from azure.storage.blob.aio import BlobClient, ContainerClient

from shared.clients import Clients
from shared.events import Failed

from .naming import copy_names
from .source import SourceGone, Version, is_leased, version_of

_COPY_POLL_SECONDS = 0.5
_COPY_POLLS = 600  # five minutes in all
SOURCE_ETAG = "source_etag"  # metadata of a copy: which version of the inbox's blob it is
_MOST_METADATA_BYTES = 8192  # names and values of a blob, in storage


class Leased(Failed):
    """A lease or a snapshot keeps the original where it is; nothing is forced."""


async def copy_verified(clients: Clients, version: Version, container: str, *, is_repeated: bool = False) -> str:
    """Copy a version under the first of its names (`copy_names`) that no other version has; return the copy's name.

    May be repeated: a whole copy of this version that is there already is found, and taken.

    Args:
        clients: of the process.
        version: what is copied.
        container: where to.
        is_repeated: whether it may have been begun before; the other version may have gone since.

    Raises:
        Failed: the copy is not what it should be, or not there in time.
        SourceGone: the version is there no longer.
        AzureError: storage failed.
    """
    names = copy_names(version.name, version.etag)
    first = await _last_in_use(clients.container(container), names) if is_repeated else 0
    for name in names[first:]:
        copy = clients.container(container).get_blob_client(name)
        try:
            await _start(copy, version)
        except ResourceExistsError:
            properties = await copy.get_blob_properties()
            if properties.metadata.get(SOURCE_ETAG) != version.etag:
                continue  # another version of the file lies there under this name
            await _clear_if_failed(copy, properties)
        await _verify(copy, version)
        return name
    raise Failed("move: all names for the copy are taken by other versions")


async def _last_in_use(container: ContainerClient, names: Sequence[str]) -> int:
    """Return the index of the last name that a blob has; 0 if none has."""
    for index in range(len(names) - 1, 0, -1):
        if await version_of(container.get_blob_client(names[index])) is not None:
            return index
    return 0


def metadata_of_copy(version: Version) -> dict[str, str]:
    """Return what a copy of a version has as metadata: naming any means that none is copied.

    The producer's own go along, unless they leave no room for ours: the file matters more.
    """
    ours = {SOURCE_ETAG: version.etag}
    producers = {name: value for name, value in version.metadata.items() if name.lower() != SOURCE_ETAG}
    whole = producers | ours
    size = sum(len(name) + len(value) for name, value in whole.items())
    return whole if size <= _MOST_METADATA_BYTES else ours


async def _start(copy: BlobClient, version: Version) -> None:
    # Copy Blob within one account: no size limit, no SAS, and the bytes do not pass through us.
    try:
        await copy.start_copy_from_url(
            version.blob.url,
            metadata=metadata_of_copy(version),
            source_etag=version.condition,
            source_match_condition=MatchConditions.IfNotModified,
            match_condition=MatchConditions.IfMissing,
        )
    except (ResourceNotFoundError, ResourceModifiedError):
        # Of the source, or of the container that we copy to? Both answer the same.
        if await version_of(version.blob) != version.condition.strip('"'):
            raise SourceGone from None
        raise


async def _clear_if_failed(copy: BlobClient, properties: BlobProperties) -> None:
    """Make room for another attempt where an earlier copy came to nothing."""
    if properties.copy.status in ("failed", "aborted"):
        await copy.delete_blob(etag=properties.etag, match_condition=MatchConditions.IfNotModified)
        raise Failed("move: an earlier copy had failed; it was removed")


async def _verify(copy: BlobClient, version: Version) -> None:
    for _ in range(_COPY_POLLS):
        properties = await copy.get_blob_properties()
        if properties.copy.status != "pending":
            return _check(properties, version)
        await asyncio.sleep(_COPY_POLL_SECONDS)
    raise Failed("move: the copy is not complete yet")


def _check(properties: BlobProperties, version: Version) -> None:
    if properties.copy.status != "success" or properties.size != version.size:
        raise Failed("move: the copy is not like its original")


async def delete_version(version: Version) -> None:
    """Delete this version and no other; it is no error if it is already gone.

    Raises:
        Leased: it may not be deleted now.
        AzureError: storage failed.
    """
    try:
        await version.blob.delete_blob(etag=version.condition, match_condition=MatchConditions.IfNotModified)
    except (ResourceNotFoundError, ResourceModifiedError):
        return
    except HttpResponseError as error:
        if is_leased(error):
            raise Leased("the blob is leased or has snapshots; it stays in the inbox until they go") from None
        raise
