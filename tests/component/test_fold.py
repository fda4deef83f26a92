"""The change feed, folded into the ledger: at the local service, by its real routes."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from purge_study.ledger import folding
from purge_study.ledger.folding import fold, mark_latest
from purge_study.ledger.ledger import Progress
from purge_study.ledger.row import StudyKey
from purge_study.records.pointers import write_pointer
from purge_study.records.tombstones import tombstone_name
from purge_study.run import OutOfTime, Run
from shared import clock
from shared.settings import RETENTION_RECORDS
from store_on_upload.probing.instance import STUDY_INSTANCE_UID
from tests.kit.archive import A, Archive, B, archive_in, kill, out_of_time, sample_of, table_of
from tests.kit.files import Sample
from tests.kit.ledger_rows import row
from tests.kit.watched_storage import Killed, Watch

LAG = timedelta(minutes=5)


@pytest.fixture
def archive(azurite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    """An archive that is empty at first, whose feed is taken in two changes at a time."""
    monkeypatch.setattr(folding, "_CHANGES_AT_ONCE", 2)
    with archive_in(tmp_path, azurite, monkeypatch) as archive:
        yield archive


async def received(run: Run) -> dict[StudyKey, datetime | None]:
    rows = [await run.ledger.find(key) async for key in run.ledger.marked()]
    return {row.key: row.received for row in rows if row}


async def test_newest_create_counts(archive: Archive) -> None:
    """Whatever else happened to a study: replaced, deleted in part, or sent again."""
    first, second = sample_of("1"), sample_of("1")
    second.study = first.study
    key = archive.store(first)
    archive.wait(days=1)
    archive.store(second)
    archive.wait(days=1)
    archive.delete(first.path)
    archive.wait(days=1)
    async with archive.run() as run:
        await fold(run)
        assert await received(run) == {key: archive.created(second)}
        archive.store(first)
        archive.wait(days=1)
        await fold(run)
        assert await received(run) == {key: archive.created(first)}


async def test_same_uid_in_two_partitions(archive: Archive) -> None:
    sample = sample_of("1")
    here = archive.store(sample, A)
    archive.wait(days=1)
    there = archive.store(sample, B)
    archive.wait(days=1)
    async with archive.run() as run:
        await fold(run)
        assert await received(run) == {here: archive.created(sample, A), there: archive.created(sample, B)}


async def test_empty_feed(archive: Archive) -> None:
    """All of nothing is folded in, up to some minutes ago."""
    async with archive.run() as run:
        await fold(run)
        progress = await run.ledger.progress()
        assert progress.is_folded
        assert progress.mark is not None
        assert timedelta() <= clock.now() - LAG - progress.mark < LAG
        assert not [key async for key in run.ledger.marked()]


async def test_lags_behind(archive: Archive) -> None:
    """What is younger than FEED_LAG_SECONDS waits: something from before it may become visible yet."""
    async with archive.run() as run:
        key = archive.store(sample_of("1"))
        await fold(run)
        assert await received(run) == {}
        archive.wait(minutes=6)
        await fold(run)
        assert (await received(run)).keys() == {key}


async def test_killed_at_each_write(archive: Archive) -> None:
    keys = []
    for number in range(5):
        keys.append(archive.store(sample_of(str(number))))
        archive.wait(hours=1)
    archive.store(sample_of("0").sibling(study=keys[0].uid))
    archive.wait(days=1)
    watch = Watch()
    async with archive.run(watch) as run:
        watch.leave()
        await fold(run)
        writes = [number for number, request in enumerate(watch.requests, 1) if not request.startswith("GET")]
        expected = await received(run)
    assert expected.keys() == set(keys)
    for at in writes:
        async with archive.run(watch) as run:
            watch.step_in(at, kill, is_after=True)
            with pytest.raises(Killed):
                await fold(run)
            watch.leave()
            await fold(run)
            assert await received(run) == expected
            assert (await run.ledger.progress()).is_folded


async def test_out_of_time(archive: Archive) -> None:
    """It notes how far it came, which is not to the end, and goes on from there, with the last change once more."""
    keys = []
    for number in range(5):
        keys.append(archive.store(sample_of(str(number))))
        archive.wait(hours=1)
    async with archive.run() as run:
        for known in (2, 3):
            with pytest.raises(OutOfTime):
                await fold(out_of_time(run))
            assert (await received(run)).keys() == set(keys[:known])
            assert not (await run.ledger.progress()).is_folded
        await fold(run)
        assert (await received(run)).keys() == set(keys)
        assert (await run.ledger.progress()).is_folded


async def test_what_was_folded_before_comes_again_without_effect(archive: Archive) -> None:
    async with archive.run() as run:
        archive.store(sample_of("1"))
        archive.wait(minutes=7)
        await fold(run)
        before = await table_of(run)
        archive.wait(minutes=1)
        await fold(run)
        after = await table_of(run)
    assert before.pop("progress") != after.pop("progress")
    assert before == after


async def test_a_mark_ahead_of_the_present(archive: Archive) -> None:
    async with archive.run() as run:
        key = archive.store(sample_of("1"))
        archive.wait(days=1)
        await run.ledger.note(Progress(clock.now() + timedelta(days=365), is_folded=True))
        await fold(run)
        assert (await received(run)).keys() == {key}
        progress = await run.ledger.progress()
        assert progress.mark is not None
        assert progress.mark < clock.now()


@pytest.mark.parametrize(
    ("looked_at", "deleted_at", "was_seen", "is_late"),
    [
        (-1, 1, True, True),
        (1, 2, True, False),
        (-2, -1, True, False),
        (1, 2, False, True),
        (-2, -1, False, True),
        (301, 302, False, False),
        (-302, -301, False, False),
    ],
)
async def test_late_instance(
    archive: Archive, caplog: pytest.LogCaptureFixture, looked_at: int, deleted_at: int, was_seen: bool, is_late: bool
) -> None:
    """One that came between the last look and the deletion is told, once; an earlier or a later one is not.

    One that the last look did not see counts though the service's clock is some minutes behind ours, or ahead.
    """
    caplog.set_level(logging.INFO, "dicom_dropbox")
    sample = sample_of("1")
    key = archive.store(sample)
    created = archive.created(sample)
    archive.delete(sample.study_path)
    archive.wait(days=1)
    async with archive.run() as run:
        await run.ledger.write([row(key, purged_at=created)])
        begin, end = (created + timedelta(seconds=seconds) for seconds in (looked_at, deleted_at))
        await bury(run, key, begin, end, {sample.series: [sample.sop] if was_seen else []})
        await fold(run)
        await run.ledger.note(Progress())
        await fold(run)
    lines = [json.loads(record.message) for record in caplog.records if record.name == "dicom_dropbox"]
    assert lines == [{"event": "purged_late_instance"}] * is_late


@pytest.mark.parametrize(
    "tombstone",
    [
        "a note",
        "[]",
        "{}",
        '{"looked_at": "2000-01-01T00:00:00+00:00", "deleted_at": "yesterday", "series": {}}',
        '{"looked_at": 2000, "deleted_at": 2001, "series": {}}',
        '{"looked_at": "2000-01-01T00:00:00+00:00", "deleted_at": "2100-01-01T00:00:00+00:00", "series": []}',
        '{"looked_at": "2000-01-01T00:00:00", "deleted_at": "2100-01-01T00:00:00", "series": {}}',
    ],
    ids=["text", "list", "empty", "no time", "number", "series", "no zone"],
)
async def test_a_tombstone_written_by_hand(archive: Archive, caplog: pytest.LogCaptureFixture, tombstone: str) -> None:
    caplog.set_level(logging.INFO, "dicom_dropbox")
    sample = sample_of("1")
    key = archive.store(sample)
    created = archive.created(sample)
    archive.delete(sample.study_path)
    archive.wait(days=1)
    async with archive.run() as run:
        await run.ledger.write([row(key, purged_at=created)])
        await write_tombstone(run, key, tombstone)
        await fold(run)
        assert (await run.ledger.progress()).is_folded
    assert caplog.messages == []


async def test_the_probe_is_passed_over(archive: Archive) -> None:
    first = archive.store(sample_of("1"))
    probe = Sample(STUDY_INSTANCE_UID)
    archive.store(probe)
    archive.wait(days=1)
    archive.delete(probe.study_path)
    archive.wait(days=1)
    second = archive.store(sample_of("2"))
    archive.store(Sample(STUDY_INSTANCE_UID))
    archive.wait(days=1)
    async with archive.run() as run:
        await fold(run)
        await mark_latest(run)
        assert set(await received(run)) == {first, second}
        assert (await run.ledger.progress()).is_folded


async def bury(
    run: Run, key: StudyKey, looked_at: datetime, deleted_at: datetime, series: dict[str, list[str]]
) -> None:
    tombstone = {"looked_at": looked_at.isoformat(), "deleted_at": deleted_at.isoformat(), "series": series}
    await write_tombstone(run, key, json.dumps(tombstone))


async def write_tombstone(run: Run, key: StudyKey, content: str) -> None:
    """Put anything in the place of a study's tombstone."""
    blob = run.clients.container(RETENTION_RECORDS).get_blob_client(tombstone_name(key, "an id"))
    await blob.upload_blob(content, overwrite=True)
    await write_pointer(run.clients, key, "an id", "")
