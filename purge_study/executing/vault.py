"""A study's copy in the vault, made before it is deleted: each instance as it is stored, read back, and counted.

What is copied is what every reader is given: where a bulk update has changed an instance, the changed one, since a
restore shall bring back what was there. The version before the update goes with the deletion.

Each attempt has a folder of its own. What a failed one leaves is harmless: nothing here deletes from the vault, its
lifecycle rule does. Nor is a blob overwritten: retention's identity may only add blobs to the vault.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Final, TypeVar

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.storage.blob import ContentSettings
from azure.storage.blob.aio import BlobClient

from purge_study.ledger.row import StudyKey
from purge_study.records.vaulted import Manifest, VaultedInstance, deletion_folder, instance_name, manifest_name
from purge_study.run import Run
from shared.dicomweb import NotFound, ResponseLost
from shared.folders import files_under
from shared.part10 import PREFIX_BYTES, Form, Unfit, read_header
from shared.settings import VAULT
from shared.small_blobs import in_json

from .contents import Contents, Place
from .reasons import Changed, FailedByItself

T = TypeVar("T")
_ATTEMPTS = 3  # where a connection is lost in the middle of an instance
_PIECE_BYTES: Final = 1024 * 1024  # aiohttp sends so much at once; a blob takes 50,000 pieces, of up to 4 MiB each


@dataclass(frozen=True)
class FileVersion:
    """A file's version and size, as it was read back.

    Args:
        etag: without quotation marks, as listings have it.
        bytes: its size.
    """

    etag: str
    bytes: int


@dataclass(frozen=True)
class Vaulted:
    """A study's copy.

    Args:
        folder: where it is in the vault.
        manifest_sha256: of the manifest, which names all instances with their own.
        bytes: of all instances.
        files: the copies and the manifest, by name.
    """

    folder: str
    manifest_sha256: str
    bytes: int
    files: Mapping[str, FileVersion]


@dataclass
class _Digest:
    """What went by of an instance."""

    size: int = 0
    sha256: hashlib._Hash = field(default_factory=hashlib.sha256)

    def update(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self.sha256.update(chunk)


async def copy_to_vault(
    run: Run, key: StudyKey, contents: Contents, deletion_id: str, *, plan_id: str, at: datetime
) -> Vaulted:
    """Copy all instances of a study, with a manifest, and see that the vault has them.

    Raises:
        Changed: an instance is gone.
        FailedByItself: a copy is not what was retrieved, or not the instance that was asked for.
        OutOfTime: the time is over before all are copied.
        DICOMwebError, AzureError: the service or the storage failed.
    """
    abandoned: set[str] = set()
    copies = await _copy_all(run, key, contents, deletion_id, abandoned)
    instances = tuple(instance for instance, _ in copies)
    files = {instance.name: version for instance, version in copies}
    await _count(run, key, deletion_id, abandoned, files)
    manifest = Manifest(
        study_instance_uid=key.uid, partition=key.partition, deletion_id=deletion_id, instances=instances
    )
    about = {"plan_id": plan_id, "vaulted_at": at.isoformat()}
    content = in_json(manifest.model_dump(mode="json") | about)
    name = manifest_name(key, deletion_id)
    files[name] = await _write_manifest(_blob(run, name), content)
    total = sum(instance.bytes for instance in instances)
    return Vaulted(deletion_folder(key, deletion_id), hashlib.sha256(content).hexdigest(), total, files)


async def check_copies(run: Run, vaulted: Vaulted) -> None:
    """See that the vault still has all copies and the manifest, in the versions that were read back.

    Raises:
        FailedByItself: one of them is gone, or is another version.
        AzureError: the storage failed.
    """
    if not vaulted.files.items() <= (await _listed(run, vaulted.folder)).items():
        raise FailedByItself("copies_missing")


async def _copy_all(
    run: Run, key: StudyKey, contents: Contents, deletion_id: str, abandoned: set[str]
) -> list[tuple[VaultedInstance, FileVersion]]:
    try:
        async with asyncio.TaskGroup() as group:
            # As many at once as the pace allows.
            copies = [group.create_task(_copy(run, key, place, deletion_id, abandoned)) for place in contents.places]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [copy.result() for copy in copies]


async def _copy(
    run: Run, key: StudyKey, place: Place, deletion_id: str, abandoned: set[str]
) -> tuple[VaultedInstance, FileVersion]:
    attempts = count(1)

    async def copy() -> tuple[str, _Digest, FileVersion]:
        run.check_time()
        # What an attempt has begun, no other can change.
        name = instance_name(key, deletion_id, place.series, place.instance, next(attempts))
        abandoned.add(name)
        digest = await _retrieve_into(run, key, place, _blob(run, name))
        head, version = await _read_back(_blob(run, name), digest)
        await _check_is(key, place, _blob(run, name), head, digest.size)
        abandoned.remove(name)
        return name, digest, version

    name, digest, version = await run.pace.ask(lambda: _again_if_lost(copy))
    instance = VaultedInstance(
        series_instance_uid=place.series,
        sop_instance_uid=place.instance,
        name=name,
        bytes=digest.size,
        sha256=digest.sha256.hexdigest(),
    )
    return instance, version


async def _again_if_lost(copy: Callable[[], Awaitable[T]]) -> T:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return await copy()
        except ResponseLost:
            if attempt == _ATTEMPTS:
                raise
    raise AssertionError("unreachable")


async def _retrieve_into(run: Run, key: StudyKey, place: Place, blob: BlobClient) -> _Digest:
    digest = _Digest()
    # Multipart, since half of an instance would be taken for all of it.
    retrieval = run.dicom_of(key).retrieve_instance(
        study_instance_uid=key.uid,
        series_instance_uid=place.series,
        sop_instance_uid=place.instance,
        multipart=True,
    )
    try:
        async with retrieval as part:
            await _add(blob, _passing(digest, part.chunks()), "application/dicom")
    except NotFound:
        raise Changed("contents") from None
    return digest


async def _check_is(key: StudyKey, place: Place, blob: BlobClient, head: bytes, size: int) -> None:
    """See that a copy is the instance that was asked for, by the UIDs in its dataset.

    Raises:
        FailedByItself: it is another instance, or that cannot be told.
        AzureError: the storage failed.
    """

    async def fetch(offset: int, length: int) -> bytes:
        return await (await blob.download_blob(offset=offset, length=length)).readall()

    try:
        header = await read_header(head, size, fetch)
    except Unfit:
        raise FailedByItself("not_dicom") from None
    if header.form is not Form.PART10:
        raise FailedByItself("not_dicom")
    found = (header.study_instance_uid, header.series_instance_uid, header.sop_instance_uid)
    if found != (key.uid, place.series, place.instance):
        raise FailedByItself("other_instance")


async def _passing(digest: _Digest, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        digest.update(chunk)
        yield chunk


async def _add(blob: BlobClient, chunks: AsyncIterator[bytes], content_type: str) -> None:
    """Write a new blob by adding alone, without a permission to change one that exists.

    That permission covers Put Blob of a new blob, and Append Block. It does not cover the blocks of a block blob, in
    which the SDK writes content of unknown size. So content is put if it fits into one piece, and else appended.

    The SDK repeats a request whose answer was lost, and storage refuses it if the first one was carried out. That is
    not an error here: the caller reads the blob back.
    """
    settings = ContentSettings(content_type=content_type)
    async with aclosing(_pieces(chunks)) as pieces:
        piece = await anext(pieces, b"")
        if len(piece) < _PIECE_BYTES:
            with suppress(ResourceExistsError):
                await blob.upload_blob(piece, overwrite=False, content_settings=settings)
            return
        with suppress(ResourceExistsError):
            await blob.create_append_blob(content_settings=settings, match_condition=MatchConditions.IfMissing)
        position = 0
        while piece:
            await _append(blob, piece, position)
            position += len(piece)
            piece = await anext(pieces, b"")


async def _append(blob: BlobClient, piece: bytes, position: int) -> None:
    try:
        await blob.append_block(piece, appendpos_condition=position)
    except HttpResponseError as error:
        is_there = error.status_code == 412 and (await blob.get_blob_properties()).size == position + len(piece)
        if not is_there:
            raise


async def _pieces(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Yield what goes by in pieces of one size, the last one smaller or none."""
    held = bytearray()
    async for chunk in chunks:
        held += chunk
        while len(held) >= _PIECE_BYTES:
            yield bytes(held[:_PIECE_BYTES])
            del held[:_PIECE_BYTES]
    if held:
        yield bytes(held)


