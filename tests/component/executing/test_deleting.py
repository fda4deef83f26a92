"""A study's deletion, from the look again to the tombstone, and what keeps a study from it."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from inspect import isawaitable
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from azure.storage.blob import ContainerClient

from purge_study.executing import execute
from purge_study.executing.execute import Outcome, delete_study
from purge_study.executing.reasons import FailedByItself, Halt
from purge_study.executing.vault import Vaulted, copy_to_vault
from purge_study.ledger.row import StudyKey
from purge_study.records.restored import Restored, write_restored
from purge_study.run import OutOfTime, Run
from shared.dicomweb import DICOMwebClient
from shared.dicomweb.partitions import DEFAULT_PARTITION
from shared.dicomweb.query import MAX_LIMIT
from shared.purged import pointer_name
from shared.settings import RETENTION_RECORDS, RETENTION_STATE, VAULT
from tests.kit.deleting_process import PARTITIONS, leased
from tests.kit.deletions import (
    ALL,
    ELSEWHERE,
    HERE,
    LONG_AGO,
    PLAN,
    POLICY,
    SERVICE,
    Deletions,
    Victim,
    of_long_ago,
    two_series,
)
from tests.kit.files import Sample, new_uid
from tests.kit.gateway import Fault, Moment

pytestmark = pytest.mark.anyio


def events(caplog: pytest.LogCaptureFixture, name: str) -> list[dict[str, object]]:
    lines = [json.loads(record.message) for record in caplog.records if record.name == "dicom_dropbox"]
    return [line for line in lines if line["event"] == name]


def reasons(caplog: pytest.LogCaptureFixture, name: str) -> list[object]:
    return [line["reason"] for line in events(caplog, name)]


async def test_deleted_copied_and_recorded(deletions: Deletions, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="dicom_dropbox")
    victim = await deletions.due(*two_series())
    warrant = replace(await deletions.warrant(), approved_by="somebody")
    assert await deletions.run(victim, warrant=warrant) == [Outcome.DELETED]
    tombstone = await victim.check_deleted()
    first, second = victim.samples
    assert tombstone["study_instance_uid"] == first.study
    assert tombstone["partition"] == HERE
    assert tombstone["series"] == {first.series: [first.sop], second.series: [second.sop]}
    assert tombstone["instances"] == 2
    assert (tombstone["rule"], tombstone["keep_until"]) == ("all", "2020-03-05")
    assert set(tombstone["dates"]) == {"study_date", "received", "patient_last_study"}
    assert tombstone["received"] == LONG_AGO.isoformat()
    assert tombstone["policy_hash"] == warrant.rulebook.policy_hash
    assert tombstone["hashes"] == dict(warrant.rulebook.hashes)
    assert (tombstone["plan_id"], tombstone["plan_hash"]) == (warrant.plan_id, warrant.plan_hash)
    assert (tombstone["mode"], tombstone["approved_by"]) == ("delete", "somebody")
    assert tombstone["ending"] == "deleted"
    looked_at, deleted_at, until = (
        datetime.fromisoformat(tombstone[name]) for name in ("looked_at", "deleted_at", "restorable_until")
    )
    assert looked_at < deleted_at
    assert until == looked_at + timedelta(days=90)
    [told] = events(caplog, "study_purged")
    assert (told["reason"], told["datasets"], told["bytes"]) == (
        "deleted",
        2,
        sum(len(sample.content) for sample in victim.samples),
    )
    assert first.study not in "".join(r.message for r in caplog.records if r.name == "dicom_dropbox")
    assert events(caplog, "purged_too_soon") + events(caplog, "purge_unchecked") == []


async def test_no_patient_data_in_records(deletions: Deletions) -> None:
    first = Sample(
        elements={
            0x00080020: ("DA", b"20150305"),
            0x00080050: ("SH", b"CANARY-ACCESSION"),
            0x00100010: ("PN", b"CANARY^NAME"),
            0x00100020: ("LO", b"CANARY-ID-1"),
        }
    )
    victim = await deletions.due(first)
    await deletions.run(victim)
    tombstone = await victim.check_deleted()
    assert tombstone.pop("attributes") == {"AccessionNumber": ["CANARY-ACCESSION"]}
    assert "CANARY" not in json.dumps(tombstone)
    manifests = [content for name, content in victim.vaulted().items() if name.endswith("manifest.json")]
    assert all(b"CANARY" not in content for content in manifests)


async def test_in_the_default_partition(deletions: Deletions) -> None:
    victim = await deletions.due(partition=DEFAULT_PARTITION)
    assert await deletions.run(victim) == [Outcome.DELETED]
    await victim.check_deleted()


async def test_without_a_vault(deletions: Deletions) -> None:
    """With BEFORE_DELETE=none nothing is copied, and the tombstone says that there is no way back."""
    victim = await deletions.due()
    deletions.through["BEFORE_DELETE"] = "none"
    try:
        assert await deletions.run(victim) == [Outcome.DELETED]
    finally:
        del deletions.through["BEFORE_DELETE"]
    assert not victim.is_there
    assert victim.vaulted() == {}
    tombstone = victim.tombstone
    assert tombstone is not None
    assert (tombstone["before_delete"], tombstone["vault"], tombstone["restorable_until"]) == ("none", None, None)


async def test_deleted_a_second_time(deletions: Deletions) -> None:
    victim = await deletions.due()
    await deletions.run(victim)
    first = await victim.check_deleted()
    deletions.store(*victim.samples)
    again = await victim.planned_anew()
    assert await deletions.run(again) == [Outcome.DELETED]
    second = await again.check_deleted()
    assert second["deletion_id"] != first["deletion_id"]
    assert victim.tombstones == [first, second]
    assert deletions.policy.refused == []


async def test_a_pointer_written_by_hand(deletions: Deletions) -> None:
    victim = await deletions.due()
    name = pointer_name(victim.key.partition, victim.key.uid)
    deletions.storage.get_blob_client(RETENTION_STATE, name).upload_blob(b"a note")
    assert await deletions.run(victim) == [Outcome.DELETED]
    await victim.check_deleted()


async def test_already_gone(deletions: Deletions, caplog: pytest.LogCaptureFixture) -> None:
    """A study that somebody else has deleted gets no tombstone, and leaves the ledger."""
    caplog.set_level(logging.INFO, logger="dicom_dropbox")
    victim = await deletions.due()
    assert deletions.service.delete(f"/partitions/{HERE}/studies/{victim.key.uid}") == 204
    assert await deletions.run(victim) == [Outcome.ALREADY_GONE]
    assert victim.tombstone is None
    assert await deletions.row(victim.key) is None
    assert reasons(caplog, "purge_dropped") == ["already_gone"]


async def test_already_gone_by_a_deletion_that_stands(deletions: Deletions) -> None:
    victim = await deletions.due()
    await deletions.run(victim)
    deleted_at = (await victim.check_deleted())["deleted_at"]
    row = await deletions.row(victim.key)
    assert row is not None
    await (await deletions.look()).ledger.write([replace(row, purged_at=None)])
    assert await deletions.run(victim) == [Outcome.ALREADY_GONE]
    row = await deletions.row(victim.key)
    assert row is not None
    assert row.purged_at == datetime.fromisoformat(deleted_at)


async def test_gone_while_its_deletion_is_open(deletions: Deletions, caplog: pytest.LogCaptureFixture) -> None:
    warrant = await deletions.warrant()
    deletion = await deletions.number_of_deletion(warrant)
    victim = await deletions.due(warrant=warrant)
    await deletions.die(victim, warrant, deletion, Moment.AFTER)
    assert await deletions.run(victim, warrant=warrant) == [Outcome.FAILED]
    assert reasons(caplog, "purge_failed") == ["intent_open"]
    assert victim.intent is not None
    await deletions.resolve()
    await victim.check_deleted()


Change = Callable[[Victim], object]
Elements = dict[int, tuple[str, bytes] | None]
LATER: Elements = {0x00080020: ("DA", b"20240101")}
UNDATED: Elements = {0x00080020: None}
CHANGED, FAILED = Outcome.CHANGED, Outcome.FAILED


async def _do(change: Change, victim: Victim) -> None:
    result = change(victim)
    if isawaitable(result):
        await result


def _at(method: str, path: str, change: Change, victim: Victim, nth: int = 1) -> Fault:
    """Return what does this once, before the nth such request."""
    calls = count(1)

    def act() -> None:
        if next(calls) == nth:
            asyncio.run(_do(change, victim))

    return Fault(1, Moment.BEFORE, times=ALL, meanwhile=act, method=method, path=path)


def _stores(elements: Elements, partition: str = HERE) -> Change:
    """Return what stores another study of the victim's patient."""
    return lambda victim: victim.deletions.store(
        Sample(elements={**victim.samples[0].elements, **elements}), partition=partition
    )


