"""Is what the service already has the same instance, or another one under the same UIDs? The bytes decide."""

from __future__ import annotations

from collections.abc import AsyncIterator

from shared.dicomweb import DICOMwebClient, NotFound, Query

from .part10 import Header
from .source import Digest, HashedBody
from .verdict import Decision, NotYet, Verdict

Uids = tuple[str, str, str]  # study, series, SOP instance


async def compare_with_stored(
    dicom: DICOMwebClient, body: HashedBody, header: Header, stored_sop_instance_uid: str | None
) -> Decision:
    """Compare what the service has with what was sent, the preamble apart; neither is held in memory.

    Raises:
        NotYet: the stored instance cannot be found: it was deleted, or several share its UID.
        DICOMwebError: it cannot be retrieved.
    """
    study, series, instance = _uids_of(header) or await _search(dicom, stored_sop_instance_uid)
    digest = Digest()
    try:
        async with dicom.retrieve_instance(
            study_instance_uid=study, series_instance_uid=series, sop_instance_uid=instance
        ) as part:
            async for chunk in _with_preamble(body.preamble, part.chunks()):
                digest.update(chunk)
    except NotFound:
        raise NotYet("the stored instance has gone") from None
    same = digest.sha256 == (await body.complete_digest()).sha256
    return Decision(Verdict.DUPLICATE) if same else Decision(Verdict.CONFLICT, "other_bytes")


async def _with_preamble(preamble: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Put our preamble in the place of the stored one: it is no part of the instance, and the service may blank it."""
    yield preamble
    to_skip = len(preamble)
    async for chunk in chunks:
        yield chunk[to_skip:]
        to_skip = max(0, to_skip - len(chunk))


def _uids_of(header: Header) -> Uids | None:
    if header.study_instance_uid and header.series_instance_uid and header.sop_instance_uid:
        return header.study_instance_uid, header.series_instance_uid, header.sop_instance_uid
    return None


async def _search(dicom: DICOMwebClient, sop_instance_uid: str | None) -> Uids:
    """Find an instance of which only the UID is known, for files whose header we could not follow."""
    if sop_instance_uid is None:
        raise NotYet("the stored instance is not named")
    found = await dicom.search_for_instances(Query({"SOPInstanceUID": sop_instance_uid}, limit=2))
    if len(found) != 1:
        raise NotYet("the stored instance cannot be told from others with its UID")
    [only] = found
    return str(only.StudyInstanceUID), str(only.SeriesInstanceUID), str(only.SOPInstanceUID)
