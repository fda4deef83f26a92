"""Studies that are due, and runs of retention that delete them, whose ways to storage and to the service can fail."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobLeaseClient, BlobServiceClient

from purge_study.executing.execute import Outcome
from purge_study.executing.reasons import Halt
from purge_study.executing.warrant import Warrant
from purge_study.ledger.ledger import Ledger
from purge_study.ledger.reading import read_study
from purge_study.ledger.row import Row, StudyKey
from purge_study.planning.plan import Item
from purge_study.policy.policy import local_day, needed_keywords
from purge_study.records.begun import intent_name
from purge_study.records.tombstones import TOMBSTONES
from purge_study.rulebook.judging import judge_row
from purge_study.rulebook.reading import read_rulebook
from purge_study.run import Run
from shared import clock
from shared.dicomweb import DICOMwebError
from shared.leases import LeaseTaken
from shared.purged import pointer_name
from shared.settings import OWN_CONTAINERS, RETENTION_POLICY, RETENTION_RECORDS, RETENTION_STATE, VAULT
from tests.kit.connection_strings import endpoint, through
from tests.kit.deleting_process import LEASE, delete, later, resolve, start
from tests.kit.files import Sample, new_uid
from tests.kit.gateway import Fault, Gateway, Moment
from tests.kit.immutability import Immutability
from tests.kit.service import ServiceClient, running

LEDGER_KEY = "of the tests of deletions"
HERE, ELSEWHERE = "site-a", "site-b"
ALL = 1_000_000
SERVICE = 2  # of the gateway's targets
LONG_AGO = datetime(2015, 3, 5, 12, tzinfo=UTC)
POLICY = """
[policy]
time_zone = "UTC"

[[rule]]
name = "all"
keep_years = 5

[[hold]]
name = "litigation"
list = "litigation.csv"

