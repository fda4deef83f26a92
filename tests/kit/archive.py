"""An archive to run nights over: a DICOM service with partitions, a storage account, and a ledger of the test's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import inf
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from local.dicom_service import clock as clock_of_service
from purge_study.ledger.entities import row_of
from purge_study.ledger.hashing import Hasher
from purge_study.ledger.keys import COUNTS, MARKS, PROGRESS, STUDIES, counts_of, rows_of
from purge_study.ledger.ledger import Ledger
from purge_study.ledger.row import Row, StudyKey
from purge_study.ledger.transactions import Operation
from purge_study.rulebook.rulebook import Rulebook
from purge_study.run import Run
from shared import clock
from shared.clients import Clients
from shared.dicomweb import DICOMwebClient
from shared.settings import RETENTION_RECORDS, RETENTION_STATE, load
from tests.kit.service import DICOM_JSON, Sample, ServiceClient, opened
from tests.kit.studies import policy
from tests.kit.watched_storage import Killed, Watch, watched

A, B = "A", "B"
Table = dict[str, dict[str, Any]]


@dataclass
class Archive:
    """The service, the account and the time, which is both clocks'.

    Args:
        service: with partitions.
        storage: connection string.
        ahead: how far both clocks are ahead of the machine's.
    """

    service: ServiceClient
    storage: str
    ahead: timedelta = field(default_factory=timedelta)

    def wait(self, **time: float) -> None:
        """Let time pass."""
        self.ahead += timedelta(**time)
        clock_of_service.set_ahead(self.ahead.total_seconds())

    def store(self, sample: Sample, partition: str = A) -> StudyKey:
        stored = self.service.store(sample.content, f"/partitions/{partition}/studies")
        assert stored.status_code in (200, 202)  # without PatientID it is stored with a warning
        return StudyKey(partition, sample.study)

    def put(self, sample: Sample, partition: str = A) -> None:
        """Replace an instance."""
        headers = {"Accept": DICOM_JSON, "Content-Type": "application/dicom"}
        path = f"/partitions/{partition}/studies"
        assert self.service.http.put(path, content=sample.content, headers=headers).status_code == 200

    def delete(self, path: str, partition: str = A) -> None:
        assert self.service.delete(f"/partitions/{partition}{path}") == 204

    def inject(self, fault: dict[str, Any]) -> None:
        """Have the service fail."""
        assert self.service.http.post(f"{self.service.root}/admin/faults", json=fault).status_code == 201

    def created(self, sample: Sample, partition: str = A) -> datetime:
        times = [
            datetime.fromisoformat(entry["timestamp"])
            for entry in self.service.get("/changefeed?limit=200").json()
            if (entry["sopInstanceUid"], entry["partitionName"]) == (sample.sop, partition)
            if entry["action"] == "Create"
        ]
        return max(times)

    def run(self, watch: Watch | None = None, *, key: str | None = None) -> AbstractAsyncContextManager[Run]:
        return run_over(self.storage, f"{self.service.root}/v2", watch, key=key, partitions=(A, B))


@asynccontextmanager
async def run_over(
    storage: str,
    service: str = "http://127.0.0.1:1/v2",
    watch: Watch | None = None,
    *,
    key: str | None = None,
    partitions: tuple[str, ...] = (),
) -> AsyncIterator[Run]:
    settings = load({"DICOM_SERVICE_URL": service, "DICOM_STORAGE": storage, "LEDGER_KEY": key or token_hex()})
    async with (
        aclosing(Clients.over(settings, DICOMwebClient(settings.dicom_service_url))) as clients,
        watched(clients, watch or Watch()) as used,
    ):
        for name in (RETENTION_RECORDS, RETENTION_STATE):
            if not await used.container(name).exists():
                await used.container(name).create_container()
        yield Run(used, await Ledger.open(used), Hasher(str(settings.ledger_key)), partitions, ends_at=inf)


async def found(run: Run, key: StudyKey) -> Row:
    row = await run.ledger.find(key)
    assert row is not None
    return row


@contextmanager
def archive_in(folder: Path, storage: str, patch: pytest.MonkeyPatch) -> Iterator[Archive]:
    with opened(folder, partitions=True) as service:
        archive = Archive(service, storage)
        now = clock.now
        patch.setattr(clock, "now", lambda: now() + archive.ahead)
        yield archive


def sample_of(patient: str, day: str = "20160305", **elements: tuple[str, str] | None) -> Sample:
    told: dict[int, tuple[str, bytes] | None] = {
        0x00080020: ("DA", day.encode()),
        0x00080060: ("CS", b"CT"),
        0x00100020: ("LO", patient.encode()),
        0x00100030: ("DA", b"19700404"),
    }
    for tag, element in elements.items():
        told[int(tag.removeprefix("x"), 16)] = element and (element[0], element[1].encode())
    return Sample(elements=told)


def rulebook(
    rules: str = '[[rule]]\nname = "all"\nkeep_years = 10\nfrom = ["study_date", "patient_last_study"]',
) -> Rulebook:
    return Rulebook(policy(rules), {"policy.toml": rules}, {})


async def kill() -> None:
    """End the process."""
    raise Killed


async def table_of(run: Run) -> Table:
    return {entity["RowKey"]: dict(entity) async for entity in _client_of(run).list_entities()}


async def put_table(run: Run, table: Table) -> None:
    """Have the ledger's table hold that, and nothing else."""
    gone = (entity for key, entity in (await table_of(run)).items() if key not in table)
    replacing = {"mode": UpdateMode.REPLACE}
    operations: list[Operation] = [("delete", entity) for entity in gone]
    operations += [("upsert", entity, replacing) for entity in table.values()]
    await _client_of(run).submit_transaction(operations)


def _client_of(run: Run) -> TableClient:
    assert run.clients.tables is not None
    return run.clients.tables.get_table_client(f"RetentionLedger{run.hasher.key_id}")


def check_agrees(table: Table) -> None:
    """See that every index holds what the rows say, no more and no less, and that the counts are right."""
    rows = [row_of(entity) for key, entity in table.items() if key.startswith(STUDIES)]
    expected: dict[str, Row] = {key: row for row in rows for key in rows_of(row)}
    apart = (COUNTS, MARKS, PROGRESS)
    assert {key: row_of(entity) for key, entity in table.items() if not key.startswith(apart)} == expected
    counts = {key: entity["count"] for key, entity in table.items() if key.startswith(COUNTS)}
    assert counts == Counter(count for row in rows for count in counts_of(row))


def out_of_time(run: Run) -> Run:
    return replace(run, ends_at=-inf)
