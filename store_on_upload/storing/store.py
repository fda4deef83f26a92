"""Storing one file, and what the service's answer comes to, questions asked back included."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass

from shared import clock
from shared.arrivals import Door
from shared.dicomweb import InstanceOutcome, StatusError, StoreReason
from shared.events import event
from shared.part10 import Unfit
from shared.settings import QUARANTINE, OnConflict, OnPurged
from store_on_upload.files.source import HashedBody, body_of
from store_on_upload.probing.instance import EXPIRE_AFTER
from store_on_upload.receipts.container import read_receipt
from store_on_upload.receipts.document import Document
from store_on_upload.receipts.receipt import Disposition, Receipt
from store_on_upload.setback import NotYet
from store_on_upload.transcoding.completing import missing_head
from store_on_upload.transcoding.transcode import may_be_about_implicit_vr, most_bytes_held, to_explicit_vr
from store_on_upload.verdict import AlreadyStored, Decision, Verdict, conflict, judge, judge_refusal, rejected

from .claim import claimed, read_replacement
from .duplicate import has_stored_these_bytes, is_same_as_stored
from .job import Job
from .replacement import Successor, of_same_bytes, put, replace_stored
from .stuck import clear_remains, is_stuck
from .uids import OtherUids, Uids, checked_outcome, find_uids, uids_of


@dataclass(frozen=True)
class _Sent:
    """What is sent: the file as it is, or changed; of one that is changed the own hash is known before."""

    body: HashedBody
    changes: tuple[str, ...] = ()
    sha256_unchanged: str | None = None

    async def sha256_of_file(self) -> str:
        """Return the hash of the file, read once more where the service did not wait for all of it."""
        return self.sha256_unchanged or await self.body.complete_sha256()


async def refuse(job: Job) -> Receipt | None:
    """Return the receipt, final, of an instance of a study that retention deleted, or may have, or whose UID is
    reserved; None for any other.

    Once it is stored, ingest could not take it back: it may not delete.

    Raises:
        AzureError: storage failed.
    """
    if job.is_intruder:
        return _not_sent(job, "reserved")
    if job.clients.settings.on_purged is OnPurged.STORE:
        return None
    purged = job.run.ingest.purged
    if study := job.header.study_instance_uid:
        look_again = job.door is Door.SWEEP or job.door.is_asked_for
        return _not_sent(job, "purged") if await purged.has(job.partition, study, look_again=look_again) else None
    # What is restored is of the study that it was asked for.
    is_doubtful = job.door is not Door.RESTORE and await purged.has_any(job.partition)
    return _not_sent(job, "study_unknown") if is_doubtful else None


async def store(job: Job) -> Receipt:
    """Store a file and return its receipt, final.

    Raises:
        NotYet: no verdict can be given now.
        DICOMwebError: the service failed.
        SourceGone: the version is there no longer.
        AzureError: storage failed.
    """
    try:
        return await _store(job, await _as_it_is(job))
    except Unfit as unfit:  # it would have to be changed, and cannot be
        return _not_sent(job, unfit.reason)


def _not_sent(job: Job, reason: str) -> Receipt:
    return _decided(job, rejected(reason), sha256=job.source.sha256_of_prefix())


async def _as_it_is(job: Job) -> _Sent:
    head = missing_head(job.header)
    body = HashedBody(body_of(job.source, head))
    # Hashed before it is sent: afterwards the file may be gone, and what is stored by then would have no receipt.
    return _Sent(body, ("part10",), await job.source.sha256()) if head else _Sent(body)


async def _in_explicit_vr(job: Job, refused: _Sent) -> _Sent:
    source = job.source
    body = await to_explicit_vr(job.header, source.version.size, source.read, source.chunks_from)
    # The file's own hash has been taken already, as a rule: it was all sent once, and refused.
    return _Sent(HashedBody(body), (*refused.changes, "explicit_vr"), await refused.sha256_of_file())


async def _store(job: Job, sent: _Sent) -> Receipt:
    try:
        return await _judged(job, sent)
    except OtherUids as other:
        return await _judge_other(job, sent, other.outcome)


async def _judged(job: Job, sent: _Sent) -> Receipt:
    try:
        outcome = await _ask(job, sent)
        if "explicit_vr" not in sent.changes and may_be_about_implicit_vr(job.header, outcome):
            async with job.run.ingest.memory.reserved(most_bytes_held(job.source.version.size)):
                return await _store(job, await _in_explicit_vr(job, sent))
        return await _judge_answer(job, sent, outcome)
    except AlreadyStored as stored:
        return await _judge_stored(job, sent, stored.sop_instance_uid)
    except StatusError as error:
        if decision := judge_refusal(error, job.header.study_instance_uid):
            return _with_hashes(job, sent, decision)
        raise


async def _judge_answer(job: Job, sent: _Sent, outcome: InstanceOutcome) -> Receipt:
    decision = judge(outcome, job.header.study_instance_uid)
    if job.header.study_instance_uid is None and outcome.is_stored and (uids := uids_of(outcome)):
        job = job.of(uids)
        if job.is_intruder:
            return await _expel(job, uids, sent)
    return _with_hashes(job, sent, decision)


async def _judge_other(job: Job, sent: _Sent, outcome: InstanceOutcome) -> Receipt:
    """Decide on a file in which the service has read other UIDs; if it was stored, the receipt says under which."""
    event("other_uids", level=logging.ERROR)
    if outcome.is_stored and (uids := uids_of(outcome)):
        job = job.of(uids)
        if job.is_intruder:
            return await _expel(job, uids, sent)
    return _with_hashes(job, sent, rejected("other_uids"))


async def _expel(job: Job, uids: Uids, sent: _Sent) -> Receipt:
    """Have the service delete what was stored under the probe's root, where the header did not tell the study before.

    Ingest may not do so.
    """
    with suppress(OtherUids):  # refused in any case
        await put(Successor(job, uids, sent.body), EXPIRE_AFTER)
    return _with_hashes(job, sent, rejected("reserved"))


async def _ask(job: Job, sent: _Sent) -> InstanceOutcome:
    """Store; the remains of a store that died midway are cleared away first, where that is allowed."""
    outcome = await _send(job, sent)
    uids = uids_of(job.header)
    if outcome.reason != StoreReason.BEING_STORED or uids is None or not await _may_clear_remains(job):
        return outcome
    # One run alone, and until its own store has ended: that would look like remains to another one.
    async with claimed(job.clients, job.partition, uids) as claim:
        claim.awaits_answer = True  # the service may carry out the deletion late
        try:
            is_cleared = await clear_remains(job.dicom, uids)
        except NotYet:
            claim.awaits_answer = False
            raise
        claim.awaits_answer = False
        if not is_cleared:
            return outcome
        event("remains_deleted")
        return await _send(job, sent)


async def _send(job: Job, sent: _Sent) -> InstanceOutcome:
    """Store into the study that the header names, so that the service refuses a file in which it reads another one."""
    study = job.header.study_instance_uid
    result = await job.dicom.store_instance(sent.body, study_instance_uid=study, expire_after=job.expire_after)
    return checked_outcome(result, job.header)


async def _may_clear_remains(job: Job) -> bool:
    """Say whether remains may be deleted: only if no other UIDs than the header's can be in the file."""
    is_asked_for = job.clients.settings.replace_stuck and is_stuck(job.run.receipt, clock.now())
    return is_asked_for and await job.patient() is not None


