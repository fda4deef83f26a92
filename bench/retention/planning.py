"""What a night of retention costs up to its plan.

The table and the DICOM service are imitations in this process that count what they are asked; the ledger, the rules and
the plan are the app's own. So the figures leave out what the SDK and the client take for each request.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from math import inf
from typing import Any, cast

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableEntity
from azure.data.tables.aio import TableClient
from sortedcontainers import SortedDict  # type: ignore[import-untyped]  # it comes with hypothesis, without types

from purge_study.ledger.folding import fold
from purge_study.ledger.hashing import Hasher
from purge_study.ledger.ledger import Ledger, Progress
from purge_study.ledger.refreshing import judge_all_anew, refresh
from purge_study.ledger.row import Reading, Row, StudyKey
from purge_study.ledger.table import Table
from purge_study.planning.making import make_plan
from purge_study.policy.facts import Values
from purge_study.policy.reading import read_policy
from purge_study.rulebook.judging import judge_row
from purge_study.rulebook.rulebook import Rulebook
from purge_study.run import Run
from shared.clients import Clients
from shared.dicomweb import Change, ChangeAction, ChangeFeed, ChangeState, DICOMwebClient
from shared.dicomweb.partitions import DEFAULT_PARTITION
from shared.settings import load

STUDIES_OF_A_PATIENT = 2
LISTED = 100
NOW = datetime.now(UTC)
TODAY = NOW.date()
POLICY = read_policy(b'[policy]\ntime_zone = "UTC"\n[[rule]]\nname = "all"\nkeep_years = 10\n')
RULEBOOK = Rulebook(POLICY, {"policy.toml": "hash"}, {})
HASHER = Hasher("a key of the measurement")
SETTINGS = load({"DICOM_SERVICE_URL": "http://127.0.0.1:1/v2", "DICOM_STORAGE": "UseDevelopmentStorage=true"})


@dataclass(frozen=True)
class Cost:
    """What a night takes.

    Args:
        seconds: of the processor.
        table: requests to the table.
        service: requests to the DICOM service.
    """

    seconds: float
    table: int
    service: int


class CountingTable:
    """What the ledger uses of a table, in memory."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self._rows: SortedDict[str, TableEntity] = SortedDict()
        self._etag = 0

    def copy(self) -> CountingTable:
        """Return one that holds the same, and was not asked anything."""
        other = CountingTable()
        other._rows, other._etag = self._rows.copy(), self._etag
        return other

    async def get_entity(self, partition_key: str, row_key: str) -> TableEntity:
        """Return a row."""
        self.asked["point reads"] += 1
        found: TableEntity | None = self._rows.get(row_key)
        if found is None:
            raise ResourceNotFoundError
        return found

    async def query_entities(
        self, query: str, *, parameters: Mapping[str, str], results_per_page: int
    ) -> AsyncIterator[TableEntity]:
        """Yield the rows of a range."""
        inclusive = ("RowKey ge" in query, False)
        keys = list(self._rows.irange(parameters["low"], parameters["high"], inclusive))
        self.asked["pages"] += max(1, -(-len(keys) // results_per_page))
        for key in keys:
            yield self._rows[key]

    async def submit_transaction(self, operations: Iterable[tuple[Any, ...]], **_: Any) -> list[dict[str, str]]:
        """Carry out a transaction; conditions are taken to be met."""
        self.asked["transactions"] += 1
        return [self._carry_out(operation, entity) for operation, entity, *_ in operations]

    def _carry_out(self, operation: str, entity: Mapping[str, Any]) -> dict[str, str]:
        self.asked["rows written"] += 1
        self._etag += 1
        if operation == "delete":
            del self._rows[entity["RowKey"]]
        else:
            stored = self._rows[entity["RowKey"]] = TableEntity(entity)
            stored._metadata = {"etag": str(self._etag), "timestamp": None}
        return {"etag": str(self._etag)}


@dataclass
class CountingService(ChangeFeed):
    """A service that has some studies more than the ledger knows."""

    changes: list[Change]
    patients: Mapping[str, str]
    asked: Counter[str] = field(default_factory=Counter)

    async def page(self, *, start: Any = None, end: Any = None, limit: int = 200, offset: int = 0, **_: Any) -> Any:
        """Return a page of the feed."""
        self.asked["feed"] += 1
        within = [one for one in self.changes if (start is None or start <= one.timestamp) and one.timestamp < end]
        return within[offset : offset + limit]

    async def latest_and_time(self) -> tuple[Change | None, datetime | None]:
        """Return the time."""
        self.asked["feed"] += 1
        return None, NOW

    async def metadata(
        self, read: Callable[[AsyncIterator[dict[str, Any]]], Awaitable[Any]], *, study_instance_uid: str
    ) -> tuple[Any, str]:
        """Hand over a study's metadata."""
        self.asked["metadata"] += 1

        async def instances() -> AsyncIterator[dict[str, Any]]:
            yield {
                "00080020": {"vr": "DA", "Value": [f"{TODAY:%Y%m%d}"]},
                "00080060": {"vr": "CS", "Value": ["CT"]},
                "00100020": {"vr": "LO", "Value": [self.patients[study_instance_uid]]},
            }

        return await read(instances()), "1"


def patient_of(number: int) -> str:
    """Return whose a study of the archive is."""
    return f"{number // STUDIES_OF_A_PATIENT}"


def rows(studies: int, due: int) -> list[Row]:
    """Return an archive: so many are due, some are listed, the rest falls due over the next ten years."""
    built = []
    for number in range(studies):
        # Pairs of a patient's studies are of the same day.
        pair = number // STUDIES_OF_A_PATIENT
        days = 10 + pair % 300 if number < due else -1 - pair % 3600
        day = TODAY - timedelta(days=days)
        made = date(day.year - 10, day.month, min(day.day, 28))
        dated = Values() if due <= number < due + LISTED else Values(frozenset({f"{made:%Y%m%d}"}), is_complete=True)
        attributes = {"StudyDate": dated, "Modality": Values(frozenset({"CT"}), is_complete=True)}
        attributes |= {"PatientBirthDate": Values(), "PatientAge": Values()}
        reading = Reading(attributes, HASHER.patient(patient_of(number)), frozenset({f"a{number}"}), 1, "1")
        received = datetime(made.year, made.month, made.day, tzinfo=UTC)
        built.append(Row(StudyKey(DEFAULT_PARTITION, f"1.2.{number}"), received, reading))
    return [judge_row(RULEBOOK, row, built[start : start + 2], TODAY) for start, row in _with_pairs(built)]


def _with_pairs(built: list[Row]) -> Iterable[tuple[int, Row]]:
    return ((number - number % STUDIES_OF_A_PATIENT, row) for number, row in enumerate(built))


def service_with(new: int, studies: int, due: int) -> CountingService:
    """Return a service with so many new studies: every other one is of a patient who has some, none of a due one."""
    uids = [f"1.3.{number}" for number in range(new)]
    patients = {
        uid: patient_of(studies - 1 - number * STUDIES_OF_A_PATIENT) if number % 2 else f"new {number}"
        for number, uid in enumerate(uids)
    }
    times = [NOW - timedelta(hours=20) + timedelta(minutes=number * 1000 // new) for number in range(new)]
    changes = [
        Change(number, ChangeAction.CREATE, ChangeState.CURRENT, when, DEFAULT_PARTITION, uid, "1.4", "1.5")
        for number, (uid, when) in enumerate(zip(uids, times, strict=True))
    ]
    return CountingService(changes, patients)


async def night(run: Run, due: int) -> None:
    """Bring the ledger up to date and make the plan."""
    await fold(run)
    await refresh(run, RULEBOOK)
    await judge_all_anew(run, RULEBOOK)
    plan = await make_plan(run, RULEBOOK, TODAY, ())
    assert len(plan.items) == due, len(plan.items)


class Archive:
    """A ledger of a size, of which some studies are due, and a service with some new ones.

    Args:
        studies: in the ledger.
        due: of them.
        new: studies that the feed tells of.
    """

    def __init__(self, studies: int, due: int, new: int) -> None:
        self._studies, self._due, self._new = studies, due, new
        self._table = asyncio.run(_table_of(studies, due))

    def night(self) -> Cost:
        """Spend a night, each over the same ledger; return what it costs."""
        return asyncio.run(self._night())

    async def _night(self) -> Cost:
        table, service = self._table.copy(), service_with(self._new, self._studies, self._due)
        dicom = DICOMwebClient(SETTINGS.dicom_service_url)
        dicom.change_feed = service
        dicom.read_study_metadata = service.metadata  # type: ignore[method-assign]  # this one is an imitation
        async with aclosing(Clients.over(SETTINGS, dicom)) as clients:
            run = Run(clients, Ledger(Table(cast("TableClient", table))), HASHER, (), ends_at=inf)
            began = time.process_time()
            await night(run, self._due)
            took = time.process_time() - began
        return Cost(took, table.asked.total() - table.asked["rows written"], service.asked.total())


async def _table_of(studies: int, due: int) -> CountingTable:
    table = CountingTable()
    ledger = Ledger(Table(cast("TableClient", table)))
    await ledger.write(rows(studies, due))
    await ledger.note(Progress(NOW - timedelta(days=1), is_folded=True, judged_by=RULEBOOK.policy_hash))
    return table
