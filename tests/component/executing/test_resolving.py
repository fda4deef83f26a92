"""What a run that died left: a study that is there, that is gone, or that has come back since."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import Any

import pytest

from purge_study.executing import execute, resolving
from purge_study.executing.execute import Outcome
from purge_study.executing.looking import evaluate_again, is_gone
from purge_study.executing.reasons import Halt
from purge_study.records.restored import Restored, write_restored
from purge_study.records.tombstones import tombstone_name
from purge_study.run import Run
from shared import clock
from shared.dicomweb import DICOMwebClient
from shared.settings import RETENTION_RECORDS, RETENTION_STATE
from tests.kit.deleting_process import later
from tests.kit.deletions import ALL, HERE, Deletions, Victim, of_long_ago, two_series
from tests.kit.files import Sample
from tests.kit.gateway import Fault, Moment

pytestmark = pytest.mark.anyio
Make = Callable[[], Sequence[Sample]]


async def left(deletions: Deletions, moment: Moment, make: Make = lambda: (of_long_ago(),)) -> Victim:
    warrant = await deletions.warrant()
    _, deletion = await deletions.steps(warrant, *make())
    victim = await deletions.due(*make())
    await deletions.die(victim, warrant, deletion, moment)
    assert victim.intent
    assert victim.is_there == (moment is Moment.BEFORE)
    return victim


async def test_the_deletion_may_be_on_its_way(deletions: Deletions) -> None:
    victim = await left(deletions, Moment.BEFORE)
    with pytest.raises(Halt, match="intent_open"):
        await deletions.resolve()
    assert victim.intent
    victim.check_untouched()


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"partition": "site-a", "study_instance_uid": "1.2.3"}'])
async def test_an_intent_that_nobody_can_read(deletions: Deletions, content: str) -> None:
    blob = deletions.storage.get_blob_client(RETENTION_STATE, "intents/site-a/1.2.3.json")
    blob.upload_blob(content)
    with pytest.raises(Halt, match="intent_open"):
        await deletions.resolve()
    assert blob.exists()


async def test_gone_a_moment_ago(deletions: Deletions) -> None:
    victim = await left(deletions, Moment.AFTER)
    await deletions.resolve()
    assert (await victim.check_deleted())["ending"] == "found_gone"


async def test_there_still(deletions: Deletions, monkeypatch: pytest.MonkeyPatch) -> None:
    """A study that nobody has deleted loses its intent, and is read again."""
    victim = await left(deletions, Moment.BEFORE)
    later(monkeypatch)
    await deletions.resolve()
    victim.check_untouched()
    assert victim.intent is None
    assert victim.key in await deletions.marked()


async def test_a_clock_that_is_ahead(deletions: Deletions, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = await left(deletions, Moment.BEFORE)
    now = clock.now
    monkeypatch.setattr(clock, "now", lambda: now() + timedelta(days=365))
    with pytest.raises(Halt, match="intent_open"):
        await deletions.resolve()
    assert victim.intent is not None
    later(monkeypatch)
    await deletions.resolve()


async def test_a_last_look_that_took_minutes(deletions: Deletions, monkeypatch: pytest.MonkeyPatch) -> None:
    warrant = await deletions.warrant()
    _, deletion = await deletions.steps(warrant)
    victim = await deletions.due()
    now = clock.now

    with monkeypatch.context() as patch:

        async def evaluate_slowly(*what: Any) -> None:
            await evaluate_again(*what)
            patch.setattr(clock, "now", now)

        patch.setattr(clock, "now", lambda: now() - timedelta(minutes=30))
        patch.setattr(execute, "evaluate_again", evaluate_slowly)
        await deletions.die(victim, warrant, deletion, Moment.BEFORE)
    assert victim.intent
    with pytest.raises(Halt, match="intent_open"):
        await deletions.resolve()
    assert victim.intent
    victim.check_untouched()


A_RUN = timedelta(seconds=10_800 + 900)  # the longest one, by PURGE_BUDGET_SECONDS


@pytest.mark.parametrize(
    ("sent", "intended", "may_be_on_its_way"),
    [
        (timedelta(minutes=9, seconds=30), timedelta(hours=1), True),  # by a clock that may be five minutes behind
        (timedelta(minutes=11), timedelta(minutes=11), False),
        (None, A_RUN + timedelta(minutes=9, seconds=30), True),
        (None, A_RUN + timedelta(minutes=11), False),
    ],
)
async def test_how_long_a_deletion_may_be_on_its_way(
    deletions: Deletions, sent: timedelta | None, intended: timedelta, may_be_on_its_way: bool
) -> None:
    victim = await left(deletions, Moment.BEFORE)
    intent = {**(victim.intent or {}), "intended_at": (clock.now() - intended).isoformat()}
    intent.pop("sent_at", None)
    if sent is not None:
        intent["sent_at"] = (clock.now() - sent).isoformat()
    deletions.write_intent(victim.key, intent)
    with pytest.raises(Halt, match="intent_open") if may_be_on_its_way else nullcontext():
        await deletions.resolve()
    assert (victim.intent is not None) == may_be_on_its_way
    victim.check_untouched()


async def test_the_deletion_arrives_after_the_look(deletions: Deletions, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = await left(deletions, Moment.BEFORE)
    intent = victim.intent
    earliest_now = Run.earliest_now
    waited = timedelta()

    async def now_of_service(run: Run) -> datetime:
        return await earliest_now(run) + waited

    async def look(*what: Any) -> bool:
        nonlocal waited
        gone = await is_gone(*what)
        waited = timedelta(days=1)
        return gone

    with monkeypatch.context() as patch:
        patch.setattr(Run, "earliest_now", now_of_service)
        patch.setattr(resolving, "is_gone", look)
        with pytest.raises(Halt, match="intent_open"):
            await deletions.resolve()
    assert victim.intent == intent


async def test_another_run_has_taken_over(deletions: Deletions) -> None:
    victim = await left(deletions, Moment.BEFORE)
    others = {**(victim.intent or {}), "deletion_id": "another"}
    deletions.write_intent(victim.key, None)

    def take_over() -> None:
        if victim.intent:
            deletions.write_intent(victim.key, others)

    listing = Fault(1, Moment.BEFORE, method="GET", path="/dicom-vault?", times=ALL, meanwhile=take_over)
    assert await deletions.run(victim, fault=listing) == [Outcome.FAILED]
    victim.check_untouched()
    assert victim.intent == others


async def test_stored_anew_meanwhile(deletions: Deletions, monkeypatch: pytest.MonkeyPatch) -> None:
    """A study that was deleted and has come back gets its tombstone, and its row is that of a living one."""
    victim = await left(deletions, Moment.AFTER)
    deletions.store(*victim.samples)
    later(monkeypatch)
    await deletions.resolve()
    assert victim.is_there
    assert victim.intent is None
    assert victim.tombstone is not None
    assert victim.pointer is not None
    row = await deletions.row(victim.key)
    assert row is not None
    assert row.purged_at is None
    assert victim.key in await deletions.marked()


async def test_put_back_meanwhile(deletions: Deletions, monkeypatch: pytest.MonkeyPatch) -> None:
    """A study that was put back from the vault is not kept out again; that it was deleted stays on record."""
    victim = await left(deletions, Moment.AFTER)
    await asked_back(victim)
    deletions.store(*victim.samples)
    later(monkeypatch)
    await deletions.resolve()
    assert victim.is_there
    assert victim.tombstone is not None
    assert (victim.pointer, victim.intent) == (None, None)


async def test_asked_for_before_the_deletion_is_recorded(deletions: Deletions) -> None:
    victim = await left(deletions, Moment.AFTER)
    await asked_back(victim)
    await deletions.resolve()
    await victim.check_deleted()


async def asked_back(victim: Victim) -> None:
    """Have somebody ask for a study whose deletion is not recorded yet."""
    assert victim.intent is not None
    assert victim.deletions.own is not None
    restored = Restored.at(clock.now(), victim.intent["deletion_id"], "A. Reader")
    await write_restored(victim.deletions.own.clients, victim.key, restored)


async def test_something_else_in_the_place_of_its_tombstone(deletions: Deletions) -> None:
    victim = await left(deletions, Moment.AFTER)
    assert victim.intent is not None
    name = tombstone_name(victim.key, victim.intent["deletion_id"])
    blob = deletions.storage.get_blob_client(RETENTION_RECORDS, name)
    ours = {**victim.intent, "ending": "deleted", "deleted_at": "2026-03-05T03:00:00+00:00"}
    unended = {name: value for name, value in ours.items() if name != "deleted_at"}
    others: list[Any] = [unended, ours | {"instances": 7}, ours | {"more": 1}, []]
    for content in others:
        blob.upload_blob(json.dumps(content), overwrite=True)
        with pytest.raises(Halt, match="record_differs"):
            await deletions.resolve()
    assert (victim.is_there, victim.intent is None, victim.pointer) == (False, False, None)
    blob.upload_blob(json.dumps(ours), overwrite=True)
    await deletions.resolve()
    assert await victim.check_deleted() == ours


@pytest.mark.parametrize("etag", ["as it was", None])
async def test_another_instance_meanwhile(
    deletions: Deletions, monkeypatch: pytest.MonkeyPatch, etag: str | None
) -> None:
    """A study in another version that nobody has deleted gets no tombstone, with an ETag and without."""
    victim = await left(deletions, Moment.BEFORE)
    intent = victim.intent
    assert intent is not None
    if etag is None:
        deletions.write_intent(victim.key, {**intent, "etag": None})
    deletions.store(victim.samples[0].sibling(elements=victim.samples[0].elements))
    later(monkeypatch)
    await deletions.resolve()
    victim.check_untouched()
    assert victim.intent is None


async def test_one_of_two_instances_deleted_meanwhile(deletions: Deletions, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = await left(deletions, Moment.BEFORE, two_series)
    first = victim.samples[0]
    assert deletions.service.delete(f"/partitions/{HERE}{first.path}") == 204
    later(monkeypatch)
    await deletions.resolve()
    victim.check_untouched()


async def test_a_deletion_is_not_opened_twice(deletions: Deletions) -> None:
    victim = await left(deletions, Moment.BEFORE)
    intent = victim.intent
    assert await deletions.run(victim) == [Outcome.FAILED]
    victim.check_untouched()
    assert victim.intent == intent


async def test_the_last_look_took_too_long(deletions: Deletions, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = await deletions.due()
    monkeypatch.setattr(execute, "LAST_LOOK_SECONDS", -1.0)
    with pytest.raises(Halt, match="too_slow"):
        await deletions.run(victim)
    victim.check_untouched()
    assert victim.intent is None


Read = Callable[[AsyncIterator[dict[str, Any]]], Awaitable[Any]]


@pytest.fixture
def without_etags(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the service give no ETag."""
    read = DICOMwebClient.read_study_metadata

    async def read_without(client: DICOMwebClient, take: Read, *, study_instance_uid: str) -> tuple[Any, None]:
        found, _ = await read(client, take, study_instance_uid=study_instance_uid)
        return found, None

    monkeypatch.setattr(DICOMwebClient, "read_study_metadata", read_without)


