"""Marked studies, read at the local service and judged with their patients' others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from secrets import token_hex

import pytest

from purge_study.ledger import refreshing
from purge_study.ledger.folding import fold
from purge_study.ledger.keys import NO_PATIENT
from purge_study.ledger.ledger import Counts
from purge_study.ledger.reading import READ_AS, read_study
from purge_study.ledger.refreshing import judge_all_anew, judge_patients, mark_outdated, refresh
from purge_study.ledger.row import StudyKey
from purge_study.planning.making import make_plan
from purge_study.policy.facts import Values
from purge_study.policy.policy import State
from purge_study.records.begun import intent_name
from purge_study.records.pointers import write_pointer
from purge_study.rulebook.rulebook import Rulebook
from purge_study.run import OutOfTime, Run
from shared import clock
from shared.settings import RETENTION_STATE
from tests.kit.archive import (
    A,
    Archive,
    B,
    Table,
    archive_in,
    check_agrees,
    found,
    kill,
    out_of_time,
    put_table,
    rulebook,
    sample_of,
    table_of,
)
from tests.kit.files import Sample
from tests.kit.watched_storage import Killed, Watch

TWELVE_YEARS = """
[[rule]]
name = "all"
keep_years = 12
from = ["study_date", "patient_last_study"]
"""
HEADS_FOR_EVER = f"""
{TWELVE_YEARS}
[[rule]]
name = "head"
when = {{ description_words = ["head"] }}
keep_forever = true
"""


@pytest.fixture
def archive(azurite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    """An archive that is empty at first, whose studies are taken in two at a time."""
    monkeypatch.setattr(refreshing, "_STUDIES_AT_ONCE", 2)
    monkeypatch.setattr(refreshing, "_ROWS_AT_ONCE", 2)
    with archive_in(tmp_path, azurite, monkeypatch) as archive:
        yield archive


async def bring_up(archive: Archive, run: Run, rules: Rulebook) -> None:
    """Bring the ledger up to date, as a night does."""
    archive.wait(days=1)
    await fold(run)
    await refresh(run, rules)
    check_agrees(await table_of(run))


async def last_days(run: Run, *keys: StudyKey) -> list[date | None]:
    rows = [await run.ledger.find(key) for key in keys]
    return [row.judgement.keep_until if row and row.judgement else None for row in rows]


async def test_the_partition_is_named(archive: Archive) -> None:
    key = archive.store(sample_of("1"))
    async with archive.run() as run:
        assert await read_study(replace(run, partitions=()), key, ())


async def test_what_is_read(archive: Archive) -> None:
    """What the rules need of all instances, whose study it is, its accession numbers; received by the feed."""
    one = sample_of("007", x00080050=("SH", "ACC-1"), x00081030=("LO", "Head"))
    other = one.sibling(elements={**one.elements, 0x00080050: ("SH", b"ACC-2"), 0x00081030: None})
    key = archive.store(one)
    archive.wait(days=1)
    archive.store(other)
    async with archive.run() as run:
        await bring_up(archive, run, rulebook(HEADS_FOR_EVER))
        row = await found(run, key)
        assert row.reading is not None
        assert row.received == archive.created(other)
        assert row.reading.instances == 2
        assert row.reading.patient == run.hasher.patient("007")
        assert row.reading.accessions == {run.hasher.accession("ACC-1"), run.hasher.accession("acc-2")}
        assert row.reading.attributes["StudyDate"] == Values(frozenset({"20160305"}), is_complete=True)
        assert row.reading.attributes["StudyDescription"] == Values(frozenset({"Head"}), is_complete=False)
        assert row.reading.etag
        assert row.reading.is_whole
        assert not [key async for key in run.ledger.marked()]


async def test_a_later_study_keeps_the_earlier_ones(archive: Archive) -> None:
    early, late, stranger = sample_of("1"), sample_of("1", "20200101"), sample_of("2", "20210101")
    kept = archive.store(early, A)
    async with archive.run() as run:
        await bring_up(archive, run, rulebook())
        assert await last_days(run, kept) == [date(2026, 3, 5)]
        later = archive.store(late, B)
        archive.store(stranger, B)
        await bring_up(archive, run, rulebook())
        assert await last_days(run, kept, later) == [date(2030, 1, 1)] * 2
        archive.delete(late.study_path, B)
        await bring_up(archive, run, rulebook())
        assert await last_days(run, kept) == [date(2026, 3, 5)]
        assert await run.ledger.find(later) is None
        assert (await run.ledger.counts()).studies == 2


@pytest.mark.parametrize("number", [14, 60])
async def test_a_study_of_many_patients_keeps_the_studies_of_each(archive: Archive, number: int) -> None:
    names = [f"p{one:02}" for one in range(number)]
    early = [archive.store(sample_of(name)) for name in (*names[:14], "stranger")]
    late = sample_of(names[0], "20200101")
    archive.store(late)
    for name in names[1:]:
        archive.store(late.sibling(elements={**late.elements, 0x00100020: ("LO", name.encode())}))
    async with archive.run() as run:
        await bring_up(archive, run, rulebook())
        plan = await make_plan(run, rulebook(), date(2029, 12, 31), [])
        assert [item.key for item in plan.items] == (early[14:] if number == 14 else [])
        assert await last_days(run, *early[:14]) == [date(2030, 1, 1)] * 14
        await judge_all_anew(run, rulebook(TWELVE_YEARS))
        assert await last_days(run, *early[:14]) == [date(2032, 1, 1)] * 14
        check_agrees(await table_of(run))


@pytest.mark.parametrize(
    "value", [("IS", "4711"), ("DS", "0004711"), ("UT", "0004711\\P1"), ("PN", "0004711")], ids=str
)
async def test_a_later_study_whose_patient_id_is_not_text(archive: Archive, value: tuple[str, str]) -> None:
    early, other = archive.store(sample_of("0004711")), archive.store(sample_of("0004712"))
    late = archive.store(sample_of("", "20200101", x00100020=value))
    async with archive.run() as run:
        await bring_up(archive, run, rulebook())
        assert await last_days(run, early, other) == [date(2030, 1, 1), date(2026, 3, 5)]
        row = await run.ledger.find(late)
        assert row
        assert row.judgement
        assert row.judgement.state is State.UNKNOWN


async def test_a_later_study_whose_patient_id_cannot_be_read(archive: Archive) -> None:
    early = [archive.store(sample_of(patient)) for patient in ("0004711", "P1", "P2")]
    async with archive.run() as run:
        await bring_up(archive, run, rulebook())
        late = sample_of("", "20200101", x00100020=("UV", "0004711 "))
        archive.store(late)
        await bring_up(archive, run, rulebook())
        assert (await make_plan(run, rulebook(), date(2029, 12, 31), [])).items == ()
        assert await last_days(run, *early) == [date(2030, 1, 1)] * 3
        archive.delete(f"/studies/{late.study}")
        await bring_up(archive, run, rulebook())
        assert len((await make_plan(run, rulebook(), date(2030, 1, 2), [])).items) == 3


async def test_a_404_alone_forgets_no_study(archive: Archive, caplog: pytest.LogCaptureFixture) -> None:
    key = archive.store(sample_of("1"))
    async with archive.run() as run:
        await bring_up(archive, run, rulebook())
        before = await run.ledger.find(key)
        for kinds in (["metadata"], ["metadata", "search"]):
            await run.ledger.mark({key: None})
            for kind in kinds:
                archive.inject({"kind": kind, "fault": "status", "status": 404})
            await refresh(run, rulebook())
            assert [key async for key in run.ledger.marked()] == [key]
            assert await run.ledger.find(key) == before
        assert caplog.text.count("study_unreadable") == 2
        await bring_up(archive, run, rulebook())
        assert not [key async for key in run.ledger.marked()]


async def test_a_study_that_changes_hands(archive: Archive) -> None:
    old, new, moved = sample_of("1"), sample_of("2"), sample_of("1", "20200101")
    keys = [archive.store(sample) for sample in (old, new)]
    archive.store(moved)
    async with archive.run() as run:
        await bring_up(archive, run, rulebook())
        assert await last_days(run, *keys) == [date(2030, 1, 1), date(2026, 3, 5)]
        archive.put(Sample(moved.study, moved.series, moved.sop, {**moved.elements, 0x00100020: ("LO", b"2")}))
        await bring_up(archive, run, rulebook())
        assert await last_days(run, *keys) == [date(2026, 3, 5), date(2030, 1, 1)]


async def test_instances_of_two_patients(archive: Archive) -> None:
    one, other = sample_of("1"), sample_of("2")
    both = sample_of("1", "20200101")
    keys = [archive.store(sample) for sample in (one, other)]
    odd = archive.store(both)
    archive.store(both.sibling(elements={**both.elements, 0x00100020: ("LO", b"2")}))
    async with archive.run() as run:
        await bring_up(archive, run, rulebook('[[rule]]\nname = "all"\nkeep_years = 1\nfrom = ["patient_last_study"]'))
        assert await last_days(run, *keys) == [date(2021, 1, 1)] * 2
        assert [row.key async for row in run.ledger.listed()] == [odd]
        assert odd not in {row.key async for row in run.ledger.due(date.max)}


async def test_a_purged_study(archive: Archive) -> None:
    """Its row outlives it, and it goes on counting as its patient's last; once it is back it is like any other."""
    early, late = sample_of("1"), sample_of("1", "20200101")
    kept, purged = archive.store(early), archive.store(late)
    async with archive.run() as run:
        await bring_up(archive, run, rulebook())
        row = await found(run, purged)
        archive.delete(late.study_path)
        await run.ledger.write([replace(row, purged_at=datetime(2026, 1, 1, tzinfo=UTC))])
        await bring_up(archive, run, rulebook())
        assert await last_days(run, kept) == [date(2030, 1, 1)]
        assert await run.ledger.counts() == Counts(1, {"2030-01": {"CT": 1}})
        assert not [key async for key in run.ledger.marked()]
        archive.store(late)
        await bring_up(archive, run, rulebook())
        row = await found(run, purged)
        assert row.purged_at is None
        assert row.received == archive.created(late)
        assert await run.ledger.counts() == Counts(2, {"2030-01": {"CT": 2}})


