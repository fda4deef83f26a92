"""The change feed: its windows, at the local service and at one that tells things late."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest

from shared.dicomweb import Body, Change, ChangeAction, ChangeState, DICOMwebClient, InvalidParameter, InvalidResponse
from tests.component.dicomweb.client_under_test import JSON, SECRET, assert_tells_nothing, client_of
from tests.kit.scripted_server import Received, Script, answer, serve
from tests.kit.service import Sample, running

START = datetime(2026, 1, 1, tzinfo=UTC)
PLAIN = {"Content-Type": "application/json; charset=utf-8"}


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """The address of a service with a feed of the test's own."""
    with running(tmp_path) as root:
        yield f"{root}/v2"


async def store(client: DICOMwebClient, *samples: Sample) -> None:
    for sample in samples:
        await client.store_instance(Body.from_bytes(sample.content))


async def test_what_happened_and_what_became_of_it(url: str) -> None:
    """Create, delete, create: each is told, with what that version is by now and the present metadata."""
    sample = Sample()
    async with client_of(url) as client:
        assert await client.change_feed.latest() is None
        assert await client.change_feed.page() == []
        await store(client, sample)
        await client.delete_study(study_instance_uid=sample.study)
        await store(client, sample)
        changes = await client.change_feed.page(include_metadata=True)
        latest = await client.change_feed.latest()
    assert [(change.action, change.state) for change in changes] == [
        (ChangeAction.CREATE, ChangeState.REPLACED),
        (ChangeAction.DELETE, ChangeState.REPLACED),
        (ChangeAction.CREATE, ChangeState.CURRENT),
    ]
    assert {change.sop_instance_uid for change in changes} == {sample.sop}
    assert {change.partition_name for change in changes} == {"Microsoft.Default"}
    assert changes[-1].metadata is not None
    assert changes[-1].metadata.PatientID == "ID1"
    assert latest is not None
    assert (latest.sequence, latest.metadata) == (changes[-1].sequence, None)
    assert changes[-1].timestamp.tzinfo is not None


@pytest.mark.parametrize("window", [timedelta(microseconds=500), timedelta(milliseconds=20), timedelta.max])
@pytest.mark.parametrize("overlap", [timedelta(), timedelta(milliseconds=5), timedelta.max])
async def test_iterator_tells_each_change_once(url: str, window: timedelta, overlap: timedelta) -> None:
    """Whatever the windows and their overlap, each change comes once, in the feed's order."""
    async with client_of(url) as client:
        await store(client, *(Sample() for _ in range(7)))
        expected = [change.sequence for change in await client.change_feed.page()]
        found = [change.sequence async for change in client.change_feed.iter(window=window, overlap=overlap)]
        assert found == expected
        middle = (await client.change_feed.page())[3].timestamp
        before = [change async for change in client.change_feed.iter(end=middle, window=window, overlap=overlap)]
        after = [change async for change in client.change_feed.iter(start=middle, window=window, overlap=overlap)]
    assert [len(before), len(after)] == [3, 4]


class ScriptedFeed:
    """Has a change at each of some minutes; tells the late one only after so many windows were asked for."""

    def __init__(self, *minutes: int, late: int | None = None, shown_after: int = 0) -> None:
        self.windows: list[tuple[datetime, datetime]] = []
        self._minutes = minutes
        self._late = late
        self._shown_after = shown_after

    def __call__(self, request: Received) -> Script:
        query = {name: value[0] for name, value in parse_qs(urlsplit(request.target).query).items()}
        start = datetime.fromisoformat(query.get("startTime", "0001-01-01T00:00:00+00:00"))
        end = datetime.fromisoformat(query["endTime"])
        offset, limit = int(query["offset"]), int(query["limit"])
        if limit > 1 and not offset:
            self.windows.append((start, end))
        shown = [m for m in self._minutes if m != self._late or len(self.windows) > self._shown_after]
        inside = [m for m in shown if start <= START + timedelta(minutes=m) < end]
        return answer(200, json.dumps([entry(m) for m in inside[offset : offset + limit]]).encode(), PLAIN)