def _new_instance(victim: Victim) -> None:
    victim.deletions.store(victim.samples[0].sibling(elements=victim.samples[0].elements))


def _replaced_instance(victim: Victim) -> None:
    sample = victim.samples[0]
    victim.deletions.put(sample.sibling(sop=sample.sop, elements={**sample.elements, 0x00204000: ("LT", b"other")}))


def _deleted_instance(victim: Victim) -> None:
    assert victim.deletions.service.delete(f"/partitions/{HERE}{victim.samples[0].path}") == 204


def _of_two_days(victim: Victim) -> tuple[Sample, Sample]:
    """Return a study of the patient: an instance of a later day, and one of the victim's."""
    elements = victim.samples[0].elements
    later = Sample(elements={**elements, **LATER})
    return later, later.sibling(elements=elements)


def _later_study_stored_last_with_an_old_date(victim: Victim) -> None:
    victim.deletions.store(*_of_two_days(victim))


async def _known_study_with_later_instances(victim: Victim) -> None:
    later, old = _of_two_days(victim)
    victim.deletions.store(old)
    await victim.deletions.read(StudyKey(HERE, old.study))
    victim.deletions.store(later, old.sibling(elements=old.elements))


async def _marked_study_with_a_later_instance(victim: Victim) -> None:
    later, old = _of_two_days(victim)
    key = StudyKey(HERE, old.study)
    victim.deletions.store(later.sibling(sop=later.sop, elements=old.elements), old)
    await victim.deletions.read(key)
    for sample in (later, old):
        victim.deletions.put(sample)
    await (await victim.deletions.look()).ledger.mark({key: None})