async def test_a_purged_study_that_one_answer_brings_back(archive: Archive) -> None:
    early, late = sample_of("1"), sample_of("1", "20200101")
    kept, purged = archive.store(early), archive.store(late)
    deleted_at = datetime(2026, 1, 1, tzinfo=UTC)
    async with archive.run() as run:
        await bring_up(archive, run, rulebook())
        row = await found(run, purged)
        await write_pointer(run.clients, purged, "an id", deleted_at.isoformat())
        await run.ledger.write([replace(row, purged_at=deleted_at)])
        await run.ledger.mark({purged: None})
        await refresh(run, rulebook())
        row = await found(run, purged)
        assert row.judgement is not None
        assert (row.purged_at, row.received, row.judgement.state) == (None, None, State.UNKNOWN)
        assert [key async for key in run.ledger.marked()] == [purged]
        archive.delete(late.study_path)
        await bring_up(archive, run, rulebook())
        row = await found(run, purged)
        assert row.purged_at == deleted_at
        assert await last_days(run, kept) == [date(2030, 1, 1)]
        assert not [key async for key in run.ledger.marked()]


async def test_gone_while_its_deletion_is_open(archive: Archive) -> None:
    early, late = sample_of("1"), sample_of("1", "20200101")
    kept, gone = archive.store(early), archive.store(late)
    async with archive.run() as run:
        await bring_up(archive, run, rulebook())
        row = await run.ledger.find(gone)
        intent = run.clients.container(RETENTION_STATE).get_blob_client(intent_name(gone))
        await intent.upload_blob(b"{}")
        archive.delete(late.study_path)
        await bring_up(archive, run, rulebook())
        assert await last_days(run, kept) == [date(2030, 1, 1)]
        assert await run.ledger.find(gone) == row
        assert [key async for key in run.ledger.marked()] == [gone]
        await intent.delete_blob()
        await bring_up(archive, run, rulebook())
        assert await run.ledger.find(gone) is None
        assert await last_days(run, kept) == [date(2026, 3, 5)]