def entry(minute: int, **changed: object) -> dict[str, Any]:
    return {
        "sequence": minute,
        "partitionName": "Microsoft.Default",
        "studyInstanceUid": "1.2",
        "seriesInstanceUid": "1.3",
        "sopInstanceUid": "1.4",
        "action": "Create",
        "timestamp": (START + timedelta(minutes=minute)).isoformat(),
        "state": "Current",
    } | changed


async def test_more_than_a_page() -> None:
    """A window that holds more than a page is read page by page."""
    async with serve(ScriptedFeed(*range(205))) as server, client_of(server.url) as client:
        changes = client.change_feed.iter(end=START + timedelta(days=1), window=timedelta(days=1))
        assert [change.sequence async for change in changes] == list(range(205))


async def test_a_page_that_comes_again() -> None:
    """A service that gives a page in the place of the next one is an error: what it passed over would go unseen."""
    feed = ScriptedFeed(*range(605))

    def page(request: Received) -> Script:
        return feed(replace(request, head=request.head.replace(b"offset=200", b"offset=0")))

    async with serve(page) as server, client_of(server.url) as client:
        changes = client.change_feed.iter(end=START + timedelta(days=1), window=timedelta(days=1))
        with pytest.raises(InvalidResponse):
            assert [change.sequence async for change in changes]


async def test_overlap_finds_what_came_late() -> None:
    """A change that shows only after its window was read is found by the next one, which overlaps it."""
    feed = ScriptedFeed(1, 9, 12, late=9, shown_after=1)
    async with serve(feed) as server, client_of(server.url) as client:
        changes = client.change_feed.iter(
            start=START,
            end=START + timedelta(minutes=20),
            window=timedelta(minutes=10),
            overlap=timedelta(minutes=5),
        )
        assert [change.sequence async for change in changes] == [1, 9, 12]


async def test_overlap_before_a_quiet_time() -> None:
    """What comes late at the end of a quiet window is found as well, though the next change lies far ahead."""
    feed = ScriptedFeed(0, 59, 119, 1200, late=119, shown_after=2)
    async with serve(feed) as server, client_of(server.url) as client:
        changes = client.change_feed.iter(start=START, end=START + timedelta(minutes=1300))
        assert [change.sequence async for change in changes] == [0, 59, 119, 1200]


async def test_an_hour_that_comes_twice() -> None:
    """Windows are compared as points in time, not by a clock that is put back."""
    zone = ZoneInfo("Europe/Paris")
    first, second = datetime(2026, 10, 25, 2, 50, tzinfo=zone), datetime(2026, 10, 25, 2, 10, tzinfo=zone, fold=1)
    async with serve(answer(200, b"[]", JSON)) as server, client_of(server.url) as client:
        assert await client.change_feed.page(start=first, end=second) == []
        with pytest.raises(InvalidParameter):
            await client.change_feed.page(start=second, end=first)


async def test_quiet_years_are_passed_over() -> None:
    """Between two changes that lie years apart no windows are read."""
    year = 366 * 24 * 60
    async with serve(ScriptedFeed(1, year)) as server, client_of(server.url) as client:
        changes = client.change_feed.iter(end=START + timedelta(minutes=2 * year))
        assert [change.sequence async for change in changes] == [1, year]
    assert len(server.requests) == 10