[brakes]
min_age_days = 0
"""
PLAN = "20260101T030000Z-00000000"
NOBODY = "study_instance_uid,patient_id,released,released_by\n1.2.3,,,\n"


@dataclass
class Deletions:
    """A storage account, a DICOM service with two partitions, and retention.

    Args:
        storage: the account's blobs.
        service: the DICOM service.
        gateway: through which runs reach blobs, tables and the service, in this order.
        policy: by which the gateway refuses to change or delete records.
        direct: settings that lead past it.
        through: settings that lead through it.
        own: a run past it, without a lease, for those who look; of each test's own event loop.
    """

    storage: BlobServiceClient
    service: ServiceClient
    gateway: Gateway
    policy: Immutability
    direct: dict[str, str]
    through: dict[str, str]
    own: Run | None = None

    @classmethod
    @contextmanager
    def over(cls, connection_string: str, folder: Path) -> Iterator[Deletions]:
        storage = BlobServiceClient.from_connection_string(connection_string)
        with storage, running(folder, partitions=True) as root:
            _create(storage)
            policy = Immutability(storage)
            blobs, tables = endpoint(connection_string, "blob"), endpoint(connection_string, "table")
            with Gateway(blobs, tables, f"{root}/v2", forbids=policy.forbids) as gateway:
                way = through(connection_string, blob=gateway.urls[0], table=gateway.urls[1])
                service = ServiceClient(root)
                with service.http:
                    deletions = cls(
                        storage,
                        service,
                        gateway,
                        policy,
                        _settings(connection_string, f"{root}/v2"),
                        _settings(way, gateway.urls[2]),
                    )
                    for partition in (HERE, ELSEWHERE):
                        deletions.store(of_long_ago(), partition=partition)  # a partition is there from its first store
                    yield deletions

    @property
    def address(self) -> str:
        """The service's own."""
        return self.direct["DICOM_SERVICE_URL"]

    def write(self, name: str, content: str) -> None:
        """Put the policy, a list or a STOP into its container."""
        self.storage.get_blob_client(RETENTION_POLICY, name).upload_blob(content.encode(), overwrite=True)

    def begin(self) -> None:
        """Have things as they are at first: nothing stands in the way, and no intents of other tests are open."""
        self.gateway.begin()
        self.policy.refused.clear()
        state = self.storage.get_container_client(RETENTION_STATE)
        for name in state.list_blob_names(name_starts_with="intents/"):
            state.delete_blob(name)
        with suppress(ResourceNotFoundError):
            self.storage.get_blob_client(RETENTION_POLICY, "STOP").delete_blob()
        with suppress(ResourceNotFoundError):
            self.storage.get_blob_client(RETENTION_RECORDS, f"withdrawals/{PLAN}.json").delete_blob()
        self.write("policy.toml", POLICY)
        self.write("litigation.csv", NOBODY)
        self.let_lease_end()

    def store(self, *samples: Sample, partition: str = HERE) -> None:
        for sample in samples:
            path = f"/partitions/{partition}/studies"
            assert self.service.store(sample.content, path).status_code == 200

    def put(self, sample: Sample, partition: str = HERE) -> None:
        headers = {"Content-Type": "application/dicom", "Accept": "application/dicom+json"}
        path = f"/partitions/{partition}/studies"
        assert self.service.http.put(path, content=sample.content, headers=headers).status_code == 200

    async def due(self, *samples: Sample, partition: str = HERE, warrant: Warrant | None = None) -> Victim:
        """Store a study that is long due, the same one in another partition, and have the ledger know both.

        Args:
            samples: its instances; one, if there are none.
            partition: where it is.
            warrant: whose rules are still those that stand; without it they are read.
        """
        samples = samples or (of_long_ago(),)
        for one in (partition, ELSEWHERE):
            self.store(*samples, partition=one)
        keys = [StudyKey(one, samples[0].study) for one in dict.fromkeys((partition, ELSEWHERE))]
        rows = await self.read(*keys, warrant=warrant)
        return Victim(self, samples, item_of(rows[0]))

    async def read(self, *keys: StudyKey, warrant: Warrant | None = None) -> list[Row]:
        """Have the ledger read and judge studies, as of one patient and as `due` does, and return them."""
        run, rulebook = await self.look(), (warrant or await self.warrant()).rulebook
        keywords = needed_keywords(rulebook.policy)
        rows = [Row(key, LONG_AGO, await read_study(run, key, keywords)) for key in keys]
        today = local_day(rulebook.policy, clock.now())
        judged = [judge_row(rulebook, row, rows, today) for row in rows]
        await run.ledger.write(judged, read=keys)
        return judged

    async def look(self) -> Run:
        assert self.own is not None
        return replace(self.own, ledger=await Ledger.open(self.own.clients))

    async def row(self, key: StudyKey) -> Row | None:
        assert self.own is not None
        return await self.own.ledger.find(key)

    async def marked(self) -> set[StudyKey]:
        assert self.own is not None
        return {key async for key in self.own.ledger.marked()}

    async def warrant(self) -> Warrant:
        assert self.own is not None
        return Warrant(await read_rulebook(self.own.clients, self.own.hasher), PLAN, "0" * 64)

    async def run(self, *victims: Victim, warrant: Warrant | None = None, fault: Fault | None = None) -> list[Outcome]:
        """Have a run delete studies, over the gateway."""
        warrant = warrant or await self.warrant()
        self.gateway.begin(fault)
        return await delete(self.through, [victim.item for victim in victims], warrant)

    async def resolve(self, fault: Fault | None = None) -> None:
        """Have a run resolve what others left, over the gateway."""
        self.gateway.begin(fault)
        await resolve(self.through)

    async def die_resolving(self, at: int) -> bool:
        """Have a run that resolves get no further than to a request; return whether it was through before."""
        with pytest.MonkeyPatch.context() as patch, suppress(Halt, LeaseTaken, AzureError, DICOMwebError):
            later(patch)
            await self.resolve(Fault(at, Moment.BEFORE, is_last=True))
        self.let_lease_end()
        return not self.gateway.is_over

    def run_and_kill(self, warrant: Warrant, fault: Fault, *victims: Victim) -> int | None:
        """Have a process delete studies, or resolve, kill it at a request, and return its exit code."""
        started = threading.Event()

        def kill() -> None:
            started.wait()
            os.kill(process.pid or 0, signal.SIGKILL)

        self.gateway.begin(Fault(fault.at, fault.moment, strike=kill))
        process = start(self.through, [victim.item for victim in victims], warrant)
        started.set()
        process.join()
        return process.exitcode

    async def steps(self, warrant: Warrant, *samples: Sample) -> tuple[int, int]:
        assert await self.run(await self.due(*samples, warrant=warrant), warrant=warrant) == [Outcome.DELETED]
        steps = self.gateway.steps
        first = next(step.number for step in steps if step.method == "PUT" and "/dicom-vault/" in step.path)
        [number] = [step.number for step in steps if step.method == "DELETE" and step.target == SERVICE]
        return first, number

    async def number_of_deletion(self, warrant: Warrant) -> int:
        return (await self.steps(warrant))[1]

    async def die(self, victim: Victim, warrant: Warrant, at: int, moment: Moment) -> bool:
        """Have a run die at a request: nothing of it comes by afterwards; return whether it got so far."""
        with suppress(Halt, LeaseTaken, AzureError, DICOMwebError):
            await self.run(victim, warrant=warrant, fault=Fault(at, moment, is_last=True))
        self.let_lease_end()
        return self.gateway.is_over

    def let_lease_end(self) -> None:
        """Do at once what a minute does: end the lease that a killed process held."""
        with suppress(ResourceNotFoundError):
            blob = self.storage.get_blob_client(RETENTION_STATE, LEASE)
            if blob.get_blob_properties().lease.state == "leased":
                BlobLeaseClient(blob).break_lease(lease_break_period=0)

    def inject(self, fault: dict[str, Any]) -> None:
        """Have the service fail."""
        assert self.service.http.post(f"{self.service.root}/admin/faults", json=fault).status_code == 201

    def is_there(self, key: StudyKey) -> bool:
        found = self.service.get(f"/partitions/{key.partition}/studies/{key.uid}/metadata")
        assert found.status_code in (200, 404)
        return found.status_code == 200

    def state(self, name: str) -> dict[str, Any] | None:
        try:
            content = self.storage.get_blob_client(RETENTION_STATE, name).download_blob().readall()
        except ResourceNotFoundError:
            return None
        document: dict[str, Any] = json.loads(content)
        return document

    def write_intent(self, key: StudyKey, intent: dict[str, Any] | None) -> None:
        """Put an intent in the place of a study's intent; None: remove it."""
        blob = self.storage.get_blob_client(RETENTION_STATE, intent_name(key))
        if intent is None:
            blob.delete_blob()
        else:
            blob.upload_blob(json.dumps(intent).encode(), overwrite=True)

    def blobs(self, container: str, prefix: str) -> dict[str, bytes]:
        client = self.storage.get_container_client(container)
        return {name: client.download_blob(name).readall() for name in client.list_blob_names(name_starts_with=prefix)}