async def _purged_later_study(victim: Victim) -> None:
    later = Sample(elements={**victim.samples[0].elements, **LATER})
    victim.deletions.store(later)
    [row] = await victim.deletions.read(StudyKey(HERE, later.study))
    await (await victim.deletions.look()).ledger.write([replace(row, purged_at=LONG_AGO)])
    assert victim.deletions.service.delete(f"/partitions/{HERE}{later.study_path}") == 204


def _many_studies(victim: Victim) -> None:
    """Store a later study of the patient, and as many old ones as a page of a search holds."""
    _stores(LATER)(victim)
    victim.deletions.store(*(Sample(elements=victim.samples[0].elements) for _ in range(MAX_LIMIT)))


async def _restored(victim: Victim) -> None:
    restored = Restored.at(datetime.now(UTC), "an id", "somebody")
    await write_restored((await victim.deletions.look()).clients, victim.key, restored)


async def _received(victim: Victim) -> None:
    await (await victim.deletions.look()).ledger.mark({victim.key: datetime.now(UTC)})


async def _forgotten(victim: Victim) -> None:
    await (await victim.deletions.look()).ledger.remove(victim.key)


def _held(victim: Victim) -> None:
    victim.deletions.write("litigation.csv", f"study_instance_uid\n{victim.key.uid}\n")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(_new_instance, "attributes", id="a new instance"),
        pytest.param(_replaced_instance, "attributes", id="an instance replaced"),
        pytest.param(_deleted_instance, "attributes", id="an instance less"),
        pytest.param(_stores(LATER), "judgement", id="a later study of the patient"),
        pytest.param(_stores(LATER, ELSEWHERE), "judgement", id="a later study in another partition"),
        pytest.param(_stores(LATER, "site-new"), "judgement", id="a later study in a new partition"),
        pytest.param(_stores(UNDATED, ELSEWHERE), "judgement", id="an undated study of the patient"),
        pytest.param(_later_study_stored_last_with_an_old_date, "judgement", id="an old day stored last"),
        pytest.param(_known_study_with_later_instances, "judgement", id="a study that has got later instances"),
        pytest.param(_marked_study_with_a_later_instance, "judgement", id="an instance replaced by a later one"),
        pytest.param(_purged_later_study, "judgement", id="a later study that is purged"),
        pytest.param(_many_studies, "judgement", id="a later study on the last page of a search"),
        pytest.param(_restored, "hold", id="put back from the vault"),
        pytest.param(_held, "hold", id="held by a list"),
        pytest.param(_received, "contents", id="received again, by the change feed"),
        pytest.param(_forgotten, "ledger", id="not in the ledger"),
    ],
)
async def test_a_study_that_changed_since_it_was_planned_is_kept_and_read_again(
    deletions: Deletions, caplog: pytest.LogCaptureFixture, change: Change, reason: str
) -> None:
    caplog.set_level(logging.INFO, logger="dicom_dropbox")
    victim = await deletions.due(*two_series())
    await _do(change, victim)
    assert await deletions.run(victim) == [CHANGED]
    victim.check_untouched()
    assert victim.key in await deletions.marked()
    assert victim.vaulted() == {}
    assert reasons(caplog, "purge_dropped") == [reason]


