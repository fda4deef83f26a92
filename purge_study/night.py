"""A night's run: the ledger brought up to date, a plan, and what of it may be carried out."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter

from azure.storage.blob.aio import BlobLeaseClient

from shared import clock
from shared.clients import Clients
from shared.events import event
from shared.leases import LeaseTaken, held
from shared.partitions import partition_names
from shared.settings import LONGEST_RUN_SECONDS, RETENTION_STATE
from shared.telemetry.recording import span

from .executing.execute import Outcome, delete_study
from .executing.reasons import Halt
from .executing.resolving import resolve_open_intents
from .executing.warrant import Warrant
from .ledger.folding import fold
from .ledger.hashing import Hasher
from .ledger.ledger import Ledger
from .lists.remembering import remember_lists
from .planning.decision import Decision
from .planning.documents import write_documents
from .planning.night_memory import remember_nights
from .planning.plan import Item
from .planning.wording import REPORTS
from .preparing import prepare
from .rulebook.reading import read_rulebook
from .rulebook.rulebook import Rulebook, RulebookFault
from .run import OutOfTime, Run

_LEASE = "lease.json"


async def run_night(clients: Clients) -> None:
    """Make the plan and carry out what the mode, the brakes and the approvals allow.

    Raises:
        ConfigurationError: settings are missing.
        DICOMwebError, AzureError: the service or the storage failed; what was deleted is recorded, or will be.
        TimeoutError: something took far longer than the budget.
    """
    with span("retention night"):
        await _run_alone(clients)


async def _run_alone(clients: Clients) -> None:
    blob = clients.container(RETENTION_STATE).get_blob_client(_LEASE)
    try:
        # One study may take a while after the budget is used up.
        async with asyncio.timeout(clients.settings.purge_budget_seconds + LONGEST_RUN_SECONDS), held(blob) as lease:
            await _night(await begin(clients, lease))
    except LeaseTaken:
        event("retention_busy")


async def begin(clients: Clients, lease: BlobLeaseClient | None = None) -> Run:
    """Return what a run works with; without a lease it can delete nothing.

    Raises:
        ConfigurationError: settings are missing.
        DICOMwebError, AzureError: the service or the storage failed.
    """
    ledger = await Ledger.open(clients)
    hasher = Hasher(str(clients.settings.ledger_key))
    ends_at = asyncio.get_running_loop().time() + clients.settings.purge_budget_seconds
    return Run(clients, ledger, hasher, await partition_names(clients.dicom), ends_at, lease)


async def _night(run: Run) -> None:
    started = time.monotonic()
    try:
        with span("resolve intents"):
            await resolve_open_intents(run)
        with span("prepare plan"):
            rulebook = await _rulebook(run)
            decision, lists = await prepare(run, rulebook)
    except (Halt, RulebookFault, OutOfTime) as hindrance:
        return _end_without_plan(run, hindrance, started)
    with span("write plan"):
        plan_id = await write_documents(run.clients, run.ledger, decision, clock.now())
    await remember_lists(run.clients, run.hasher, lists)
    if decision.ended == "accepted":
        await run.ledger.note_plan()
    for code in decision.stops:
        if code not in REPORTS:
            _refuse(code)
    deleted = await _carry_out(run, rulebook, decision, plan_id)
    return _end(run, decision, plan_id, deleted, started)


async def _rulebook(run: Run) -> Rulebook:
    try:
        return await read_rulebook(run.clients, run.hasher)
    except RulebookFault:
        await fold(run)  # or the ledger is far behind on the day when all is well again
        raise


async def _carry_out(run: Run, rulebook: Rulebook, decision: Decision, plan_id: str) -> int:
    """Delete what may be deleted tonight, one study after another; return how many were.

    The night is written down before the first deletion and after the last one: one that is killed between counts as
    if it had deleted all.
    """
    await remember_nights(run.clients, decision.noted(plan_id, None if decision.items else 0))
    outcomes: Counter[Outcome] = Counter()
    try:
        for item in decision.items:
            outcomes[await delete_study(run, item, _warrant(rulebook, decision, plan_id, item))] += 1
    except Halt:
        pass  # its event has been written
    except OutOfTime:
        event("retention_halted", reason="out_of_time")
    deleted = outcomes[Outcome.DELETED]
    await remember_nights(run.clients, decision.noted(plan_id, deleted))
    return deleted


def _warrant(rulebook: Rulebook, decision: Decision, plan_id: str, item: Item) -> Warrant:
    """Return by what a study is deleted: a plan that somebody approved, or tonight's."""
    approval = decision.approvals.get(item.key)
    if approval is None:
        return Warrant(rulebook, plan_id, decision.plan.hash)
    return Warrant(rulebook, approval.plan_id, approval.plan_hash, approval.approver)


def _refuse(code: str) -> None:
    event("retention_refused", level=logging.ERROR, reason=code)


def _end_without_plan(run: Run, hindrance: Halt | RulebookFault | OutOfTime, started: float) -> None:
    code = "ledger_unfinished" if isinstance(hindrance, OutOfTime) else hindrance.code
    if not isinstance(hindrance, Halt):  # whose event has been written
        _refuse(code)
    _say_end(run, reason=code, deleted=0, started=started)


def _end(run: Run, decision: Decision, plan_id: str, deleted: int, started: float) -> None:
    plan, stops = decision.plan, decision.stops
    figures: dict[str, object] = {
        "plan": plan_id,
        "examined": plan.studies,
        "due": plan.count,
        "held": plan.groups["held"],
        "in_doubt": plan.groups["in_doubt"],
        "kept": plan.groups["kept"],
        "awaiting_approval": decision.waits.get("awaiting_approval"),
    }
    _say_end(run, reason=stops[0] if stops else None, deleted=deleted, started=started, **figures)


def _say_end(run: Run, *, reason: str | None, deleted: int, started: float, **figures: object) -> None:
    told = {"reason": reason, "deleted": deleted, "seconds": round(time.monotonic() - started, 3), **figures}
    event("retention_night", level=logging.INFO, mode=run.clients.settings.purge_mode.value, **told)