@dataclass(frozen=True)
class Victim:
    """A study that is due.

    Args:
        deletions: where it is.
        samples: its instances.
        item: of the plan.
    """

    deletions: Deletions
    samples: Sequence[Sample]
    item: Item

    @property
    def key(self) -> StudyKey:
        """Which study it is."""
        return self.item.key

    @property
    def is_there(self) -> bool:
        """Whether the service has it still."""
        return self.deletions.is_there(self.key)

    @property
    def intent(self) -> dict[str, Any] | None:
        """Its open intent."""
        return self.deletions.state(f"intents/{self.key.partition}/{self.key.uid}.json")

    @property
    def tombstone(self) -> dict[str, Any] | None:
        """Its tombstone, the last one."""
        return next(iter(self.tombstones[-1:]), None)

    @property
    def tombstones(self) -> list[dict[str, Any]]:
        """All of its tombstones, the oldest first."""
        found = self.deletions.blobs(RETENTION_RECORDS, f"{TOMBSTONES}{self.key.partition}/{self.key.uid}/")
        return sorted(map(json.loads, found.values()), key=lambda tombstone: str(tombstone["looked_at"]))

    @property
    def pointer(self) -> dict[str, Any] | None:
        """What keeps it out."""
        return self.deletions.state(pointer_name(self.key.partition, self.key.uid))

    def vaulted(self) -> dict[str, bytes]:
        return self.deletions.blobs(VAULT, f"{self.key.partition}/{self.key.uid}/")

    async def planned_anew(self, warrant: Warrant | None = None) -> Victim:
        """Have the ledger read it again, as `due` does, and return it with its line in another plan."""
        [row] = await self.deletions.read(self.key, warrant=warrant)
        return replace(self, item=item_of(row))

    def check_untouched(self) -> None:
        """See that it is there, and that nothing says otherwise."""
        assert self.is_there
        assert (self.tombstone, self.pointer) == (None, None)
        self._check_others()

    def check_meanwhile(self) -> None:
        """See what must hold at any time: what is gone has a tombstone or an intent, what is there no tombstone.

        What keeps it out has a tombstone, and what has one an intent, until it is kept out.
        """
        is_there, tombstone = self.is_there, self.tombstone
        assert is_there or tombstone or self.intent
        assert not (is_there and tombstone)
        assert not tombstone or self.intent or self.pointer
        assert not self.pointer or tombstone
        self._check_others()

    async def check_deleted(self, *, left: int = 0) -> dict[str, Any]:
        """See that it is gone and recorded, that the vault has it byte for byte; return its tombstone.

        Args:
            left: how many copies were begun in vain.
        """
        assert not self.is_there
        assert self.intent is None
        tombstone = self.tombstone
        assert tombstone is not None
        row = await self.deletions.row(self.key)
        assert row is not None
        assert row.purged_at is not None
        assert self.pointer == {name: tombstone[name] for name in ("deletion_id", "deleted_at")}
        self._check_vault(tombstone, left)
        self._check_others()
        return tombstone

    def _check_vault(self, tombstone: dict[str, Any], left: int) -> None:
        folder = f"{self.key.partition}/{self.key.uid}/{tombstone['deletion_id']}/"
        found = self.deletions.blobs(VAULT, folder)
        manifest = found.pop(f"{folder}manifest.json")
        assert hashlib.sha256(manifest).hexdigest() == tombstone["vault"]["manifest_sha256"]
        instances = {instance["name"]: instance for instance in json.loads(manifest)["instances"]}
        names = {(one["series_instance_uid"], one["sop_instance_uid"]): name for name, one in instances.items()}
        assert {names[one.series, one.sop]: one.content for one in self.samples}.items() <= found.items()
        assert len(found) == len(self.samples) + left
        found = {name: found[name] for name in instances}
        assert {name: (one["bytes"], one["sha256"]) for name, one in instances.items()} == {
            name: (len(content), hashlib.sha256(content).hexdigest()) for name, content in found.items()
        }

    def _check_others(self) -> None:
        """See that the study of the same UID in another partition is where it was."""
        other = StudyKey(ELSEWHERE, self.key.uid)
        assert self.key == other or self.deletions.is_there(other)
        if self.key != other:
            assert self.deletions.state(pointer_name(ELSEWHERE, other.uid)) is None
            assert self.deletions.blobs(RETENTION_RECORDS, f"{TOMBSTONES}{ELSEWHERE}/{other.uid}/") == {}


