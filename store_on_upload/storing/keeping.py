"""What is stored, copied to quarantine before other bytes take its place: streamed, read back, and never overwritten.

The copy's name is that of the file that replaces it, and which version of it: `<name>~replaced-by-<etag>`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import asdict

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob.aio import BlobClient

from shared import clock
from shared.clients import Clients
from shared.dicomweb import DICOMwebClient, NotFound
from shared.events import Failed
from shared.settings import QUARANTINE, QUARANTINE_REASONS
from shared.small_blobs import upload_json
from store_on_upload.files.naming import with_suffix
from store_on_upload.files.quarantine import delete_reason, reason_name
from store_on_upload.files.source import Digest, Source, Version, find_version
from store_on_upload.part10 import Header, Unfit, read_header
from store_on_upload.receipts.receipt import Receipt, timestamp
from store_on_upload.setback import NotYet
from store_on_upload.verdict import Replaced, conflict

from .uids import Uids

SHA256 = "sha256"  # metadata of a copy: it was read back, and this is its hash


def kept_name(version: Version) -> str:
    """Return the name in quarantine of what a version replaces."""
    return with_suffix(version.name, f"~replaced-by-{version.etag}")


async def keep_stored(
    clients: Clients, dicom: DICOMwebClient, uids: Uids, version: Version
) -> tuple[Replaced, Header | None]:
    """Copy what is stored to quarantine, unless an earlier run has; return the copy, and its header if it has one.

    Raises:
        NotYet: what is stored is gone.
        Failed: the copy is not what was retrieved.
        DICOMwebError, AzureError: the service or the storage failed.
    """
    blob = _kept_blob(clients, version)
    if await find_kept(clients, version) is None:
        await _copy(dicom, uids, blob)
    source = await Source.open(blob)
    return _replaced(source.version), await _header_of(source)


async def find_kept(clients: Clients, version: Version) -> Replaced | None:
    """Return the copy of what a version replaces, or was about to; None if there is none.

    One that was not read back is deleted: it was left by a run that died before it had replaced anything.

    Raises:
        AzureError: storage failed.
    """
    blob = _kept_blob(clients, version)
    kept = await find_version(blob)
    if kept is None or SHA256 in kept.metadata:
        return None if kept is None else _replaced(kept)
    await _delete(blob)
    return None


def _kept_blob(clients: Clients, version: Version) -> BlobClient:
    return clients.container(QUARANTINE).get_blob_client(kept_name(version))


def _replaced(kept: Version) -> Replaced:
    return Replaced(kept.size, kept.metadata[SHA256], kept.name)


async def _copy(dicom: DICOMwebClient, uids: Uids, blob: BlobClient) -> None:
    digest = Digest()
    try:
        # Multipart, since half of an instance would be taken for all of it.
        async with dicom.retrieve_instance(**asdict(uids), multipart=True) as part:
            await blob.upload_blob(_passing(digest, part.chunks()), overwrite=True)
    except NotFound:
        raise NotYet("not_confirmed") from None
    try:
        await _check(await Source.open(blob), digest)
    except Failed:
        await _delete(blob)
        raise
    await blob.set_blob_metadata({SHA256: digest.sha256})


async def _check(copy: Source, digest: Digest) -> None:
    if (copy.version.size, await copy.sha256()) != (digest.size, digest.sha256):
        raise Failed("replace: the copy is not what was retrieved")


async def _passing(digest: Digest, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        digest.update(chunk)
        yield chunk


async def _header_of(copy: Source) -> Header | None:
    try:
        return await read_header(copy.prefix, copy.version.size, copy.read, through_pixels=True)
    except Unfit:
        return None


async def write_why_kept(clients: Clients, uids: Uids, version: Version, replaced: Replaced) -> None:
    """Write beside the copy what it is: a receipt of its own, with the file that took its place.

    Raises:
        AzureError: storage failed.
    """
    now = clock.now()
    about = Receipt(
        blob=replaced.kept_as,
        etag=replaced.sha256,  # of no blob of the inbox: the content stands for the version
        size_bytes=replaced.size_bytes,
        uploaded_at=timestamp(now),
    ).decided(conflict("gave_way"), now, sha256=replaced.sha256, **asdict(uids))
    by = {"replaced_by": {"blob": version.name, "etag": version.etag}}
    reason = clients.container(QUARANTINE_REASONS).get_blob_client(reason_name(replaced.kept_as))
    await upload_json(reason, about.to_json() | by)


async def discard_kept(clients: Clients, replaced: Replaced) -> None:
    """Delete a copy of what was not replaced after all, and is stored still.

    Raises:
        AzureError: storage failed.
    """
    await delete_reason(clients, replaced.kept_as, replaced.sha256)
    await _delete(clients.container(QUARANTINE).get_blob_client(replaced.kept_as))


async def _delete(blob: BlobClient) -> None:
    with suppress(ResourceNotFoundError):
        await blob.delete_blob()