Spoil = Callable[[ContainerClient, str], object]


def _overwrite(vault: ContainerClient, name: str) -> None:
    vault.upload_blob(name, vault.download_blob(name).readall()[:-1] + b"X", overwrite=True)


def _truncate(vault: ContainerClient, name: str) -> None:
    vault.upload_blob(name, vault.download_blob(name).readall()[:-1], overwrite=True)


def _spoils(spoil: Spoil, file: str = ".dcm") -> Change:
    def change(victim: Victim) -> None:
        vault, asked_for = victim.deletions.storage.get_container_client(VAULT), victim.deletions.gateway.steps[-1].path
        names = [name for name in victim.vaulted() if name.endswith(file)]
        spoil(vault, next((name for name in names if name in asked_for), names[0]))

    return change


def _found_nowhere(victim: Victim) -> None:
    fault = {"fault": "status", "kind": "search", "status": 204, "requests": len(PARTITIONS)}
    victim.deletions.inject(fault)


LOST, DIFFERS, DELETE = "copies_missing", "copy_differs", ContainerClient.delete_blob


@pytest.mark.parametrize(
    ("request_", "change", "outcome", "reason"),
    [
        pytest.param("GET .dcm", _spoils(_overwrite), FAILED, DIFFERS, id="a copy overwritten before it is read back"),
        pytest.param("GET /dicom-vault?", _spoils(DELETE), FAILED, LOST, id="a copy lost before all are counted"),
        pytest.param("GET /dicom-vault?", _spoils(_overwrite), FAILED, LOST, id="a copy overwritten before the count"),
        pytest.param(
            "GET /manifest.json", _spoils(_overwrite, ".json"), FAILED, DIFFERS, id="the manifest overwritten"
        ),
        pytest.param("PUT /intents/", _spoils(DELETE), FAILED, LOST, id="a copy lost before the last look"),
        pytest.param("PUT /intents/", _spoils(_overwrite), FAILED, LOST, id="a copy overwritten before the last look"),
        pytest.param("PUT /intents/", _spoils(_truncate), FAILED, LOST, id="a copy truncated before the last look"),
        pytest.param("PUT /intents/", _spoils(DELETE, ".json"), FAILED, LOST, id="the manifest lost by then"),
        pytest.param("PUT /intents/", _spoils(_overwrite, ".json"), FAILED, LOST, id="the manifest spoilt by then"),
        pytest.param("PUT /intents/", _spoils(_truncate, ".json"), FAILED, LOST, id="the manifest truncated by then"),
        pytest.param("PUT /intents/", _found_nowhere, FAILED, "patient_not_found", id="the last search finds nothing"),
        pytest.param("GET /metadata 2", _new_instance, CHANGED, "contents", id="a new instance"),
    ],
)
async def test_what_is_wrong_during_a_deletion_keeps_the_study(
    deletions: Deletions,
    caplog: pytest.LogCaptureFixture,
    request_: str,
    change: Change,
    outcome: Outcome,
    reason: str,
) -> None:
    caplog.set_level(logging.INFO, logger="dicom_dropbox")
    victim = await deletions.due(*two_series())
    method, path, *nth = request_.split()
    assert await deletions.run(victim, fault=_at(method, path, change, victim, *map(int, nth))) == [outcome]
    victim.check_untouched()
    assert victim.intent is None
    assert reasons(caplog, "purge_failed") + reasons(caplog, "purge_dropped") == [reason]
    row = await deletions.row(victim.key)
    assert row is not None
    assert row.failures == 1


