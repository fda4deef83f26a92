"""One blob → one verdict, whichever door it came through: look, store, confirm, write the receipt, deal with the file.

What fails and may pass is put off (`waiting`), not raised: the host would try again five times at once, and then set
the blob's message aside.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from azure.core.exceptions import HttpResponseError

from shared import clock
from shared.arrivals import Arrival, Door
from shared.dicomweb import Busy, DICOMwebError, StatusError
from shared.events import event
from shared.part10 import Header
from shared.settings import LONGEST_RUN_SECONDS
from shared.telemetry.recording import span

from .beginning import Run, begin, open_arrived, policy_of, with_possible_names
from .examine import examine
from .files.source import Source, SourceGone, Version
from .finishing import close_gone, finish, report_failure, send_later
from .ingest import Ingest
from .receipts.receipt import Receipt
from .setback import STOPPED, NotYet, outage, setback_of
from .storing.job import Job
from .storing.store import refuse, store
from .verdict import Decision
from .waiting.put_off import defer, put_off

# What the trigger would end from outside, we end ourselves, a little earlier.
_LONGEST_ATTEMPT_SECONDS = LONGEST_RUN_SECONDS - 180
# A younger blob's first event finds no receipt, and does not look for one. One that comes twice within this time is
# known to the process (`handled`), or to the service, which says that it has the instance already, unless that was
# deleted in between: to rule this out would take one request more for each file.
_YOUNG_SECONDS = 300
# Why a store has no verdict yet, where the service did not do as it should; else it has answered, and we wait for more.
_NO_GOOD_ANSWER = ("not_confirmed", "service_failed")


async def handle(ingest: Ingest, arrival: Arrival) -> None:
    """Bring one blob to its verdict and deal with the file, or put it off; harmless when repeated.

    A version that has its receipt is not stored again, so an instance deleted on purpose does not come back. Only a
    young blob's second event, in another process, may bring it back.

    Raises:
        AzureError, Failed: not even putting it off was possible; the host tries again, and the sweep finds the blob.
    """
    with span("ingest file", parent=arrival.traceparent, door=arrival.door):
        if named := with_possible_names(arrival):
            await _handle(ingest, named)


async def _handle(ingest: Ingest, arrival: Arrival) -> None:
    if await ingest.stop.is_on():
        return await put_off(ingest, arrival, STOPPED)
    if ingest.circuit.is_blocked:
        return await put_off(ingest, arrival, outage(is_certain=ingest.circuit.is_certain))
    try:
        async with ingest.handled.alone(arrival.names[0]), ingest.gate.entered():
            await _attempt(ingest, arrival)
    except NotYet as no_room:
        await put_off(ingest, arrival, setback_of(no_room))
    return None


async def _attempt(ingest: Ingest, arrival: Arrival) -> None:
    try:
        begun = await _begin(ingest, arrival)
    except SourceGone:
        return await close_gone(ingest, arrival)
    except Exception as error:  # of a version that is not known yet, no receipt can be written
        report_failure(error)
        if _is_refusal(error):
            return await put_off(ingest, arrival, setback_of(error))
        return await send_later(ingest, arrival)
    return None if begun is None else await _bring_to_an_end(*begun)


def _is_refusal(error: Exception) -> bool:
    """Say whether storage withholds the content, as of a blob in the archive tier; it may still tell the version."""
    return isinstance(error, HttpResponseError) and error.status_code in (403, 409)


async def _bring_to_an_end(run: Run, source: Source) -> None:
    try:
        async with asyncio.timeout(_LONGEST_ATTEMPT_SECONDS):
            found = await _examine(run, source)
            if isinstance(found, Header):
                run = _naming(run, found)
                async with run.ingest.gate.large(source.version.size):
                    found = await _store(run, source, found)
        await finish(run, found)
    except SourceGone:
        await close_gone(run.ingest, run.arrival)
    except Exception as error:  # what was stored already, the next run finds
        report_failure(error)
        await defer(run, setback_of(error))


async def _begin(ingest: Ingest, arrival: Arrival) -> tuple[Run, Source] | None:
    """Open the blob and see what is known of it; None if this version is dealt with already.

    Raises:
        SourceGone: there is no such blob.
        AzureError, Failed: storage failed, or what it holds cannot be read.
    """
    started = time.monotonic()
    with span("read file"):
        source = await open_arrived(ingest, arrival)
    version = source.version
    if (version.name, version.etag) in ingest.handled and not _finds_something_left(arrival.door):
        return None
    run = await begin(ingest, arrival, version, started, is_new=_is_new(arrival, version))
    if not run.receipt.is_final:
        run = replace(run, receipt=replace(run.receipt, attempts=run.receipt.attempts + 1))
    return run, source


def _finds_something_left(door: Door) -> bool:
    """Say whether whoever sent the blob has seen that there is something left to do."""
    return door is Door.SWEEP or door.is_asked_for


def _is_new(arrival: Arrival, version: Version) -> bool:
    age = (clock.now() - version.last_modified).total_seconds()
    return arrival.door in (Door.BLOB, Door.EVENT) and age <= _YOUNG_SECONDS


async def _examine(run: Run, source: Source) -> Receipt | Header:
    """Return the receipt with the verdict, the one that stands or a new one; the header of a file that is to be stored.

    Raises:
        NotYet: no verdict can be given now.
        SourceGone: the version is there no longer.
        AzureError: storage failed.
    """
    if run.receipt.is_final:
        return run.receipt
    settings = run.ingest.clients.settings
    policy = policy_of(run.ingest.clients, run.arrival, source.version)
    with span("examine file"):
        found = await examine(source, policy, settings.max_instance_bytes)
    if isinstance(found, Decision):
        return run.receipt.decided(found, clock.now(), sha256=source.sha256_of_prefix())
    return found


def _naming(run: Run, header: Header) -> Run:
    """Return a run whose receipt has the header's UIDs: of a store without an answer, they tell what to look for."""
    receipt = replace(
        run.receipt,
        study_instance_uid=header.study_instance_uid,
        series_instance_uid=header.series_instance_uid,
        sop_instance_uid=header.sop_instance_uid,
    )
    return replace(run, receipt=receipt)


