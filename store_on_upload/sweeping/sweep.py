"""The sweep: inbox and receipts, joined by name, so that no blob is forgotten.

Events get lost, processes die. What is older than a run can last and has no verdict, nor a date for the next attempt,
is sent to the handler; so is a file that should have left the inbox. A run has a budget; the next one goes on.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import timedelta

from azure.core.exceptions import AzureError, HttpResponseError

from shared import clock
from shared.events import Failed, event
from shared.settings import RECEIPTS
from store_on_upload.files.listing import Listing, Row, TokenRefused
from store_on_upload.files.naming import is_name
from store_on_upload.finishing import report_failure
from store_on_upload.ingest import Ingest
from store_on_upload.receipts.container import look_up
from store_on_upload.receipts.known import Known
from store_on_upload.receipts.receipt import parse_timestamp

from .joining import ReceiptsListed
from .overdue import Step, Times, is_old_enough, step_for
from .progress import Progress, load_progress, save_progress
from .requeue import send_on

_BUDGET_SECONDS = 240.0
_AT_ONCE = 32
# A million new blobs shall not become a million messages: these may wait in the queue, the rest is left in the inbox.
MOST_WAITING = 10_000
# A queue that stays full of what is put off does not keep the sweep from finding others.
LEAST_QUEUED = 200


async def sweep(ingest: Ingest) -> None:
    """Queue every blob that has been missed, as far as time and the queue's length allow.

    Raises:
        AzureError: storage failed; the next run goes on.
    """
    started = time.monotonic()
    if await ingest.stop.is_on():
        return event("sweep", reason="stopped", seen=0, queued=0, seconds=0, complete=False)
    progress = await load_progress(ingest.clients, clock.now())
    room = max(MOST_WAITING - await ingest.queues.waiting(), LEAST_QUEUED)
    run = _Run(ingest, progress, room, started + _BUDGET_SECONDS)
    try:
        await run.go()
    except TokenRefused:
        run.progress = run.progress.anew()
        await run.go()
    return _report(run, time.monotonic() - started)


def _report(run: _Run, seconds: float) -> None:
    oldest = run.progress.oldest_pending
    pending = (clock.now() - parse_timestamp(oldest)).total_seconds() if oldest else 0
    event(
        "sweep",
        reason=run.halted_by,
        seen=run.seen,
        queued=run.queued,
        oldest_pending_seconds=round(pending),
        seconds=round(seconds, 3),
        complete=run.progress.is_complete,
    )


class _Run:
    """One run, which is a pass over the inbox or a part of one."""

    def __init__(self, ingest: Ingest, progress: Progress, room: int, deadline: float) -> None:
        self.progress = progress
        self.seen = 0
        self.queued = 0
        self.halted_by: str | None = None
        self._ingest = ingest
        self._room = room
        self._deadline = deadline
        previous = progress.previous_began_at
        self._times = Times(
            clock.now(),
            timedelta(seconds=ingest.clients.settings.sweep_min_age_seconds),
            parse_timestamp(progress.began_at),
            parse_timestamp(previous) if previous else None,
        )

    async def go(self) -> None:
        """Go on until the pass is complete, or the run has to end; write down where after each page."""
        clients = self._ingest.clients
        inbox = Listing(clients.inbox, self.progress.inbox_token)
        receipts = ReceiptsListed(Listing(clients.container(RECEIPTS), self.progress.receipts_token))
        while not (self.halted_by or self.progress.is_complete):
            page = _rest(await inbox.next_page(), self.progress.after)
            await self._deal_with(page, receipts)
            if not self.halted_by:
                self._turn_page(inbox, receipts)
            await save_progress(clients, self.progress)
            self.halted_by = self.halted_by or (None if self.progress.is_complete else await self._reason_to_halt())

    def _turn_page(self, inbox: Listing, receipts: ReceiptsListed) -> None:
        self.progress = replace(
            self.progress,
            inbox_token=inbox.token,
            receipts_token=None if inbox.is_at_end else receipts.token,
            after=None,
            is_complete=inbox.is_at_end,
        )

    async def _deal_with(self, page: list[Row], receipts: ReceiptsListed) -> None:
        # A name that leads to another blob is ignored by all triggers, and can have no receipt.
        old = [row for row in page if is_name(row.name) and is_old_enough(row, self._times)]
        known = await self._known_of([row.name for row in old], receipts)
        self.seen += len(page)
        for row in old:
            self._note_if_pending(row, known.get(row.name))
        steps = [(row, step_for(row, known.get(row.name), self._times)) for row in old]
        work = [(row, step) for row, step in steps if step is not Step.LEAVE]
        while work and not self.halted_by:
            size = min(_AT_ONCE, self._room)
            batch, work = work[:size], work[size:]
            await asyncio.gather(*[self._send_on(row, known.get(row.name), step) for row, step in batch])
            self.progress = replace(self.progress, after=batch[-1][0].name)
            self.halted_by = await self._reason_to_halt() if work else None

    async def _known_of(self, names: list[str], receipts: ReceiptsListed) -> dict[str, Known | None]:
        found = await receipts.find(names)
        known = found.known
        for start in range(0, len(found.not_reached), _AT_ONCE):
            batch = found.not_reached[start : start + _AT_ONCE]
            known |= zip(batch, await asyncio.gather(*[self._look_up(name) for name in batch]), strict=True)
        return known

    async def _look_up(self, name: str) -> Known | None:
        return await look_up(self._ingest.clients, name)

    def _note_if_pending(self, row: Row, known: Known | None) -> None:
        is_decided = known is not None and known.etag == row.etag and known.is_final
        if not (is_decided or row.is_folder):
            self.progress = self.progress.with_pending(row.last_modified)

    async def _send_on(self, row: Row, known: Known | None, step: Step) -> None:
        try:
            if await send_on(self._ingest, row, known, step, self._times):
                self.queued += 1
                self._room -= 1
        except (AzureError, Failed) as error:
            if not _concerns_one_blob(error):
                raise
            report_failure(error)

    async def _reason_to_halt(self) -> str | None:
        if self._room <= 0:
            return "queue_full"
        if time.monotonic() > self._deadline:
            return "time"
        return "stopped" if await self._ingest.stop.is_on() else None


def _rest(page: list[Row], after: str | None) -> list[Row]:
    """Return what follows the row of that name; all of them where it is gone."""
    names = [row.name for row in page]
    return page[names.index(after) + 1 :] if after in names else page


def _concerns_one_blob(error: Exception) -> bool:
    """Say whether others may fare better.

    A receipt cannot be read, or is in the archive tier (409), or storage does not take a name (400).
    """
    return isinstance(error, Failed) or (isinstance(error, HttpResponseError) and error.status_code in (400, 409))