@pytest.mark.parametrize(
    ("change", "before_delete"),
    [
        pytest.param(_stores(LATER), "vault", id="a later study"),
        pytest.param(_stores(LATER), "none", id="a later study, where nothing is copied"),
        pytest.param(_stores(LATER, "site-new"), "vault", id="a later study in a new partition"),
        pytest.param(_stores(UNDATED, ELSEWHERE), "none", id="an undated study, where nothing is copied"),
        pytest.param(_later_study_stored_last_with_an_old_date, "vault", id="an old day stored last"),
    ],
)
async def test_a_study_is_kept_if_the_patient_returns_before_the_last_look(
    deletions: Deletions,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    change: Change,
    before_delete: str,
) -> None:
    caplog.set_level(logging.INFO, logger="dicom_dropbox")
    monkeypatch.setitem(deletions.through, "BEFORE_DELETE", before_delete)
    victim = await deletions.due()
    step = "/manifest.json" if before_delete == "vault" else "/intents/"
    assert await deletions.run(victim, fault=_at("PUT", step, change, victim)) == [CHANGED]
    victim.check_untouched()
    assert victim.intent is None
    assert victim.key in await deletions.marked()
    assert reasons(caplog, "purge_dropped") == ["patient_returned"]


def _lose_lease(run: Run, deletions: Deletions) -> Run:
    deletions.let_lease_end()
    return run


def _withdraw(run: Run, deletions: Deletions) -> Run:
    deletions.storage.get_blob_client(RETENTION_RECORDS, f"withdrawals/{PLAN}.json").upload_blob(b"{}")
    return run


REPORT, APPROVE, NO_COPY = {"PURGE_MODE": "report"}, {"PURGE_MODE": "approve"}, {"BEFORE_DELETE": "none"}
Prepare = Callable[[Run, Deletions], Run]


@pytest.mark.parametrize(
    ("settings", "prepare", "approver", "halt"),
    [
        pytest.param(REPORT, lambda run, _: run, None, "not_allowed", id="report"),
        pytest.param(REPORT, lambda run, _: run, "A", "not_allowed", id="report, and approved"),
        pytest.param(APPROVE, lambda run, _: run, None, "not_allowed", id="approve, and not approved"),
        pytest.param(APPROVE, _withdraw, "A", "plan_withdrawn", id="approved, and withdrawn"),
        pytest.param({}, _withdraw, "A", "plan_withdrawn", id="delete, and withdrawn"),
        pytest.param({}, lambda run, _: replace(run, lease=None), None, "not_allowed", id="no lease, as a preview"),
        pytest.param({}, _lose_lease, None, "lease_lost", id="lease lost"),
        pytest.param({}, lambda run, _: replace(run, ends_at=0.0), None, None, id="out of time"),
        pytest.param(NO_COPY, lambda run, _: replace(run, ends_at=0.0), None, None, id="out of time without copies"),
    ],
)
async def test_a_run_that_may_not_delete_does_not_even_copy(
    deletions: Deletions, settings: dict[str, str], prepare: Prepare, approver: str | None, halt: str | None
) -> None:
    victim = await deletions.due()
    warrant = replace(await deletions.warrant(), approved_by=approver)
    async with leased({**deletions.direct, **settings}) as run:
        with pytest.raises(Halt, match=halt) if halt else pytest.raises(OutOfTime):
            await delete_study(prepare(run, deletions), victim.item, warrant)
    victim.check_untouched()
    assert victim.vaulted() == {}