@pytest.mark.parametrize("is_alone", [False, True], ids=["one more", "one in another's place"])
async def test_an_instance_that_the_feed_does_not_tell_of(archive: Archive, is_alone: bool) -> None:
    one = sample_of("1")
    other = one.sibling(elements=one.elements)
    key = archive.store(one)
    async with archive.run() as run:
        archive.wait(minutes=7)
        await fold(run)
        await refresh(run, rulebook())
        archive.wait(minutes=1)
        archive.store(other)
        if is_alone:
            archive.delete(one.path)
        await fold(run)
        assert [key async for key in run.ledger.marked()] == [key]
        await refresh(run, rulebook())
        row = await found(run, key)
        assert row.judgement is not None
        assert (row.received, row.judgement.state) == (None, State.UNKNOWN)
        await run.ledger.mark({key: archive.created(one)})
        row = await found(run, key)
        assert row.received is None
        await bring_up(archive, run, rulebook())
        row = await found(run, key)
        assert row.received == archive.created(other)
        assert await last_days(run, key) == [date(2026, 3, 5)]


async def test_what_comes_again_counts_once(archive: Archive) -> None:
    archive.store(sample_of("1"))
    async with archive.run() as run:
        archive.wait(minutes=7)
        await fold(run)
        await refresh(run, rulebook())
        counts = await run.ledger.counts()
        archive.wait(minutes=1)
        await fold(run)
        assert [key async for key in run.ledger.marked()]
        await refresh(run, rulebook())
        assert await run.ledger.counts() == counts == Counts(1, {"2026-03": {"CT": 1}})


