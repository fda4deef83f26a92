"""Whole nights, from the feed to the deletions, over a real storage account and the local service."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from azure.core.exceptions import ResourceExistsError
from azure.data.tables import TableServiceClient, UpdateMode
from azure.storage.blob import BlobServiceClient

from purge_study.executing import execute
from purge_study.executing.vault import copy_to_vault
from purge_study.ledger import keys
from purge_study.ledger.hashing import Hasher
from purge_study.ledger.refreshing import judge_patients
from purge_study.ledger.row import StudyKey
from purge_study.night import run_night
from purge_study.records.begun import intent_name
from purge_study.rulebook.reading import read_rulebook
from purge_study.run import Run
from shared import clock
from shared.clients import Clients
from shared.dicomweb import Busy, DICOMwebClient, DICOMwebError, InvalidResponse, ResponseLost, StatusError
from shared.settings import OWN_CONTAINERS, RETENTION_POLICY, RETENTION_RECORDS, RETENTION_STATE, load
from shared.telemetry.recording import Fact, Span, switch_off, switch_on
from shared.telemetry.service_calls import ServiceCalls
from tests.component.executing.test_deleting import events
from tests.kit.archive import Archive, archive_in, found, out_of_time, sample_of
from tests.kit.deleting_process import without_pauses
from tests.kit.immutability import immutable

POLICY = """
[policy]
time_zone = "UTC"

[[rule]]
name = "all"
keep_years = 5

[brakes]
max_share = 1.0
"""

LAST_STUDY = POLICY.replace("keep_years = 5", 'keep_years = 5\nfrom = ["study_date", "patient_last_study"]')


@dataclass
class Nights:
    """An archive, and the retention that is run over it."""

    archive: Archive
    blobs: BlobServiceClient
    records: str
    settings: dict[str, str] = field(default_factory=lambda: {"LEDGER_KEY": token_hex(), "PURGE_MODE": "delete"})

    def clear(self) -> None:
        """Take away all that retention has, but the vault."""
        for container in map(self.blobs.get_container_client, (RETENTION_POLICY, RETENTION_RECORDS, RETENTION_STATE)):
            for blob in container.list_blob_names():
                container.delete_blob(blob)

    def write(self, name: str, content: str) -> None:
        """Put the policy, or a list, into its container."""
        self.blobs.get_blob_client(RETENTION_POLICY, name).upload_blob(content.encode(), overwrite=True)

    async def night(self, **settings: str) -> None:
        """Run a night, ten minutes from now, when the feed's lag is over."""
        self.archive.wait(minutes=10)
        async with self.clients(**settings) as clients:
            await run_night(clients)

    async def five_nights(self) -> None:
        """Run a night, and one on each of the next four days."""
        await self.night()
        for _ in range(4):
            self.archive.wait(days=1)
            await self.night()

    @asynccontextmanager
    async def clients(self, **settings: str) -> AsyncIterator[Clients]:
        loaded = load(
            {
                "DICOM_SERVICE_URL": f"{self.archive.service.root}/v2",
                "DICOM_STORAGE": self.archive.storage,
                "RECORDS_STORAGE": self.records,
                **self.settings,
                **settings,
            }
        )
        async with aclosing(
            Clients.over(loaded, DICOMwebClient(loaded.dicom_service_url, observer=ServiceCalls()))
        ) as clients:
            yield clients

    def has(self, key: StudyKey) -> bool:
        return self.archive.service.get(f"/partitions/{key.partition}/studies/{key.uid}/metadata").status_code == 200


@pytest.fixture
def nights(azurite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nights]:
    """An empty archive, and an account in which there was never a night."""
    without_pauses(monkeypatch)
    with (
        archive_in(tmp_path, azurite, monkeypatch) as archive,
        BlobServiceClient.from_connection_string(azurite) as blobs,
        immutable(azurite) as (records, policy),
    ):
        for name in OWN_CONTAINERS:
            with suppress(ResourceExistsError):
                blobs.create_container(name)
        nights = Nights(archive, blobs, records)
        nights.clear()
        nights.write("policy.toml", POLICY)
        yield nights
        assert policy.refused == []
        nights.clear()


