"""From the rulebook to what goes tonight: nothing is deleted here, and a preview does no more than this."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta

from shared import clock
from shared.telemetry.recording import span

from .ledger.folding import fold
from .ledger.refreshing import judge_all_anew, judge_patients, mark_outdated, refresh, refresh_latest
from .lists.list_memory import ListChanges, ListMemory, Matching, compare, matching, to_remember
from .lists.matching import find_matches, find_patients_of_dates
from .lists.remembering import recall_lists
from .planning.approvals import find_approved
from .planning.decision import Circumstances, Decision
from .planning.making import make_plan
from .planning.night_memory import recall_nights
from .rulebook.reading import is_stopped
from .rulebook.rulebook import Rulebook
from .run import CLOCKS_APART, Run, today_of

_MARK_IS_OLD = timedelta(days=1)


async def prepare(run: Run, rulebook: Rulebook) -> tuple[Decision, ListMemory]:
    """Bring the ledger up to date, make the plan, and decide what of it goes tonight.

    Returns:
        The decision, and what is to be remembered of lists once the plan is written.

    Raises:
        RulebookFault: a list is not all there.
        OutOfTime: there is no plan tonight; the next run goes on.
        DICOMwebError, AzureError: the service or the storage failed.
    """
    remembered = await recall_lists(run.clients, run.hasher)
    changes = await asyncio.to_thread(compare, remembered, rulebook)
    with span("update ledger"):
        await _bring_up_to_date(run, rulebook, changes.groups)
    matches = await find_matches(run, rulebook)
    patients = await find_patients_of_dates(run, rulebook, remembered.alike)
    found = await asyncio.to_thread(matching, remembered, rulebook, matches, patients.alike)
    plan = await make_plan(run, rulebook, today_of(rulebook.policy), found.unmatched, patients.unmatched)
    met = await _circumstances(run, rulebook, changes, found)
    return Decision(plan, met), await asyncio.to_thread(to_remember, remembered, rulebook, matches, patients.alike)


async def _bring_up_to_date(run: Run, rulebook: Rulebook, groups: Iterable[str]) -> None:
    await fold(run)
    await mark_outdated(run)
    await refresh(run, rulebook)
    await judge_all_anew(run, rulebook)
    await judge_patients(run, rulebook, groups)
    await refresh_latest(run, rulebook)


async def _circumstances(run: Run, rulebook: Rulebook, changes: ListChanges, found: Matching) -> Circumstances:
    memory = await recall_nights(run.clients)
    # Of studies that were purged, a new ledger has no dates, and they count for their patients' others.
    is_new = memory.accepted is not None and not (await run.ledger.progress()).has_plan
    return Circumstances(
        mode=run.clients.settings.purge_mode,
        brakes=rulebook.policy.brakes,
        memory=memory,
        obstacles=(*await _obstacles(run, rulebook), *changes.obstacles, *found.obstacles),
        reports=(*dict.fromkeys((*changes.reports, *found.reports)), *(["ledger_new"] if is_new else [])),
        approved=await find_approved(run.clients, clock.now()),
    )


async def _obstacles(run: Run, rulebook: Rulebook) -> list[str]:
    """Return the codes of what keeps anything from being deleted, the lists apart."""
    _, now = await run.clients.dicom.change_feed.latest_and_time()
    progress = await run.ledger.progress()
    is_behind = now is None or progress.mark is None or now - progress.mark > _MARK_IS_OLD
    found = {
        "stopped": await is_stopped(run.clients),
        "clock_off": now is None or abs(clock.now() - now) > CLOCKS_APART,
        "feed_behind": is_behind,
        # A study that is marked still cannot be read. It keeps its patient's others alone: each study is looked at
        # again, with those, before it is deleted.
        "ledger_unfinished": not progress.is_folded or progress.judged_by != rulebook.policy_hash,
    }
    return [code for code, is_so in found.items() if is_so]