@pytest.mark.parametrize("status", [400, 404])
async def test_the_partitions_are_not_listed_at_the_last_look(deletions: Deletions, status: int) -> None:
    assert await deletions.run(await deletions.due()) == [Outcome.DELETED]
    listed = [step.number for step in deletions.gateway.steps if step.path.partition("?")[0].endswith("/partitions")]
    victim = await deletions.due()
    failing = Fault(listed[-2], Moment.BEFORE, status=status, target=SERVICE)
    assert await deletions.run(victim, fault=failing) == [Outcome.FAILED]
    victim.check_untouched()


async def test_the_patient_returns_after_the_last_search(
    deletions: Deletions, caplog: pytest.LogCaptureFixture
) -> None:
    victim = await deletions.due()
    late = _at("DELETE", "/studies/", _stores(LATER), victim)
    assert await deletions.run(victim, fault=late) == [Outcome.DELETED]
    tombstone = await victim.check_deleted()
    assert events(caplog, "purged_too_soon") == [
        {"event": "purged_too_soon", "reason": "vault", "deletion": tombstone["deletion_id"]}
    ]
    [record] = [record for record in caplog.records if "purged_too_soon" in record.message]
    assert record.levelno == logging.ERROR
    assert victim.key.uid not in record.message


@pytest.mark.parametrize("status", [None, 403, 500, 503])
async def test_the_search_after_the_deletion_fails(
    deletions: Deletions, caplog: pytest.LogCaptureFixture, status: int | None
) -> None:
    caplog.set_level(logging.INFO, logger="dicom_dropbox")
    warrant = await deletions.warrant()
    deletion = await deletions.number_of_deletion(warrant)
    after = [step.number for step in deletions.gateway.steps[deletion:] if "PatientID=" in step.path]
    victim = await deletions.due(warrant=warrant)
    failing = Fault(after[0], Moment.BEFORE, status=status, times=ALL, target=SERVICE)
    assert await deletions.run(victim, warrant=warrant, fault=failing) == [Outcome.DELETED]
    tombstone = await victim.check_deleted()
    [told] = events(caplog, "purge_unchecked")
    assert told["deletion"] == tombstone["deletion_id"]
    assert told["error"]
    assert events(caplog, "purge_failed") + events(caplog, "retention_halted") == []


