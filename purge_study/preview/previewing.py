"""A night without its deeds: the same ledger, the same rulebook, the same plan."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date

from purge_study.ledger.hashing import Hasher
from purge_study.ledger.ledger import Ledger
from purge_study.planning.decision import Decision
from purge_study.planning.documents import write_documents
from purge_study.policy.policy import matching_rules
from purge_study.preparing import prepare
from purge_study.rulebook.judging import facts_of
from purge_study.rulebook.reading import read_rulebook
from purge_study.rulebook.rulebook import Rulebook
from purge_study.run import Run
from shared import clock
from shared.clients import Clients
from shared.partitions import partition_names
from shared.progress import Say

_SAY_EVERY_SECONDS = 0.5


@dataclass(frozen=True)
class Preview:
    """What a first night would come to.

    Args:
        rulebook: the policy with its lists.
        decision: the plan, and what is to be said to it.
        plan_id: under which its documents stand in storage.
        unmatched_rules: the rules that match no study, in the policy's order.
    """

    rulebook: Rulebook
    decision: Decision
    plan_id: str
    unmatched_rules: tuple[str, ...]


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
    ledger = await Ledger.open(clients)
    hasher = Hasher(clients.settings.ledger_key or "")
    rulebook = await read_rulebook(clients, hasher)  # its mistakes are told before hours of reading
    run = Run(clients, ledger, hasher, await partition_names(clients.dicom), ends_at=math.inf, lease=None)
    async with _saying(ledger, say):
        await _forget_judgements(ledger)
        decision, _ = await prepare(run, rulebook)
        unmatched = await _unmatched_rules(ledger, rulebook, decision.plan.day)
    return Preview(rulebook, decision, await write_documents(clients, ledger, decision, clock.now()), unmatched)


async def _unmatched_rules(ledger: Ledger, rulebook: Rulebook, today: date) -> tuple[str, ...]:
    """Return the rules that match no study; the ledger is read only until each rule has matched one."""
    missing = {rule.name: None for rule in rulebook.policy.rule}
    async with aclosing(ledger.groups()) as groups:
        async for _, group in groups:
            for row in group:
                if not missing:
                    return ()
                for name in matching_rules(rulebook.policy, facts_of(rulebook, row, group), today):
                    missing.pop(name, None)
    return tuple(missing)


async def _forget_judgements(ledger: Ledger) -> None:
    """Have all studies judged anew: lists may be others than those of the last preview, which nobody remembers."""
    progress = await ledger.progress()
    await ledger.note(replace(progress, judged_by=None, judging=None, judged_to=None))


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