async def _store(run: Run, source: Source, header: Header) -> Receipt:
    """Store, and let the circuit and the gate know how the service took it."""
    ingest = run.ingest
    if await ingest.stop.is_on():  # it may have waited for a place since it was asked first
        raise NotYet("stopped", is_outage=True)
    job = Job(run, source, header)
    if refused := await refuse(job):  # the service is not asked: this tells nothing of it
        return refused
    if not ingest.circuit.admits(has_failed=run.receipt.has_failed_by_itself):
        raise NotYet("outage", is_outage=True, is_untried=not ingest.circuit.is_certain)
    try:
        await _check_spelling(job)
        with span("store file", bytes=source.version.size):
            receipt = await store(job)
    except (DICOMwebError, NotYet) as error:
        _note_failure(run, source.version.name, error)
        raise
    except BaseException:
        ingest.circuit.abandoned()
        raise
    _note_success(ingest)
    return receipt


async def _check_spelling(job: Job) -> None:
    """See that the service lists the file's partition under no other spelling.

    It might take both for one partition, or make a second one. What retention has deleted stands under the service's
    own spelling.

    Raises:
        NotYet: it lists another spelling.
        DICOMwebError: the service does not list its partitions.
    """
    if job.partition is not None and await job.run.ingest.partitions.misspells(job.partition):
        raise NotYet("partition_misspelt", is_outage=True)


def _note_failure(run: Run, name: str, error: DICOMwebError | NotYet) -> None:
    ingest, setback = run.ingest, setback_of(error)
    if isinstance(error, NotYet) and setback.reason not in _NO_GOOD_ANSWER:
        return _note_success(ingest)
    if isinstance(error, Busy):
        ingest.gate.overloaded()
    begins = ingest.circuit.failed(
        name,
        is_outage=setback.is_outage,
        may_be_the_file=isinstance(error, StatusError) and error.status_code >= 500,
        has_failed=run.receipt.has_failed_by_itself,
        retry_after_seconds=setback.asked_seconds,
    )
    if begins:
        event("outage_begins", reason=setback.reason)
    return None


def _note_success(ingest: Ingest) -> None:
    ingest.gate.passed()
    if ingest.circuit.passed():
        event("outage_ends")