async def _read_back(blob: BlobClient, sent: _Digest) -> tuple[bytes, FileVersion]:
    """Return a copy's first bytes, as many as `read_header` needs at first, and its version."""
    found, head = _Digest(), bytearray()
    download = await blob.download_blob()
    async for chunk in download.chunks():
        found.update(chunk)
        head += chunk[: PREFIX_BYTES - len(head)]
    if (found.size, found.sha256.digest()) != (sent.size, sent.sha256.digest()):
        raise FailedByItself("copy_differs")
    return bytes(head), FileVersion(_bare(download.properties.etag), found.size)


async def _count(
    run: Run,
    key: StudyKey,
    deletion_id: str,
    abandoned: set[str],
    files: Mapping[str, FileVersion],
) -> None:
    """See that the vault's folder holds each instance, and nothing else but what attempts have begun in vain."""
    listed = await _listed(run, deletion_folder(key, deletion_id))
    found = {name: version for name, version in listed.items() if name not in abandoned}
    if found != files:
        raise FailedByItself("copies_missing")


async def _write_manifest(blob: BlobClient, content: bytes) -> FileVersion:
    await _add(blob, _once(content), "application/json")
    download = await blob.download_blob()
    if await download.readall() != content:
        raise FailedByItself("copy_differs")
    return FileVersion(_bare(download.properties.etag), len(content))


async def _listed(run: Run, folder: str) -> dict[str, FileVersion]:
    files = files_under(run.clients.container(VAULT), folder)
    return {file.name: FileVersion(_bare(file.etag), file.size) async for file in files}


def _bare(etag: str) -> str:
    return etag.strip('"')


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _blob(run: Run, name: str) -> BlobClient:
    return run.clients.container(VAULT).get_blob_client(name)
