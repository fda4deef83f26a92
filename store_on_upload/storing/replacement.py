"""ON_CONFLICT=replace: other content takes the place of what is stored, which is copied to `dicom-replaced` first.

Only what was stored before the file came gives way. Of two files that come at the same moment neither replaces the
other, and a late run of an older file does not undo a newer one.
"""

from __future__ import annotations

import logging
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared import clock
from shared.dicomweb import Change, ChangeAction, DICOMwebError, InvalidResponse, Query, RequestNotSent, StatusError
from shared.dicomweb.partitions import DEFAULT_PARTITION
from shared.events import event
from shared.part10 import Header
from store_on_upload.files.source import HashedBody, Version
from store_on_upload.setback import NotYet
from store_on_upload.verdict import AlreadyStored, Decision, Replaced, Verdict, conflict, judge, judge_refusal

from .claim import Claim, Replacement, claimed
from .duplicate import is_same_as_stored
from .job import Job
from .keeping import discard, find_copy, is_as_first_stored, keep_stored
from .patient import is_same_patient
from .uids import Uids, checked_outcome, uids_of

# Two clocks are compared: the storage's, which tells when the file came, to the second, and the DICOM service's.
_CLOCKS_MAY_DIFFER = timedelta(seconds=2)
_NO_SUCH_METHOD = (405, 501)
_PERHAPS_CARRIED_OUT = (502, 504)  # what stands before the service has no answer of it


@dataclass(frozen=True)
class Successor:
    """A file that is to take the place of what is stored under its UIDs.

    Args:
        job: the file.
        uids: of the instance.
        body: what is to be stored.
    """

    job: Job
    uids: Uids
    body: HashedBody


def of_same_bytes(latest: Replacement | None, version: Version) -> Decision:
    """Return the verdict on a version whose bytes are the ones that are stored.

    Args:
        latest: the instance's latest replacement.
        version: of the inbox's blob.
    """
    if latest and latest.is_by(version):
        # Another run of this very version has replaced what was there, and then died, or lost the answer.
        return Decision(Verdict.REPLACED, replaced=latest.replaced)
    return Decision(Verdict.DUPLICATE)


async def replace_stored(successor: Successor) -> Decision:
    """Replace what is stored by PUT, if it may be; harmless when repeated.

    Raises:
        NotYet: it cannot be done now.
        Failed: the copy of what is stored is not as it should be.
        DICOMwebError, AzureError: the service or the storage failed.
    """
    async with claimed(successor.job.clients, successor.job.partition, successor.uids) as claim:
        latest = await claim.latest()
        # The change feed may lag: of what the app itself has replaced, its own note tells at once.
        if (latest and latest.forestalls(successor.job.source.version)) or await _is_stored_since(successor):
            return await _overtaken(successor, latest)
        return await _replace(successor, claim, latest)


async def _overtaken(successor: Successor, latest: Replacement | None, kept: Replaced | None = None) -> Decision:
    """Return the verdict on a file after which something was stored; a copy that this or an earlier run made stays.

    It may be that an earlier run has stored the file, and died, and that a newer file has replaced it since: one that
    was uploaded later. Where equal bytes gave way to an older file, they had been stored before this one came.
    """
    version, uids = successor.job.source.version, successor.uids
    if kept is None:
        kept = latest.replaced if latest and latest.is_by(version) else await find_copy(successor.job, uids)
    if await is_same_as_stored(successor.job.dicom, uids, successor.body):  # since they were compared before the claim
        decision = of_same_bytes(latest, version)
        return decision if decision.replaced else replace(decision, replaced=kept)
    if latest and latest.is_later_than(version) and latest.replaced.sha256 == await successor.body.complete_sha256():
        return Decision(Verdict.DUPLICATE if kept is None else Verdict.REPLACED, replaced=kept)
    return replace(conflict("stored_since"), replaced=kept)