async def bring_to_an_end(deletions: Deletions, warrant: Warrant, victims: list[Victim]) -> None:
    """Do what the next nights do, and see that all is as if nothing had happened."""
    with pytest.MonkeyPatch.context() as patch:
        later(patch)
        await deletions.resolve()
    assert deletions.blobs(RETENTION_STATE, "intents/") == {}
    there = [victim for victim in victims if victim.is_there]
    for victim in victims:
        assert (victim in there) == (victim.tombstone is None)
    left = [await victim.planned_anew(warrant) for victim in there]
    await deletions.run(*left, warrant=warrant)
    for victim in victims:
        await victim.check_deleted()


def always(act: Callable[[], None]) -> Fault:
    return Fault(1, Moment.BEFORE, times=ALL, meanwhile=act)


def of_long_ago() -> Sample:
    return Sample(elements={0x00080020: ("DA", b"20150305"), 0x00100020: ("LO", new_uid()[-20:].encode())})


LARGE_BYTES = 5 * 1024 * 1024 // 2


def large() -> Sample:
    return Sample(elements={**of_long_ago().elements, 0x7FE00010: ("OB", bytes(LARGE_BYTES))})


def two_series() -> tuple[Sample, Sample]:
    first = of_long_ago()
    return first, first.sibling(series=new_uid(), elements=first.elements)


def item_of(row: Row) -> Item:
    reading, judgement = row.reading, row.judgement
    assert reading is not None
    assert judgement is not None
    assert judgement.rule is not None
    assert judgement.keep_until is not None
    assert row.received is not None
    return Item(
        row.key,
        judgement.rule,
        judgement.dates,
        judgement.keep_until,
        reading.instances,
        row.received,
        reading.etag,
    )


def _settings(connection_string: str, service: str) -> dict[str, str]:
    return {
        "DICOM_STORAGE": connection_string,
        "DICOM_SERVICE_URL": service,
        "LEDGER_KEY": LEDGER_KEY,
        "PURGE_MODE": "delete",
        "TOMBSTONE_ATTRIBUTES": "AccessionNumber",
    }


def _create(storage: BlobServiceClient) -> None:
    for name in OWN_CONTAINERS:
        with suppress(ResourceExistsError):
            storage.create_container(name)
    # So that each run makes the same number of requests, the first one too.
    with suppress(ResourceExistsError):
        storage.get_blob_client(RETENTION_STATE, LEASE).upload_blob(b"{}")