async def _judge_stored(job: Job, sent: _Sent, named_by_service: str | None) -> Receipt:
    """Decide on a file under whose UIDs the service has an instance already."""
    version = job.source.version
    standing = job.run.standing or await read_receipt(job.clients, version.name)
    earlier = standing.of_version(version.etag) if standing else None
    is_decided = earlier is not None and earlier.is_final and not (earlier.is_gone or job.door.is_asked_for)
    if earlier and is_decided and earlier.is_in_service:
        return earlier  # this version's event came twice
    uids = await find_uids(job.dicom, job.header, named_by_service)
    job = job.of(uids)
    if job.is_intruder:  # another run may have died before it could do so
        return await _expel(job, uids, sent)
    if job.is_probe:  # the one before has not expired
        renewed = await put(Successor(job, uids, sent.body), EXPIRE_AFTER)
        return _with_hashes(job, sent, renewed or Decision(Verdict.DUPLICATE))
    if decision := await _find_same(job, sent, uids, standing):
        return _with_hashes(job, sent, decision)
    if earlier and is_decided:
        return earlier
    if job.run.receipt.on_conflict != OnConflict.REPLACE:
        return _with_hashes(job, sent, conflict("other_bytes"))
    return _with_hashes(job, sent, await replace_stored(Successor(job, uids, sent.body)))


async def _find_same(job: Job, sent: _Sent, uids: Uids, standing: Document | None) -> Decision | None:
    """Return the verdict on a file whose bytes the service has already; None if it has others."""
    version = job.source.version
    partition = job.partition
    latest = await read_replacement(job.clients, partition, uids)
    sha256 = await sent.sha256_of_file()
    # The receipt does not show what others have deleted and stored at the service since.
    if (
        latest is None
        and _keeps_file(job, sent)
        and has_stored_these_bytes(standing, version, sha256, uids.sop_instance_uid, partition)
    ):
        return Decision(Verdict.DUPLICATE)
    if not await is_same_as_stored(job.dicom, uids, sent.body):
        return None
    # Another run may have put this very file there since, and has written that down before.
    return of_same_bytes(await read_replacement(job.clients, partition, uids), version)


def _keeps_file(job: Job, sent: _Sent) -> bool:
    """Say whether the file stays where it is if it is a duplicate; the sender of a replay or restore wants to know."""
    if job.door.is_asked_for or job.source.version.blob.container_name == QUARANTINE:
        return False
    return _with_hashes(job, sent, Decision(Verdict.DUPLICATE)).disposition is Disposition.KEEP


def _with_hashes(job: Job, sent: _Sent, decision: Decision) -> Receipt:
    """Return the receipt of a verdict on what was sent."""
    is_changed = sent.changes and decision.verdict.is_in_service
    return _decided(
        job,
        decision,
        sha256=sent.sha256_unchanged or sent.body.sha256,
        sent_bytes=sent.body.length,
        sent_sha256=sent.body.sha256,
        changes=sent.changes if is_changed else (),
    )


def _decided(job: Job, decision: Decision, **found: object) -> Receipt:
    header = job.header
    uids = {
        "study_instance_uid": header.study_instance_uid,
        "series_instance_uid": header.series_instance_uid,
        "sop_instance_uid": header.sop_instance_uid,
    }
    return job.run.receipt.decided(decision, clock.now(), **uids, **found)
