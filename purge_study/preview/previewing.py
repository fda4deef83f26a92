"""A night without its deeds: the same ledger, the same rulebook, the same plan."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime

from purge_study.ledger.folding import fold
from purge_study.ledger.hashing import Hasher
from purge_study.ledger.ledger import Ledger
from purge_study.ledger.refreshing import judge_all_anew, refresh
from purge_study.lists.matching import find_matches
from purge_study.lists.memory import ListMemory, matching
from purge_study.planning.decision import Circumstances, Decision
from purge_study.planning.documents import write_documents
from purge_study.planning.making import make_plan
from purge_study.planning.memory import Memory
from purge_study.planning.plan import Plan
from purge_study.policy.policy import local_day
from purge_study.rulebook import Rulebook, read_rulebook
from purge_study.run import Run, partitions_of
from shared import clock
from shared.clients import Clients
from shared.settings import PurgeMode

_SAY_EVERY_SECONDS = 0.5
Say = Callable[[str], None]


@dataclass(frozen=True)
class Preview:
    """What a first night would come to.

    Args:
        rulebook: the policy with its lists.
        decision: the plan, and what is to be said to it.
        plan_id: under which its documents stand in storage.
    """

    rulebook: Rulebook
    decision: Decision
    plan_id: str


async def preview(clients: Clients, say: Say) -> Preview:
    """Bring the ledger up to date and make the plan of today. There is no lease, and nothing to delete with.

    Args:
        clients: over a DICOM client that only reads, and storage that is the preview's own.
        say: receives a line of progress now and then.

    Raises:
        RulebookFault: the policy or a list cannot be used.
        ConfigurationError: settings are missing.
        DICOMwebError, AzureError: the service or the storage failed; the next preview goes on from here.
    """
    run = await _run(clients)
    rulebook = await read_rulebook(clients, run.hasher)  # its mistakes are told before hours of reading
    async with _saying(run.ledger, say):
        await fold(run)
        # Dates of lists may have changed as well, and there is no memory of them here.
        await run.ledger.note(replace(await run.ledger.progress(), judged_by=None, judging=None, judged_to=None))
        await refresh(run, rulebook)
        await judge_all_anew(run, rulebook)
    plan = await _plan(run, rulebook, made_at := clock.now())
    decision = Decision(plan, Circumstances(PurgeMode.REPORT, rulebook.policy.brakes, Memory()))
    return Preview(rulebook, decision, await write_documents(clients, run.ledger, decision, made_at))


async def _plan(run: Run, rulebook: Rulebook, now: datetime) -> Plan:
    holds = matching(ListMemory(), rulebook, await find_matches(run, rulebook))
    return await make_plan(run, rulebook, local_day(rulebook.policy, now), holds.unmatched)


async def _run(clients: Clients) -> Run:
    ledger = await Ledger.open(clients)
    hasher = Hasher(clients.settings.ledger_key or "")
    return Run(clients, ledger, hasher, await partitions_of(clients.dicom), ends_at=math.inf, lease=None)


@asynccontextmanager
async def _saying(ledger: Ledger, say: Say) -> AsyncIterator[None]:
    """Say how far the ledger is, again and again meanwhile."""
    saying = asyncio.create_task(_say_on(ledger, say))
    try:
        yield
    finally:
        saying.cancel()
        with suppress(asyncio.CancelledError):
            await saying
        say("")


async def _say_on(ledger: Ledger, say: Say) -> None:
    while True:
        progress, counts = await ledger.progress(), await ledger.counts()
        seen = f"{progress.mark:%Y-%m-%d %H:%M} UTC" if progress.mark else "its beginning"
        say(f"Change feed read up to {seen}; {counts.studies:,} studies read")
        await asyncio.sleep(_SAY_EVERY_SECONDS)