async def test_an_instance_that_the_feed_has_not_told_of(nights: Nights) -> None:
    archive = nights.archive
    one = sample_of("1", "20100305")
    former = one.sibling(elements=one.elements)
    key, other = archive.store(one), archive.store(sample_of("2", "20100305"))
    archive.store(former)
    await nights.night()
    archive.wait(days=6 * 365)
    archive.delete(former.path)  # for which it is read again
    archive.wait(minutes=8)
    archive.store(one.sibling(elements=one.elements))
    archive.wait(minutes=-8)
    await nights.night()
    assert not nights.has(other)
    assert nights.has(key)


def store_of_two_patients(archive: Archive) -> None:
    today = sample_of("1", clock.now().date().isoformat().replace("-", ""))
    archive.store(today)
    archive.store(today.sibling(elements={**today.elements, 0x00100020: ("LO", b"2")}))


async def test_a_new_study_that_a_search_finds_for_another_patient(nights: Nights) -> None:
    archive = nights.archive
    nights.write("policy.toml", LAST_STUDY)
    key, other = archive.store(sample_of("1", "20100305")), archive.store(sample_of("3", "20100305"))
    await nights.night()
    archive.wait(days=40, minutes=8)
    store_of_two_patients(archive)
    archive.wait(minutes=-8)
    await nights.night()
    assert not nights.has(other)
    assert nights.has(key)


