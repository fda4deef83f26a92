"""Tonight's plan, made from the ledger: what is due, judged once more by the rulebook as it stands tonight."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import date
from typing import Final

from purge_study.ledger.chunks import in_chunks
from purge_study.ledger.ledger import Ledger
from purge_study.ledger.row import Row
from purge_study.policy.policy import State
from purge_study.rulebook.judging import judge_row
from purge_study.rulebook.rulebook import Rulebook
from purge_study.run import Run

from .plan import EARLIER, MONTHS_SHOWN, Item, Plan, in_order

# So many patients are looked up at once: a table answers in milliseconds, and a first plan may have 100,000 studies.
_AT_ONCE: Final = 16


async def make_plan(
    run: Run, rulebook: Rulebook, today: date, unmatched_holds: Sequence[str], unmatched_dates: Sequence[str] = ()
) -> Plan:
    """Make the plan of a day.

    A study whose judgement is another one now is written back to the ledger, and left out if it is not due any more.

    Args:
        run: of this night.
        rulebook: the policy with its lists.
        today: the day in the policy's time zone.
        unmatched_holds: lines of hold lists that hold nothing, as `<list>, line <n>`.
        unmatched_dates: lines of date lists whose patient has no study, as `find_unmatched_dates` tells them.

    Raises:
        OutOfTime: there is no plan tonight.
        AzureError: the ledger cannot be read or written.
    """
    await _judge_what_waited(run, rulebook, today)
    # One whose last day is another one now may come again under that.
    items = {item.key: item async for item in _due_items(run, rulebook, today)}
    counts = await run.ledger.counts()
    in_doubt, listed = await _count_listed(run.ledger)
    return Plan(
        day=today,
        policy_hash=rulebook.policy_hash,
        hashes=rulebook.hashes,
        before_delete=run.clients.settings.before_delete,
        studies=counts.studies,
        items=in_order(items.values()),
        unmatched_holds=tuple(sorted(unmatched_holds)),
        unmatched_dates=tuple(unmatched_dates),
        listed=listed,
        months=_shown(counts.months, today),
        in_doubt=in_doubt,
    )


async def _judge_what_waited(run: Run, rulebook: Rulebook, today: date) -> None:
    async for rows in in_chunks(run.ledger.waiting(today), _AT_ONCE):
        await _judge_again(run, rulebook, rows, today)


async def _due_items(run: Run, rulebook: Rulebook, today: date) -> AsyncIterator[Item]:
    async for rows in in_chunks(run.ledger.due(today), _AT_ONCE):
        for row in await _judge_again(run, rulebook, rows, today):
            if (item := item_of(rulebook, row)) is not None:
                yield item


async def _judge_again(run: Run, rulebook: Rulebook, rows: Sequence[Row], today: date) -> list[Row]:
    """Return rows with their judgement of today, and write down those whose judgement is another one now."""
    run.check_time()
    judged = await asyncio.gather(*(_judged(run.ledger, rulebook, row, today) for row in rows))
    changed = [now for now, before in zip(judged, rows, strict=True) if now.judgement != before.judgement]
    if changed:
        await run.ledger.write(changed)
    return judged


async def _judged(ledger: Ledger, rulebook: Rulebook, row: Row, today: date) -> Row:
    patient = row.reading.patient if row.reading else None
    return judge_row(rulebook, row, await ledger.of_patient(patient.group) if patient else [row], today)


def item_of(rulebook: Rulebook, row: Row) -> Item | None:
    """Return a study as a plan has it; None unless it is due, by its judgement."""
    judgement, reading = row.judgement, row.reading
    if judgement is None or judgement.state is not State.DUE or row.purged_at is not None:
        return None
    # What is due has all of these: a study without them is one that nobody knows enough of.
    if reading is None or row.received is None or judgement.rule is None or judgement.keep_until is None:
        return None
    return Item(
        key=row.key,
        rule=judgement.rule,
        dates=judgement.dates,
        keep_until=judgement.keep_until,
        instances=reading.instances,
        received=row.received,
        etag=reading.etag,
        modalities=modalities_of(row),
        held_by=tuple(sorted(rulebook.holds_on(row))),
        failures=row.failures,
    )


def modalities_of(row: Row) -> tuple[str, ...]:
    """Return the modalities of a study's instances."""
    values = row.reading.attributes.get("Modality") if row.reading else None
    return tuple(sorted(values.found)) if values else ()


async def _count_listed(ledger: Ledger) -> tuple[int, dict[str, int]]:
    """Count the studies that are kept because something is unknown: in all, and by code."""
    studies = 0
    counted: Counter[str] = Counter()
    async for row in ledger.listed():
        studies += 1
        counted.update(codes_of(row))
    return studies, dict(counted)


def codes_of(row: Row) -> Iterable[str]:
    """Return the codes of the doubts about a study, each once."""
    return {doubt.code for doubt in row.judgement.doubts} if row.judgement else ()


def _shown(months: Mapping[str, Mapping[str, int]], today: date) -> dict[str, dict[str, int]]:
    """Return the counts of twelve months from a day's on, and what is before them as one."""
    first = today.year * 12 + today.month - 1
    shown: dict[str, Counter[str]] = {}
    for month, counts in months.items():
        ahead = int(month[:4]) * 12 + int(month[5:7]) - 1 - first
        if ahead < MONTHS_SHOWN:
            shown.setdefault(EARLIER if ahead < 0 else month, Counter()).update(counts)
    return {month: dict(counts) for month, counts in shown.items()}