@pytest.mark.usefixtures("without_etags")
async def test_without_etags(deletions: Deletions) -> None:
    """A service that gives none has a study's metadata compared as a whole, and a study that is as it was goes."""
    victim = await deletions.due()
    assert victim.item.etag is None
    assert await deletions.run(victim) == [Outcome.DELETED]
    await victim.check_deleted()


@pytest.mark.usefixtures("without_etags")
async def test_stored_anew_and_not_known_yet(deletions: Deletions) -> None:
    victim = await deletions.due()
    assert await deletions.run(victim) == [Outcome.DELETED]
    deletions.store(*victim.samples)
    assert await deletions.run(victim) == [Outcome.CHANGED]
    assert victim.is_there


@pytest.mark.usefixtures("without_etags")
async def test_replaced_without_etags(deletions: Deletions) -> None:
    """An instance that is replaced before the last look is seen, though their number is the same."""
    warrant = await deletions.warrant()
    _, deletion = await deletions.steps(warrant)
    victim = await deletions.due()
    sample = victim.samples[0]
    other = sample.sibling(sop=sample.sop, elements={**sample.elements, 0x00204000: ("LT", b"other")})

    def replace_it() -> None:
        deletions.put(other)

    fault = Fault(deletion - 2, Moment.BEFORE, meanwhile=replace_it)
    assert await deletions.run(victim, warrant=warrant, fault=fault) == [Outcome.CHANGED]
    victim.check_untouched()
    assert victim.intent is None