async def _replace(successor: Successor, claim: Claim, latest: Replacement | None) -> Decision:
    version = successor.job.source.version
    kept = await keep_stored(successor.job, successor.uids)
    if not await _may_give_way(successor, kept.header) or not await _is_only_one(successor):
        await discard(kept)
        return conflict("other_patient")
    # It may take long, so it comes before the last look at the change feed.
    is_corrected = not await is_as_first_stored(successor.job, successor.uids, kept.replaced)
    looked_at = clock.now()
    if await _is_stored_since(successor):  # by another client's PUT, while it was copied
        return await _overtaken(successor, latest, kept.replaced)
    if is_corrected:
        await discard(kept)
        return conflict("corrected")
    await claim.note(Replacement.by(version, kept.replaced))
    decision = await _put(successor, claim, kept.replaced)
    if decision.verdict is not Verdict.REPLACED:
        await claim.note(latest)
        await discard(kept)
    else:
        await _report_other_writer(successor, looked_at)
    return decision


async def _may_give_way(successor: Successor, stored: Header | None) -> bool:
    """Say whether what was copied is the instance that is to be replaced, and of the same patient."""
    if stored is None or uids_of(stored) != successor.uids:
        return False
    return is_same_patient(stored.patient, await successor.job.patient())


async def _is_only_one(successor: Successor) -> bool:
    """Say whether the study has one instance of this SOP Instance UID.

    A PUT replaces the instance of the series that the service reads in the file. With another instance in another
    series, that could be one that was neither compared nor copied.
    """
    query = Query({"SOPInstanceUID": successor.uids.sop_instance_uid}, limit=2)
    study = successor.uids.study_instance_uid
    return len(await successor.job.dicom.search_for_instances(query, study_instance_uid=study)) == 1


async def put(successor: Successor, expire_after: timedelta | None = None) -> Decision | None:
    """Store a file into its study, whatever is stored under its UIDs.

    Returns:
        The verdict; None if the service offers no PUT.

    Raises:
        OtherUids: the service has read other UIDs in the file.
        NotYet: no verdict can be given now.
        DICOMwebError: the service failed.
    """
    dicom, uids = successor.job.dicom, successor.uids
    try:
        result = await dicom.store_instance(
            successor.body,
            study_instance_uid=uids.study_instance_uid,
            replace=True,
            expire_after=expire_after,
            once=True,
        )
        return judge(checked_outcome(result, uids), uids.study_instance_uid)
    except AlreadyStored:
        return None
    except StatusError as error:
        if error.status_code not in _NO_SUCH_METHOD:
            raise
        return None


async def _put(successor: Successor, claim: Claim, replaced: Replaced) -> Decision:
    claim.awaits_answer = True
    try:
        decision = await put(successor)
    except (InvalidResponse, RequestNotSent, NotYet):
        claim.awaits_answer = False
        raise
    except StatusError as error:
        claim.awaits_answer = error.status_code in _PERHAPS_CARRIED_OUT
        if refused := judge_refusal(error, successor.uids.study_instance_uid):
            return refused
        raise
    claim.awaits_answer = False
    if decision is None:
        return conflict("no_replacement")
    if decision.verdict.is_in_service:
        return replace(decision, verdict=Verdict.REPLACED, replaced=replaced)
    return decision


async def _is_stored_since(successor: Successor) -> bool:
    """Say whether the instance was stored or changed since the file came, or at the same moment."""
    start = successor.job.source.version.last_modified - _CLOCKS_MAY_DIFFER
    async with aclosing(successor.job.dicom.change_feed.iter(start=start)) as changes:
        async for change in changes:
            if _is_store(change, successor):
                return True
    return False


async def _report_other_writer(successor: Successor, looked_at: datetime) -> None:
    """Log it if another client, too, has stored the instance since the last look: one of the two has no copy.

    It is one request, and the first 200 changes since then have to do. The file has replaced, whatever they say.
    """
    with suppress(DICOMwebError):
        changes = await successor.job.dicom.change_feed.page(start=looked_at - _CLOCKS_MAY_DIFFER)
        if sum(_is_store(change, successor) for change in changes) > 1:
            event("replaced_by_two", level=logging.WARNING)


def _is_store(change: Change, successor: Successor) -> bool:
    """Say whether a change has stored or changed the successor's instance."""
    uids = Uids(change.study_instance_uid, change.series_instance_uid, change.sop_instance_uid)
    changed = (change.partition_name or DEFAULT_PARTITION, uids)
    identity = (successor.job.partition or DEFAULT_PARTITION, successor.uids)
    return changed == identity and change.action is not ChangeAction.DELETE