async def test_a_new_study_that_a_search_finds_for_another_patient_comes_while_copies_are_made(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = nights.archive
    nights.write("policy.toml", LAST_STUDY)
    key = archive.store(sample_of("1", "20100305"))
    await nights.night()
    archive.wait(days=40)

    async def copy_for_long(*what: Any, **more: Any) -> Any:
        archive.wait(minutes=10)
        store_of_two_patients(archive)
        archive.wait(minutes=10)
        return await copy_to_vault(*what, **more)

    monkeypatch.setattr(execute, "copy_to_vault", copy_for_long)
    await nights.night()
    assert nights.has(key)


@pytest.mark.parametrize("minutes", [0, 10])  # the feed is read again if it was read more than five minutes ago
@pytest.mark.parametrize("step", ["copy_to_vault", "evaluate_again"])
async def test_an_instance_replaced_by_one_with_equal_metadata(
    nights: Nights, monkeypatch: pytest.MonkeyPatch, step: str, minutes: int
) -> None:
    archive, read, act = nights.archive, DICOMwebClient.read_study_metadata, getattr(execute, step)

    async def read_without_etag(*what: Any, **more: Any) -> Any:
        return (await read(*what, **more))[0], None

    monkeypatch.setattr(DICOMwebClient, "read_study_metadata", read_without_etag)
    one = sample_of("1", "20100305")
    old, new = (replace(one, elements={**one.elements, 0x7FE00010: ("OW", pixels)}) for pixels in (b"old!", b"new!"))
    key, other = archive.store(old), archive.store(sample_of("2", "20100305"))
    await nights.night()
    archive.wait(days=6 * 365)

    async def act_for_long(run: Run, *what: Any, **more: Any) -> Any:
        done = await act(run, *what, **more)
        if key in what or any(getattr(one, "key", None) == key for one in what):
            archive.wait(minutes=minutes)
            archive.put(new)
            archive.wait(minutes=minutes)
        return done

    monkeypatch.setattr(execute, step, act_for_long)
    await nights.night()
    assert not nights.has(other)
    assert nights.has(key)


AGEING = (
    POLICY.replace("keep_years = 5", 'keep_years = 5\nfrom = ["study_date"]\nfrom_if_known = ["deaths"]')
    + """min_age_days = 0

[[anchor]]
name = "deaths"
list = "deaths.csv"
max_age_days = 7
"""
)


async def test_a_list_that_becomes_too_old_while_copies_are_made(
    nights: Nights, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    archive = nights.archive
    nights.write("policy.toml", AGEING)
    nights.write("deaths.csv", "patient_id,date\nP9,2020-01-01\n")
    studies = [archive.store(sample_of(patient, "20100305")) for patient in ("1", "2")]
    await nights.night()
    archive.wait(days=6, hours=23)

    async def copy_for_long(*what: Any, **more: Any) -> Any:
        archive.wait(hours=2)
        return await copy_to_vault(*what, **more)

    monkeypatch.setattr(execute, "copy_to_vault", copy_for_long)
    await nights.night()
    assert all(map(nights.has, studies))
    assert [told["reason"] for told in events(caplog, "retention_halted")] == ["list_too_old"]


async def test_a_row_that_an_earlier_version_wrote(nights: Nights) -> None:
    archive = nights.archive
    nights.write("policy.toml", LAST_STUDY)
    today = clock.now().date().isoformat().replace("-", "")
    key = archive.store(sample_of("0004711", "20100305"))
    unsearchable = archive.store(sample_of("", today, x00100020=("IS", "0004711")))
    other = archive.store(sample_of("2", "20100305"))
    for _ in range(2):  # after the second one, the feed does not tell of them again
        await nights.night()
    async with archive.run(key=nights.settings["LEDGER_KEY"]) as run:
        row = await found(run, unsearchable)
        assert row.reading is not None
        assert row.reading.patient is not None
        await run.ledger.write([replace(row, reading=replace(row.reading, patient=None))])
        await judge_patients(run, await read_rulebook(run.clients, run.hasher), [row.reading.patient.group])
        await run.ledger.note(replace(await run.ledger.progress(), read_as=None))
    archive.wait(days=40)
    await nights.night()
    assert not nights.has(other)
    assert nights.has(key)


@pytest.mark.parametrize("index", [keys.STUDIES, keys.PATIENTS, keys.DUE])
async def test_a_row_that_was_damaged_by_hand(nights: Nights, index: str) -> None:
    studies = [nights.archive.store(sample_of(patient, "20100305")) for patient in ("1", "2")]
    nights.archive.wait(days=6 * 365)
    await nights.night()
    with TableServiceClient.from_connection_string(nights.archive.storage) as tables:
        table = tables.get_table_client(f"RetentionLedger{Hasher(nights.settings['LEDGER_KEY']).key_id}")
        row = next(dict(row) for row in table.list_entities() if row["RowKey"].startswith(index))
        table.update_entity({**row, "reading": row["reading"][:-1]}, mode=UpdateMode.REPLACE)
    with pytest.raises(json.JSONDecodeError):
        await nights.night()
    assert all(map(nights.has, studies))


async def test_a_night_is_one_trace(nights: Nights) -> None:
    key = nights.archive.store(sample_of("1", "20100305"))
    await nights.night()
    nights.archive.wait(days=6 * 365)
    facts: list[Fact] = []
    switch_on(facts.append, 1.0)
    await nights.night()
    switch_off()
    assert not nights.has(key)
    spans = {fact.context.span_id: fact for fact in facts if isinstance(fact, Span)}
    above = {one.name: spans[one.parent.span_id].name if one.parent else None for one in spans.values()}
    assert len({one.context.trace_id for one in spans.values()}) == 1
    assert above["retention night"] is None
    assert above["delete study"] == "purge study"
    assert above["purge study"] == above["prepare plan"] == "retention night"
    assert above["update ledger"] == "prepare plan"
    [purged] = [one for one in spans.values() if one.name == "purge study"]
    assert purged.attributes["reason"] == "deleted"
    assert {fact.context.trace_id for fact in facts if fact.context} == {purged.context.trace_id}


ANCHORED = """
[policy]
time_zone = "UTC"

[[rule]]
name = "all"
keep_years = 1
from = ["study_date", "last seen"]

[[anchor]]
name = "last seen"
list = "seen.csv"
max_age_days = 36500

[brakes]
max_share = 1.0
min_age_days = 0
"""


async def test_a_date_to_come(nights: Nights) -> None:
    nights.write("policy.toml", ANCHORED)
    soon = (clock.now() + timedelta(days=20)).date().isoformat()
    nights.write("seen.csv", f"patient_id,date\n1,{soon}\n")
    key = nights.archive.store(sample_of("1", "20100305"))
    await nights.night()
    await nights.night()
    assert nights.has(key)
    nights.archive.wait(days=380)
    await nights.night()
    assert nights.has(key)
    nights.archive.wait(days=10)
    await nights.night()
    assert not nights.has(key)


async def test_a_placeholder_that_becomes_a_date(nights: Nights) -> None:
    nights.write("policy.toml", ANCHORED)
    nights.write("seen.csv", "patient_id,date\n1,1900-01-01\n")
    key = nights.archive.store(sample_of("1", "20100305"))
    await nights.night()
    await nights.night()
    assert nights.has(key)
    nights.write("seen.csv", "patient_id,date\n1,2015-01-01\n")
    await nights.night()
    assert nights.has(key)


async def test_another_key(nights: Nights) -> None:
    """With another LEDGER_KEY nothing is deleted."""
    key = nights.archive.store(sample_of("1", "20100305"))
    await nights.night()
    nights.archive.wait(days=7 * 365)
    await nights.night(LEDGER_KEY=token_hex())
    assert nights.has(key)


def fails(patch: pytest.MonkeyPatch, key: StudyKey, error: DICOMwebError) -> None:
    """Have the service fail for one study, whenever its metadata are asked for."""
    read = DICOMwebClient.read_study_metadata

    async def read_others(client: DICOMwebClient, take: Any, *, study_instance_uid: str) -> Any:
        if study_instance_uid == key.uid:
            raise error
        return await read(client, take, study_instance_uid=study_instance_uid)

    patch.setattr(DICOMwebClient, "read_study_metadata", read_others)


def overdue(nights: Nights) -> list[StudyKey]:
    policy = POLICY.replace("keep_years = 5", 'keep_years = 5\nfrom = ["study_date"]')
    nights.write("policy.toml", policy + "min_age_days = 0\n")
    return [nights.archive.store(sample_of(day, day)) for day in ("20100305", "20110305")]


FAILURES = [StatusError("", 500), Busy("", 504), ResponseLost(), InvalidResponse()]


@pytest.mark.parametrize("failure", FAILURES)
async def test_one_that_cannot_be_read(nights: Nights, monkeypatch: pytest.MonkeyPatch, failure: DICOMwebError) -> None:
    fails(monkeypatch, nights.archive.store(sample_of("1", "20100305")), failure)
    other = nights.archive.store(sample_of("2", "20110305"))
    await nights.night()
    nights.archive.wait(days=6 * 365)
    await nights.night()
    assert not nights.has(other)


@pytest.mark.parametrize("failure", FAILURES)
async def test_one_that_cannot_be_read_any_more(
    nights: Nights, monkeypatch: pytest.MonkeyPatch, failure: DICOMwebError
) -> None:
    key, other = overdue(nights)
    await nights.night()
    fails(monkeypatch, key, failure)
    for _ in range(4):
        await nights.night()
    assert nights.has(key)
    assert not nights.has(other)


async def test_one_that_takes_longer_than_a_night(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    key, other = overdue(nights)
    await nights.night()

    async def copy_others(run: Run, study: StudyKey, *what: Any, **more: Any) -> Any:
        return await copy_to_vault(out_of_time(run) if study == key else run, study, *what, **more)

    monkeypatch.setattr(execute, "copy_to_vault", copy_others)
    for _ in range(4):
        await nights.night()
    assert nights.has(key)
    assert not nights.has(other)


async def test_one_that_is_dropped_night_after_night(nights: Nights) -> None:
    reports = '[[rule]]\nname = "reports"\nwhen = { modality = ["SR"] }\nkeep_forever = true\n'
    nights.write("policy.toml", LAST_STUDY + "min_age_days = 0\nper_night = 1\n" + reports)
    key, other = nights.archive.store(sample_of("1", "20100305")), nights.archive.store(sample_of("2", "20110305"))
    old = sample_of("1", "20100305", x00080060=("CS", "SR"))
    later = old.sibling(elements=sample_of("1", clock.now().date().isoformat().replace("-", "")).elements)
    nights.archive.store(old)
    nights.archive.store(later)
    nights.archive.delete(later.path)
    await nights.five_nights()
    assert nights.has(key)
    assert not nights.has(other)


async def test_one_whose_patient_has_a_study_that_cannot_be_read(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = POLICY.replace("keep_years = 5", 'keep_years = 5\nfrom = ["study_date", "patient_last_study"]')
    nights.write("policy.toml", policy + "min_age_days = 0\nper_night = 1\n")
    key, other = nights.archive.store(sample_of("1", "20100305")), nights.archive.store(sample_of("2", "20110305"))
    later = clock.now().date().isoformat().replace("-", "")
    fails(monkeypatch, nights.archive.store(sample_of("1", later)), StatusError("", 500))
    await nights.five_nights()
    assert nights.has(key)
    assert not nights.has(other)


async def test_one_whose_deletion_nobody_can_tell(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    key = nights.archive.store(sample_of("1", "20100305"))
    await nights.night()
    nights.archive.wait(days=6 * 365)

    async def fail(_: DICOMwebClient, **__: Any) -> None:
        fails(monkeypatch, key, StatusError("", 500))
        raise StatusError("", 500)

    with monkeypatch.context() as patch:
        patch.setattr(DICOMwebClient, "delete_study", fail)
        await nights.night()
    other = nights.archive.store(sample_of("2", "20110305"))
    await nights.night()
    nights.archive.wait(days=6 * 365)
    await nights.night()
    assert not nights.has(other)
    assert nights.blobs.get_blob_client(RETENTION_STATE, intent_name(key)).exists()


TWO_RULES = """
[policy]
time_zone = "UTC"

[[rule]]
name = "all"
keep_years = 5
from = ["study_date"]

[[rule]]
name = "mammography"
when = { modality = ["MG"] }
keep_years = 10
from = ["study_date", "patient_last_study"]

[brakes]
max_share = 1.0
min_age_days = 0
"""


async def test_a_date_counts_while_nobody_can_tell(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    nights.write("policy.toml", TWO_RULES)
    kept = nights.archive.store(sample_of("1", "20100305", x00080060=("CS", "MG")))
    recent = (clock.now() - timedelta(days=6 * 365)).strftime("%Y%m%d")
    key = nights.archive.store(sample_of("1", recent))
    await nights.night()
    delete, failing = DICOMwebClient.delete_study, {"kind": "metadata", "fault": "status", "status": 500, "requests": 3}

    async def answer_late(client: DICOMwebClient, **what: Any) -> None:
        await delete(client, **what)
        nights.archive.inject(failing)
        raise Busy("", 504)

    with monkeypatch.context() as patch:
        patch.setattr(DICOMwebClient, "delete_study", answer_late)
        await nights.night()
    assert not nights.has(key)
    for is_failing in (True, False, False):
        if is_failing:
            nights.archive.inject(failing)
        nights.archive.wait(days=1)
        await nights.night()
        assert nights.blobs.get_blob_client(RETENTION_STATE, intent_name(key)).exists() == is_failing
        assert nights.has(kept)
    async with nights.archive.run(key=nights.settings["LEDGER_KEY"]) as run:
        row = await found(run, key)
        assert row.purged_at is not None


async def test_an_instance_that_the_feed_tells_of_too_late(nights: Nights) -> None:
    archive = nights.archive
    one = sample_of("1", "20100305")
    key, other = archive.store(one), archive.store(sample_of("2", "20100305"))
    await nights.night()
    archive.wait(days=5 * 365)
    await nights.night()
    archive.wait(minutes=-20)
    archive.store(one.sibling(elements=one.elements))
    archive.wait(minutes=20, days=10)
    for _ in range(3):
        await nights.night()
        archive.wait(days=1)
    assert not nights.has(other)
    assert nights.has(key)


async def test_the_table_is_deleted(nights: Nights) -> None:
    nights.write("policy.toml", POLICY + "per_night = 1\n")
    keys = [nights.archive.store(sample_of(patient, "20100305")) for patient in "12"]
    await nights.night()
    nights.archive.wait(days=6 * 365)
    await nights.night()
    nights.archive.wait(days=1)
    async with nights.clients() as clients:
        assert clients.tables is not None
        await clients.tables.delete_table(f"RetentionLedger{Hasher(nights.settings['LEDGER_KEY']).key_id}")
    await nights.night()
    assert sum(map(nights.has, keys)) == 1
    await nights.night()
    assert not any(map(nights.has, keys))


@pytest.mark.parametrize(
    ("spellings", "issuers", "line"),
    [
        pytest.param(("4711", "0004711"), ("", ""), "4711,", id="the line has the id of the patient who is gone"),
        pytest.param(("4711", "0004711"), ("", ""), "04711,", id="the line has the id of neither patient"),
        pytest.param(("4711", "4711"), ("a", "b"), "4711,", id="the two patients differ by the issuer"),
    ],
)
async def test_a_line_that_is_clear_because_a_patient_is_gone(
    nights: Nights, spellings: tuple[str, str], issuers: tuple[str, str], line: str
) -> None:
    nights.write(
        "policy.toml",
        POLICY.replace("keep_years = 5", 'keep_years = 5\nfrom = ["deaths"]')
        + '[[anchor]]\nname = "deaths"\nlist = "deaths.csv"\nmax_age_days = 36500\n',
    )
    nights.write("deaths.csv", f"patient_id,issuer,date\n{line},2010-04-01\n")
    gone, left = (
        sample_of(patient, "20100305", x00100021=("LO", issuer))
        for patient, issuer in zip(spellings, issuers, strict=True)
    )
    key = [nights.archive.store(one) for one in (gone, left)][1]
    await nights.night()
    nights.archive.wait(days=6 * 365)
    nights.archive.delete(gone.study_path)
    await nights.night()
    assert nights.has(key)
    await nights.night()
    assert not nights.has(key)