async def test_one_that_cannot_be_read(archive: Archive, caplog: pytest.LogCaptureFixture) -> None:
    keys = [archive.store(sample_of(str(number))) for number in range(5)]
    archive.wait(days=1)
    async with archive.run() as run:
        await fold(run)
        archive.inject({"fault": "status", "kind": "metadata", "status": 424, "requests": 1})
        await refresh(run, rulebook())
        assert [record.message for record in caplog.records if "study_unreadable" in record.message]
        left = [key async for key in run.ledger.marked()]
        assert len(left) == 1
        assert (await run.ledger.counts()).studies == len(keys) - 1
        await refresh(run, rulebook())
        assert (await run.ledger.counts()).studies == len(keys)


async def test_another_policy(archive: Archive) -> None:
    """All studies are judged by it; what it needs and is not known of them is read; the same policy asks nothing."""
    head = archive.store(sample_of("1", x00081030=("LO", "Head")))
    other = archive.store(sample_of("2", x00081030=("LO", "Knee")))
    nameless = archive.store(sample_of("", x00081030=("LO", "Knee")))
    async with archive.run() as run:
        await bring_up(archive, run, rulebook())
        await judge_all_anew(run, rulebook())
        await judge_all_anew(run, rulebook(HEADS_FOR_EVER))
        rows = [await run.ledger.find(key) for key in (head, other, nameless)]
        states = [row.judgement.state for row in rows if row and row.judgement]
        assert [states[0], states[2]] == [State.FOREVER, State.UNKNOWN]
        assert await last_days(run, other) == [date(2028, 3, 5)]
        progress = await run.ledger.progress()
        assert (progress.judged_by, progress.judging) == (rulebook(HEADS_FOR_EVER).policy_hash, None)
        before = await table_of(run)
        await judge_all_anew(run, rulebook(HEADS_FOR_EVER))
        assert await table_of(run) == before
        check_agrees(before)


async def test_out_of_time(archive: Archive) -> None:
    """What is left of either waits for the next run, which goes on, or begins anew with yet another policy."""
    for number in range(5):
        archive.store(sample_of(str(number)))
    archive.wait(days=1)
    async with archive.run() as run:
        await fold(run)
        with pytest.raises(OutOfTime):
            await refresh(out_of_time(run), rulebook())
        await refresh(run, rulebook())
        with pytest.raises(OutOfTime):
            await judge_all_anew(out_of_time(run), rulebook(HEADS_FOR_EVER))
        progress = await run.ledger.progress()
        assert (progress.judged_by, progress.judging) == (None, rulebook(HEADS_FOR_EVER).policy_hash)
        assert progress.judged_to is not None
        await judge_all_anew(run, rulebook())
        rows = [row async for _, rows in run.ledger.groups() for row in rows]
        assert {row.judged_by for row in rows} == {rulebook().policy_hash}
        assert len(rows) == 5


