"""The ledger: a table with a row for each study and the indexes by which a night finds what it needs.

All that concerns one study is written in one transaction (an entity group transaction of Table storage), counts
included, so that a killed run leaves no index that disagrees.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime
from itertools import islice

from azure.core.exceptions import HttpResponseError

from shared.clients import Clients
from shared.settings import ConfigurationError

from . import keys
from .entities import PARTITION_KEY, Entity, later, row_of, time_in
from .hashing import Hasher
from .row import Row, StudyKey
from .table import Table
from .transactions import MOST_OPERATIONS, Change, marking, packed, replacing, unmarking

_NAME = "RetentionLedger"
_WRITTEN_MEANWHILE = (409, 412)  # another write came first


@dataclass(frozen=True)
class Progress:
    """How far the ledger has come.

    Args:
        mark: up to when the change feed is folded in; None before the first fold.
        is_folded: whether the first fold has been through to the end.
        judged_by: hash of the policy by which all rows are judged; None before the first time.
        judging: hash of the policy by which rows are being judged anew, where that is not finished.
        judged_to: the row up to which they are, as the ledger orders them.
        has_plan: whether a plan that counts was made from it: not yet, where it was made anew.
        read_as: by which version of reading (`READ_AS`) all studies were read, or are marked to be read.
        marking: the version for which studies are being marked, if that is not finished.
        marked_to: the row up to which they are, as the ledger orders them.
    """

    mark: datetime | None = None
    is_folded: bool = False
    judged_by: str | None = None
    judging: str | None = None
    judged_to: str | None = None
    has_plan: bool = False
    read_as: int | None = None
    marking: int | None = None
    marked_to: str | None = None


@dataclass(frozen=True)
class Counts:
    """How many studies there are.

    Args:
        studies: that have been read, and not been deleted since.
        months: month of the last day, `2026-03` → modality → how many of them. One with several modalities counts
            once, under all of them: `CT\\SR`; one without any under a blank. Those without a last day count nowhere.
    """

    studies: int = 0
    months: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


class Ledger:
    """Reads and writes the ledger; every method raises AzureError where storage fails. One run alone writes."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._writing = asyncio.Lock()
        self._of_many: list[Row] | None = None  # few or none: read once, and again after a change

    @classmethod
    async def open(cls, clients: Clients) -> Ledger:
        """Open the table that belongs to LEDGER_KEY; with another key it is another one, empty at first.

        Raises:
            ConfigurationError: LEDGER_KEY, or the address of the table service, is not set.
        """
        key = clients.settings.ledger_key
        if key is None or clients.tables is None:
            raise ConfigurationError(["LEDGER_KEY and the address of the table service: retention needs them"])
        return cls(Table(await clients.tables.create_table_if_not_exists(_NAME + Hasher(key).key_id)))

    async def progress(self) -> Progress:
        """Return how far it has come."""
        (stored,) = await self._table.get(keys.PROGRESS)
        entity: Entity = stored or {}
        return Progress(
            mark=time_in(entity, "mark"),
            is_folded=entity.get("is_folded", False),
            judged_by=entity.get("judged_by"),
            judging=entity.get("judging"),
            judged_to=entity.get("judged_to"),
            has_plan=entity.get("has_plan", False),
            read_as=entity.get("read_as"),
            marking=entity.get("marking"),
            marked_to=entity.get("marked_to"),
        )

    async def note(self, progress: Progress) -> None:
        """Write down how far it has come."""
        columns = {**asdict(progress), "mark": progress.mark and progress.mark.isoformat()}
        entity = {name: value for name, value in columns.items() if value is not None}
        await self._table.put([{"PartitionKey": PARTITION_KEY, "RowKey": keys.PROGRESS, **entity}])

    async def note_plan(self) -> None:
        """Write down that a plan that counts was made from it."""
        progress = await self.progress()
        if not progress.has_plan:
            await self.note(replace(progress, has_plan=True))

    async def counts(self) -> Counts:
        """Return the counts."""
        studies, months = 0, dict[str, dict[str, int]]()
        async for stored in self._table.range(keys.COUNTS):
            if stored["RowKey"] == keys.COUNT_OF_STUDIES:
                studies = stored["count"]
            else:
                month, modality = keys.month_and_modality(stored["RowKey"])
                months.setdefault(month, {})[modality] = stored["count"]
        return Counts(studies, months)

    async def find(self, key: StudyKey) -> Row | None:
        """Return a study's row; of one that is only marked, what the feed told of it."""
        stored, mark = await self._table.get(keys.study_row(key), keys.mark_row(key))
        if stored is None and mark is None:
            return None
        return _marked(row_of(stored) if stored else Row(key), mark)

    async def find_study(self, study_instance_uid: str) -> list[Row]:
        """Return a UID's rows, one for each partition that has such a study."""
        rows = {row.key: row async for row in self._rows(f"{keys.STUDIES}{study_instance_uid}:")}
        async for mark in self._table.range(f"{keys.MARKS}{study_instance_uid}:"):
            key = keys.study_of_mark(mark["RowKey"])
            rows[key] = _marked(rows.get(key, Row(key)), mark)
        return [rows[key] for key in sorted(rows)]

    async def between(self, index: str, first: str, last: str) -> AsyncGenerator[Row]:
        """Yield the rows of an index from one identifier to another, both included, as the index orders them.

        Args:
            index: `keys.STUDIES`, `keys.PATIENTS`, `keys.ACCESSIONS`; `keys.MARKS`, whose rows have a key and no more.
            first: UID, patient group or accession number.
            last: the same; not before the first by `keys.order`.
        """
        async for stored in self._table.range(f"{index}{first}:", before=keys.after(f"{index}{last}:")):
            yield Row(keys.study_of_mark(stored["RowKey"])) if index == keys.MARKS else row_of(stored)

    async def of_patient(self, group: str) -> list[Row]:
        """Return all studies of a patient group, purged ones too, and those that count for every patient."""
        rows = {row.key: row async for row in self._rows(f"{keys.PATIENTS}{group}:")}
        return [*rows.values(), *(row for row in await self.of_many() if row.key not in rows and _is_of(row, group))]

    async def of_many(self) -> list[Row]:
        """Return the studies of more patients than the index has rows for, or of every patient, purged ones too."""
        if (found := self._of_many) is None:
            async with self._writing:
                found = self._of_many = [row async for row in self._rows(keys.OF_MANY)]
        return found

    def due(self, today: date) -> AsyncIterator[Row]:
        """Yield the studies whose last day has passed, the longest overdue first.

        Neither those that are kept for ever, nor those that are kept because something is unknown, nor purged ones.
        """
        return self._rows(keys.DUE, before=f"{keys.DUE}{today.isoformat()}")

    def waiting(self, today: date) -> AsyncIterator[Row]:
        """Yield the studies that were kept for a date in the future that has come: they are to be judged anew."""
        return self._rows(keys.WAITING, before=f"{keys.WAITING}{today.isoformat()}")

    def listed(self) -> AsyncIterator[Row]:
        """Yield the studies that are kept because something is unknown."""
        return self._rows(keys.LISTED)

    async def groups(self, *, past: str | None = None) -> AsyncGenerator[tuple[str, list[Row]]]:
        """Yield all studies that have been read, patient group by patient group, purged ones too.

        Each comes with where it ends in this order. Those of nobody are not each other's: they come one by one.

        Args:
            past: where to go on: only what comes after it.
        """
        group, end, rows = "", "", list[Row]()
        async for stored in self._table.range(keys.PATIENTS, past=past):
            this = keys.group_of(stored["RowKey"])
            if rows and (this != group or not this):
                yield end, rows
                rows = []
            group, end = this, stored["RowKey"]
            rows.append(row_of(stored))
        if rows:
            yield end, rows

    async def studies(self, *, past: str | None = None) -> AsyncGenerator[Row]:
        """Yield the rows of all studies, purged ones too.

        Args:
            past: where to go on: only what comes after this row.
        """
        async for stored in self._table.range(keys.STUDIES, past=past):
            yield row_of(stored)

    async def marked(self) -> AsyncGenerator[StudyKey]:
        """Yield the studies that are to be read again, or for the first time."""
        async for mark in self._table.range(keys.MARKS):
            yield keys.study_of_mark(mark["RowKey"])

    async def marks_of(self, studies: Collection[StudyKey]) -> dict[StudyKey, str]:
        """Return the keys of those marks that some studies have."""
        found = await self._table.get(*map(keys.mark_row, studies))
        return {key: keys.mark_row(key) for key, mark in zip(studies, found, strict=True) if mark is not None}

    async def mark(self, received: Mapping[StudyKey, datetime | None]) -> None:
        """Mark studies for re-reading, and note when their newest instance was received: the later time stands."""
        studies = iter(sorted(received))
        async with self._writing:
            while some := {keys.mark_row(key): received[key] for key in islice(studies, MOST_OPERATIONS)}:
                try:
                    await self._mark(some)
                except HttpResponseError as error:
                    if error.status_code not in _WRITTEN_MEANWHILE:
                        raise
                    await self._mark(some)  # the first attempt was carried out, but its answer was lost

    async def _mark(self, received: Mapping[str, datetime | None]) -> None:
        marks = zip(received.items(), await self._table.get(*received), strict=True)
        await self._table.carry_out(Change(tuple(marking(key, time, mark) for (key, time), mark in marks)))

    async def write(self, rows: Sequence[Row], *, read: Collection[StudyKey] = ()) -> None:
        """Write rows with their indexes; those of `read` come last and are no longer marked.

        Each is written as a whole or not at all, in this order: after a failure, or a kill, what was to be read is
        marked still unless all that goes with it is written.
        """
        given = {row.key: row for row in rows}
        last = {key: given[key] for key in read if key in given}
        await self._replace({**{key: row for key, row in given.items() if key not in last}, **last}, read)

    async def remove(self, key: StudyKey) -> None:
        """Forget a study that somebody else has deleted."""
        await self._replace({key: None}, [key])

    async def _replace(self, rows: Mapping[StudyKey, Row | None], unmarked: Collection[StudyKey]) -> None:
        async with self._writing:
            there = dict(zip(rows, await self._table.get(*map(keys.study_row, rows)), strict=True))
            marks = await self.marks_of(unmarked)
            changes = [replacing(key, there[key], row, marks.pop(key, None)) for key, row in rows.items()]
            written = (entity["RowKey"] for change in changes for _, entity, *_ in change.operations)
            if any(key.startswith(keys.OF_MANY) for key in written):
                self._of_many = None
            for change in packed([*changes, *map(unmarking, marks.values())]):
                await self._table.carry_out(change)

    async def _rows(self, prefix: str, *, before: str | None = None) -> AsyncGenerator[Row]:
        async for stored in self._table.range(prefix, before=before):
            yield row_of(stored)


def _is_of(row: Row, group: str) -> bool:
    reading = row.reading
    return reading is not None and (reading.is_anybodys or group in {one.group for one in reading.all_patients})


def _marked(row: Row, mark: Entity | None) -> Row:
    """Return a row with what the feed has told since it was read; what it tells again is no news."""
    told = time_in(mark, "received") if mark else None
    if told is None or (row.told_until is not None and told <= row.told_until):
        return row
    return replace(row, received=later(row.received, told))
