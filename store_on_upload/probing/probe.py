"""The probe: a file of our own is dropped, and its receipt waited for. Nothing in between knows of that."""

from __future__ import annotations

import asyncio
import logging
import time

from shared.clients import Clients
from shared.events import event
from store_on_upload.ingest import Ingest

from .dropped import Dropped, Finding, drop, find_dropped, look_at, remove

EXPECTED_SECONDS = 300.0
_LOOK_AGAIN_SECONDS = 2.0


async def probe(ingest: Ingest) -> None:
    """Drop a probe, wait for its receipt, say what came of it, and remove it; harmless when repeated.

    While an earlier one is under way still, that is all that is said, and no second one is dropped.

    Raises:
        Failed, AzureError: storage failed, or holds what cannot be read; the next run removes what is left.
    """
    clients = ingest.clients
    if await ingest.stop.is_on():
        return event("probe", reason="stopped", seconds=0, complete=False)
    if earlier := await find_dropped(clients):
        finding = await look_at(clients, earlier)
        if not finding.is_over:
            return _report(earlier, finding)
    await remove(clients, earlier)
    dropped = await drop(clients)
    if dropped is None:
        return event("probe", level=logging.WARNING, reason="name_taken", seconds=0, complete=False)
    finding = await _wait_for(clients, dropped)
    _report(dropped, finding)
    if finding.is_over:
        await remove(clients, dropped)
    return None


async def _wait_for(clients: Clients, dropped: Dropped) -> Finding:
    deadline = time.monotonic() + EXPECTED_SECONDS
    while True:
        finding = await look_at(clients, dropped)
        if finding.is_over or time.monotonic() >= deadline:
            return finding
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)


def _report(dropped: Dropped, finding: Finding) -> None:
    is_through = finding.reason is None
    event(
        "probe",
        level=logging.INFO if is_through else logging.WARNING,
        reason=finding.reason,
        seconds=round(dropped.age_seconds, 3),
        complete=is_through,
    )