async def test_studies_that_another_version_has_read(archive: Archive) -> None:
    keys = [archive.store(sample_of(str(number))) for number in range(4)]
    async with archive.run() as run:
        await bring_up(archive, run, rulebook())
        purged = await found(run, keys[0])
        await run.ledger.write([replace(purged, purged_at=clock.now())])
        await run.ledger.note(replace(await run.ledger.progress(), read_as=READ_AS - 1))
        with pytest.raises(OutOfTime):
            await mark_outdated(out_of_time(run))
        marked = {key async for key in run.ledger.marked()}
        assert 0 < len(marked) < len(keys) - 1
        assert (await run.ledger.progress()).read_as is None
        await mark_outdated(run)
        assert {key async for key in run.ledger.marked()} == set(keys[1:])
        await refresh(run, rulebook())
        await mark_outdated(run)
        assert not [key async for key in run.ledger.marked()]


async def test_an_instance_that_the_feed_does_not_tell_of_after_an_upgrade(archive: Archive) -> None:
    one = sample_of("1")
    key, ledger = archive.store(one), token_hex()
    async with archive.run(key=ledger) as run:
        await bring_up(archive, run, rulebook())
        table = await table_of(run)
        await put_table(run, {row: {**entity, "told_until": None} for row, entity in table.items()})
    async with archive.run(key=ledger) as run:
        archive.store(one.sibling(elements=one.elements))
        await run.ledger.mark({key: None})
        await refresh(run, rulebook())
        row = await found(run, key)
        assert row.received is None


async def test_patients_of_a_list(archive: Archive) -> None:
    keys = [archive.store(sample_of(patient_id)) for patient_id in ("1", "", "2")]
    async with archive.run() as run:
        await bring_up(archive, run, rulebook())
        patient = run.hasher.patient("1")
        assert patient is not None
        await judge_patients(run, rulebook(HEADS_FOR_EVER), [patient.group, NO_PATIENT])
        rows = [await run.ledger.find(key) for key in keys]
        assert [row.judged_by for row in rows if row] == [
            rules.policy_hash for rules in (rulebook(HEADS_FOR_EVER), rulebook(HEADS_FOR_EVER), rulebook())
        ]


async def test_killed_at_each_write(archive: Archive) -> None:
    early, late, gone = sample_of("1"), sample_of("1", "20200101"), sample_of("1", "20220101")
    archive.store(early)
    archive.store(gone)
    key = token_hex()
    async with archive.run(key=key) as run:
        await bring_up(archive, run, rulebook())
        before = await table_of(run)
    archive.store(late)
    archive.delete(gone.study_path)
    archive.wait(days=1)
    writes, expected = await night_without_a_kill(archive, key, before)
    for at in writes:
        watch = Watch()
        async with archive.run(watch, key=key) as run:
            await put_table(run, before)
            watch.step_in(at, kill, is_after=True)
            with pytest.raises(Killed):
                await night(run)
            watch.leave()
            check_agrees(await table_of(run))
            await night(run)
            check_agrees(await table_of(run))
            assert without_mark(await table_of(run)) == expected


async def night(run: Run) -> None:
    """Bring the ledger up to date, by another policy."""
    await fold(run)
    await refresh(run, rulebook(HEADS_FOR_EVER))
    await judge_all_anew(run, rulebook(HEADS_FOR_EVER))


async def night_without_a_kill(archive: Archive, key: str, before: Table) -> tuple[list[int], Table]:
    watch = Watch()
    async with archive.run(watch, key=key) as run:
        await put_table(run, before)
        watch.leave()
        await night(run)
        writes = [number for number, request in enumerate(watch.requests, 1) if not request.startswith("GET")]
        assert len(writes) > 6
        return writes, without_mark(await table_of(run))


def without_mark(table: Table) -> Table:
    return {key: {name: value for name, value in row.items() if name != "mark"} for key, row in table.items()}