@pytest.mark.parametrize(
    "told",
    [
        {"timestamp": "2026-01-01T00:00:00.1234567Z"},
        {"timestamp": "2026-01-01T00:00:00.1234567+00:00", "action": "CREATE", "state": "current"},
        {"timestamp": "2026-01-01T00:00:00.1234567"},
    ],
)
async def test_forms_of_an_entry(told: dict[str, str]) -> None:
    """Keys and values are read in any case, and times with Z, an offset, or no zone at all."""
    for form in (str, lambda name: name[0].upper() + name[1:]):
        item = {form(name): value for name, value in entry(1, **told).items()}
        async with serve(answer(200, json.dumps(item).encode(), PLAIN)) as server, client_of(server.url) as client:
            change = await client.change_feed.latest()
        assert change == Change(
            sequence=1,
            action=ChangeAction.CREATE,
            state=ChangeState.CURRENT,
            timestamp=datetime(2026, 1, 1, 0, 0, 0, 123456, UTC),
            partition_name="Microsoft.Default",
            study_instance_uid="1.2",
            series_instance_uid="1.3",
            sop_instance_uid="1.4",
        )


@pytest.mark.parametrize(
    ("date", "time"),
    [("Thu, 01 Jan 2026 00:05:00 GMT", START + timedelta(minutes=5)), ("soon", None), (None, None)],
)
async def test_the_services_time(date: str | None, time: datetime | None) -> None:
    """It comes with the latest change, or where there is none, if the service tells it."""
    headers = PLAIN | ({} if date is None else {"Date": date})
    scripts = answer(200, json.dumps(entry(1)).encode(), headers), answer(204, b"", headers)
    async with serve(*scripts) as server, client_of(server.url) as client:
        change, now = await client.change_feed.latest_and_time()
        assert (change is not None and change.sequence, now) == (1, time)
        assert await client.change_feed.latest_and_time() == (None, time)


async def test_zone_of_a_window() -> None:
    """A window's times go out in UTC, encoded."""
    zone = timezone(timedelta(hours=5, minutes=30))
    async with serve(answer(200, b"[]", JSON)) as server, client_of(server.url) as client:
        await client.change_feed.page(start=datetime(2026, 1, 1, tzinfo=zone), limit=7, offset=3)
    assert server.targets == [
        "/changefeed?limit=7&offset=3&includeMetadata=false&startTime=2025-12-31T18%3A30%3A00%2B00%3A00"
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        {"limit": 0},
        {"limit": 201},
        {"offset": -1},
        {"start": datetime(2026, 1, 1)},
        {"start": START, "end": START},
        {"start": START, "end": START - timedelta(days=1)},
    ],
)
async def test_windows_that_are_none(arguments: dict[str, Any]) -> None:
    """What the service would answer with 400 is refused before anything is sent."""
    async with serve(answer(200, b"[]", JSON)) as server, client_of(server.url) as client:
        with pytest.raises(InvalidParameter):
            await client.change_feed.page(**arguments)
    assert server.connections == 0


@pytest.mark.parametrize(
    "arguments",
    [
        {"start": datetime(2026, 1, 1)},
        {"start": START, "end": START},
        {"window": timedelta()},
        {"overlap": timedelta(microseconds=-1)},
    ],
)
async def test_iterations_that_are_none(arguments: dict[str, Any]) -> None:
    """What no windows can be made of is refused before anything is sent."""
    async with serve(answer(200, b"[]", JSON)) as server, client_of(server.url) as client:
        with pytest.raises(InvalidParameter):
            await anext(client.change_feed.iter(**arguments))
    assert server.connections == 0


@pytest.mark.parametrize(
    "body",
    [
        {"sequence": SECRET},
        entry(1, action=SECRET),
        entry(1, state=None),
        entry(1, timestamp=SECRET),
        entry(1, metadata=SECRET),
        [SECRET],
        SECRET,
        None,
    ],
    ids=str,
)
async def test_entries_that_are_none(body: object) -> None:
    """An entry of another shape is InvalidResponse, and is not quoted."""
    for told, read in ((body, "latest"), ([body], "page"), ({}, "page"), (body, "page")):
        async with serve(answer(200, json.dumps(told).encode(), PLAIN)) as server, client_of(server.url) as client:
            with pytest.raises(InvalidResponse) as raised:
                await getattr(client.change_feed, read)()
        assert_tells_nothing(raised.value)
