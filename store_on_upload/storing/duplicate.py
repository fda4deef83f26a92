"""Is what the service already has the same instance, or another one under the same UIDs? The bytes decide."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict

from shared.dicomweb import DICOMwebClient, NotFound
from store_on_upload.files.source import Digest, HashedBody, Version
from store_on_upload.receipts.document import Document
from store_on_upload.setback import NotYet

from .uids import Uids


def has_stored_these_bytes(
    standing: Document | None, version: Version, sha256: str, sop_instance_uid: str, partition: str | None
) -> bool:
    """Say whether a receipt of the same name shows that these very bytes went into this partition of the service.

    The service has just said that it has an instance of these UIDs, but not of which content. So this may replace the
    comparison only if the file stays where it is: another sender may have put other content there since.
    """
    stored = [] if standing is None else [one for one in standing.versions if one.is_in_service]
    ours = [one for one in stored if (one.sop_instance_uid, one.partition) == (sop_instance_uid, partition)]
    # Of other bytes under the same name, those that came later count: somebody had made room for them.
    latest = max((one.decided_at or "" for one in ours), default=None)
    found = {(one.size_bytes, one.sha256) for one in ours if one.decided_at == latest}
    return found == {(version.size, sha256)}


async def is_same_as_stored(dicom: DICOMwebClient, uids: Uids, body: HashedBody) -> bool:
    """Compare what the service has with what was sent, the preamble apart; neither is held in memory.

    Where they differ, the instance as it was first stored is compared too: if that is the same, the service has
    corrected it since.

    Raises:
        NotYet: the stored instance is gone.
        DICOMwebError: it cannot be retrieved.
    """
    ours = await body.complete_sha256()
    try:
        for original in (False, True):
            if await _sha256_of_stored(dicom, uids, body.preamble, original) == ours:
                return True
    except NotFound:
        raise NotYet("not_confirmed") from None
    return False


async def _sha256_of_stored(dicom: DICOMwebClient, uids: Uids, preamble: bytes, original: bool) -> str:
    digest = Digest()
    # Multipart, since half of an instance would be taken for another one.
    async with dicom.retrieve_instance(**asdict(uids), original=original, multipart=True) as part:
        async for chunk in with_preamble(preamble, part.chunks()):
            digest.update(chunk)
    return digest.sha256


async def with_preamble(preamble: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Put our preamble in the place of the stored one: it is no part of the instance, and the service may blank it."""
    yield preamble
    to_skip = len(preamble)
    async for chunk in chunks:
        yield chunk[to_skip:]
        to_skip = max(0, to_skip - len(chunk))