async def test_a_last_search_that_takes_minutes(deletions: Deletions, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = await deletions.due()
    searching = _let_searches_take(31.0, victim, monkeypatch)
    assert await deletions.run(victim, fault=searching) == [Outcome.DELETED]
    await victim.check_deleted()


async def test_a_last_search_that_takes_too_long(
    deletions: Deletions, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    victim = await deletions.due()
    searching = _let_searches_take(601.0, victim, monkeypatch)
    assert await deletions.run(victim, fault=searching) == [Outcome.FAILED]
    victim.check_untouched()
    assert victim.intent is None
    assert [(told["reason"], told["attempts"]) for told in events(caplog, "purge_failed")] == [("search_too_slow", 1)]


def _let_searches_take(seconds: float, victim: Victim, monkeypatch: pytest.MonkeyPatch) -> Fault:
    """Have the executor's clock go on by so much with each search for the patient's studies, and stand still else."""
    now = [time.monotonic()]
    monkeypatch.setattr(execute, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def pass_time() -> None:
        now[0] += seconds

    return Fault(1, Moment.BEFORE, times=ALL, meanwhile=pass_time, method="GET", path="PatientID=")


ITEMS = {
    "held": {"held_by": ("litigation",)},
    "another rule": {"rule": "another"},
    "another last day": {"keep_until": date(2019, 1, 1)},
    "other dates": {"dates": {"study_date": date(2015, 3, 5)}},
    "another count": {"instances": 3},
    "another reception": {"received": LONG_AGO + timedelta(seconds=1)},
    "another version": {"etag": "0-0"},
}


@pytest.mark.parametrize("name", ITEMS)
async def test_other_than_the_plan_says(deletions: Deletions, name: str) -> None:
    victim = await deletions.due()
    other = replace(victim, item=replace(victim.item, **ITEMS[name]))  # type: ignore[arg-type]  # each of its field's
    assert await deletions.run(other) == [Outcome.CHANGED]
    victim.check_untouched()
    row = await deletions.row(victim.key)
    assert row is not None
    assert row.failures == 1


async def test_not_due(deletions: Deletions) -> None:
    """A study that the rules keep stays, even where a plan agrees with the ledger in all but that."""
    victim = await deletions.due()
    deletions.write("policy.toml", POLICY.replace("keep_years = 5", "keep_years = 50"))
    [row] = await deletions.read(victim.key)
    assert row.judgement is not None
    assert row.judgement.keep_until is not None
    planned = replace(victim.item, keep_until=row.judgement.keep_until, dates=row.judgement.dates)
    assert await deletions.run(replace(victim, item=planned)) == [Outcome.CHANGED]
    victim.check_untouched()


@pytest.mark.parametrize(
    ("births", "outcome"),
    [
        pytest.param([b"19700101"], Outcome.DELETED, id="the same"),
        pytest.param([b"20100101"], Outcome.CHANGED, id="another one"),
        pytest.param([b"20100101", b"19700101"], Outcome.CHANGED, id="another one in the first of two instances"),
    ],
)
async def test_another_study_contradicts_the_birth_date(
    deletions: Deletions, births: list[bytes], outcome: Outcome
) -> None:
    adults = 'when = { age_at_study_from = 18 }\nkeep_years = 5\nfrom = ["study_date"]'
    deletions.write("policy.toml", POLICY.replace("keep_years = 5", adults))
    elements = {**of_long_ago().elements, 0x00100030: ("DA", b"19700101")}
    victim = await deletions.due(Sample(elements=elements))
    first, *more = [{**elements, 0x00100030: ("DA", birth)} for birth in births]
    sample = Sample(elements=first)
    deletions.store(sample, *(sample.sibling(elements=one) for one in more))
    assert await deletions.run(victim) == [outcome]
    assert victim.is_there == (outcome is Outcome.CHANGED)


async def test_another_patients_study_does_not_count(deletions: Deletions) -> None:
    victim = await deletions.due()
    patient_id = b"00" + victim.samples[0].elements[0x00100020][1]  # type: ignore[index]  # it has one
    other = {**victim.samples[0].elements, 0x00080020: ("DA", b"20240101"), 0x00100020: ("LO", patient_id)}
    deletions.store(Sample(elements=other))
    assert await deletions.run(victim) == [Outcome.DELETED]
    await victim.check_deleted()


@pytest.mark.parametrize("blank", ["\u00a0", "\u3000", "\u2003"], ids=ascii)
async def test_blanks_at_the_ends_of_a_patient_id(deletions: Deletions, blank: str) -> None:
    patient_id = new_uid()[-20:]
    elements = {**of_long_ago().elements, 0x00080005: ("CS", b"ISO_IR 192")}
    victim = await deletions.due(Sample(elements={**elements, 0x00100020: ("LO", f"{patient_id}{blank}".encode())}))
    later = {0x00100020: ("LO", patient_id.encode()), 0x00080020: ("DA", b"20240101")}
    deletions.store(Sample(elements={**elements, **later}))
    assert await deletions.run(victim) == [Outcome.CHANGED]
    victim.check_untouched()


async def test_a_search_that_does_not_find_the_study(deletions: Deletions, caplog: pytest.LogCaptureFixture) -> None:
    victim = await deletions.due()
    for failures in (1, 2):
        deletions.inject({"fault": "status", "kind": "search", "status": 204, "requests": len(PARTITIONS)})
        assert await deletions.run(victim) == [Outcome.FAILED]
        victim.check_untouched()
        row = await deletions.row(victim.key)
        assert row is not None
        assert row.failures == failures
    told = [(told["reason"], told["attempts"]) for told in events(caplog, "purge_failed")]
    assert told == [("patient_not_found", 1), ("patient_not_found", 2)]


async def test_one_that_fails_and_is_not_in_the_ledger(
    deletions: Deletions, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    victim = await deletions.due()
    await _forgotten(victim)

    async def fail(*_: object) -> None:
        raise FailedByItself("metadata_unusable")

    monkeypatch.setattr(execute, "look_again", fail)
    monkeypatch.setattr(Run, "is_of_one_study", fail)
    assert await deletions.run(victim) == [Outcome.FAILED]
    victim.check_untouched()
    assert await deletions.row(victim.key) is None
    assert [told["attempts"] for told in events(caplog, "purge_failed")] == [1]


async def test_approved(deletions: Deletions) -> None:
    """In approve what somebody has approved is deleted."""
    victim = await deletions.due()
    warrant = replace(await deletions.warrant(), approved_by="somebody")
    async with leased({**deletions.direct, "PURGE_MODE": "approve"}) as run:
        assert await delete_study(run, victim.item, warrant) is Outcome.DELETED
    await victim.check_deleted()


async def test_out_of_time_while_it_is_copied(deletions: Deletions, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = await deletions.due()

    async def copy_late(run: Run, *what: Any, **more: Any) -> Vaulted:
        return await copy_to_vault(replace(run, ends_at=0.0), *what, **more)

    monkeypatch.setattr(execute, "copy_to_vault", copy_late)
    with pytest.raises(OutOfTime):
        await deletions.run(victim)
    victim.check_untouched()
    row = await deletions.row(victim.key)
    assert row is not None
    assert row.failures == 1


def _another_study(sample: Sample) -> Sample:
    return Sample(series=sample.series, sop=sample.sop, elements=sample.elements)


def _another_series(sample: Sample) -> Sample:
    return sample.sibling(series=new_uid(), sop=sample.sop, elements=sample.elements)


def _another_instance(sample: Sample) -> Sample:
    return sample.sibling(elements=sample.elements)


@pytest.mark.parametrize("another", [_another_study, _another_series, _another_instance])
async def test_the_service_gives_another_instance(
    deletions: Deletions,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    another: Callable[[Sample], Sample],
) -> None:
    victim = await deletions.due()
    other = another(victim.samples[0])
    deletions.store(other, partition="site-other")
    retrieve = DICOMwebClient.retrieve_instance

    def retrieve_other(client: DICOMwebClient, *, multipart: bool, **_: str) -> Any:
        return retrieve(
            client.partition("site-other"),
            study_instance_uid=other.study,
            series_instance_uid=other.series,
            sop_instance_uid=other.sop,
            multipart=multipart,
        )

    monkeypatch.setattr(DICOMwebClient, "retrieve_instance", retrieve_other)
    assert await deletions.run(victim) == [Outcome.FAILED]
    victim.check_untouched()
    assert reasons(caplog, "purge_failed") == ["other_instance"]


async def test_uid_of_another_study_is_left_alone(deletions: Deletions) -> None:
    victim = await deletions.due()
    other = Sample(study=new_uid(), elements=victim.samples[0].elements)
    deletions.store(other)
    assert await deletions.run(victim) == [Outcome.DELETED]
    await victim.check_deleted()
    assert deletions.is_there(StudyKey(HERE, other.study))
