"""Copies of stored instances in `dicom-replaced`, made before other content takes their place.

Only the app writes to this container, and nothing of a sender's decides what is in it. A copy's name is
`<partition>/<study>/<series>/<instance>/<replacing version>-<attempt>.dcm`: each attempt has a name of its own, and no
blob is ever written over. The `.json` of the same name says what the copy is. It is written once the copy was read
back; a copy without it does not count.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, astuple, dataclass
from typing import Any
from uuid import uuid4

from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob.aio import BlobClient
from pydantic import TypeAdapter

from shared import clock
from shared.dicomweb import NotFound
from shared.dicomweb.partitions import DEFAULT_PARTITION
from shared.events import Failed
from shared.part10 import Header, Unfit, read_header
from shared.settings import REPLACED
from shared.small_blobs import read_whole, upload_json
from store_on_upload.files.source import Digest, Source, SourceGone
from store_on_upload.receipts.receipt import timestamp
from store_on_upload.setback import NotYet
from store_on_upload.verdict import Replaced

from .claim import read_note
from .job import Job
from .uids import Uids

_REPLACED = TypeAdapter(Replaced)


@dataclass(frozen=True)
class StoredCopy:
    """A copy of what the service returns now.

    Args:
        replaced: the copy.
        header: of the copied instance; None if it cannot be read.
        written: the blobs that this run has written for it, each with its ETag; none of an earlier run's.
    """

    replaced: Replaced
    header: Header | None
    written: tuple[tuple[BlobClient, str], ...] = ()


async def keep_stored(job: Job, uids: Uids) -> StoredCopy:
    """Return a copy of the stored instance: one that an earlier run of the same version has made, or a new one.

    An earlier run's copy is read back again, and compared with what the service returns now.

    Raises:
        NotYet: the stored instance is gone, or the description of an earlier copy cannot be read.
        Failed: the copy is not what was retrieved.
        DICOMwebError, AzureError: the service or the storage failed.
    """
    earlier = await find_copy(job, uids)
    return (earlier and await _verified_again(job, uids, earlier)) or await _copy(job, uids)


async def find_copy(job: Job, uids: Uids) -> Replaced | None:
    """Return the latest copy that runs of this version have made and read back; None if there is none.

    Raises:
        NotYet: its description cannot be read.
        AzureError: storage failed.
    """
    blobs: Any = job.clients.container(REPLACED).list_blobs(name_starts_with=_prefix(job, uids))
    found = {str(blob.name): blob.last_modified async for blob in blobs if blob.name.endswith(".json")}
    description = await read_whole(_blob(job, max(found, key=lambda name: found[name]))) if found else None
    return read_note(_REPLACED, description.content) if description else None


async def is_as_first_stored(job: Job, uids: Uids, copy: Replaced) -> bool:
    """Say whether a copy has the instance as it was first stored, which a bulk update leaves beside the corrected one.

    Raises:
        NotYet: the stored instance is gone.
        DICOMwebError: it cannot be retrieved.
    """
    first = await _digest_of_stored(job, uids, original=True)
    return (first.size, first.sha256) == (copy.size_bytes, copy.sha256)


def description_name(kept_as: str) -> str:
    """Return the name of the blob that says what a copy is."""
    return kept_as.removesuffix(".dcm") + ".json"


def _prefix(job: Job, uids: Uids) -> str:
    """Return what the names of all copies begin with that runs of the job's version have made."""
    version = job.source.version
    hashed = hashlib.sha256(f"{version.name}\n{version.etag}".encode()).hexdigest()[:32]
    return "/".join((job.partition or DEFAULT_PARTITION, *astuple(uids), f"{hashed}-"))


def _blob(job: Job, name: str) -> BlobClient:
    return job.clients.container(REPLACED).get_blob_client(name)


async def _verified_again(job: Job, uids: Uids, earlier: Replaced) -> StoredCopy | None:
    """Return an earlier run's copy if it is what the service returns now; None if it is not."""
    found = await _read_back(_blob(job, earlier.kept_as))
    if found is None:
        return None
    stored = await _digest_of_stored(job, uids)
    is_true = found[:2] == (earlier.size_bytes, earlier.sha256) == (stored.size, stored.sha256)
    return StoredCopy(earlier, found[2]) if is_true else None


async def _copy(job: Job, uids: Uids) -> StoredCopy:
    blob, digest = _blob(job, f"{_prefix(job, uids)}{uuid4().hex}.dcm"), Digest()
    async with _retrieved(job, uids, digest) as chunks:
        written = await blob.upload_blob(chunks, overwrite=False)
    etag = str(written["etag"])
    found = await _read_back(blob)
    if found is None or found[:2] != (digest.size, digest.sha256):
        await _delete(blob, etag)
        raise Failed("replace: the copy is not what was retrieved")
    replaced = Replaced(digest.size, digest.sha256, blob.blob_name)
    return StoredCopy(replaced, found[2], (await _describe(job, uids, replaced), (blob, etag)))


async def _read_back(blob: BlobClient) -> tuple[int, str, Header | None] | None:
    """Return a copy's size, hash and header; None if there is no such copy any more."""
    try:
        copy = await Source.open(blob)
        return copy.version.size, await copy.sha256(), await _header_of(copy)
    except SourceGone:
        return None


async def _digest_of_stored(job: Job, uids: Uids, *, original: bool = False) -> Digest:
    digest = Digest()
    async with _retrieved(job, uids, digest, original=original) as chunks:
        async for _ in chunks:
            pass
    return digest


@asynccontextmanager
async def _retrieved(
    job: Job, uids: Uids, digest: Digest, *, original: bool = False
) -> AsyncGenerator[AsyncIterator[bytes]]:
    try:
        # Multipart, since half of an instance would be taken for all of it.
        async with job.dicom.retrieve_instance(**asdict(uids), original=original, multipart=True) as part:
            yield _passing(digest, part.chunks())
    except NotFound:
        raise NotYet("not_confirmed") from None


async def _passing(digest: Digest, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        digest.update(chunk)
        yield chunk


async def _header_of(copy: Source) -> Header | None:
    try:
        return await read_header(copy.prefix, copy.version.size, copy.read, through_pixels=True)
    except Unfit:
        return None


async def _describe(job: Job, uids: Uids, replaced: Replaced) -> tuple[BlobClient, str]:
    """Write what a copy is, and which file is to take the instance's place; return blob and ETag."""
    version = job.source.version
    document = {
        **asdict(replaced),
        **asdict(uids),
        "partition": job.partition,
        "copied_at": timestamp(clock.now()),
        "replaced_by": {"blob": version.name, "etag": version.etag},
    }
    description = _blob(job, description_name(replaced.kept_as))
    return description, await upload_json(description, document, match_condition=MatchConditions.IfMissing)


async def discard(kept: StoredCopy) -> None:
    """Delete a copy that this run has made and that neither a note nor a receipt names; leave an earlier run's.

    Raises:
        AzureError: storage failed.
    """
    for blob, etag in kept.written:  # the copy last: without the other one it does not count
        await _delete(blob, etag)


async def _delete(blob: BlobClient, etag: str) -> None:
    with suppress(ResourceNotFoundError, ResourceModifiedError):
        await blob.delete_blob(etag=etag, match_condition=MatchConditions.IfNotModified)
