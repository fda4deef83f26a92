"""The change feed of the local DICOM service, entry by entry; what any service's feed does is in `tests/contract`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from local.dicom_service.change_feed import index as change_feed_index
from local.dicom_service.change_feed import timestamps
from local.dicom_service.change_feed.index import EARLIEST, LATEST, Window
from local.dicom_service.stored.database import Database
from tests.kit.service import Sample, ServiceClient, opened


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceClient]:
    """A service of the test's own, with an empty feed."""
    with opened(tmp_path) as client:
        yield client


def feed(service: ServiceClient, **parameters: str) -> list[dict[str, Any]]:
    """Return entries of the feed."""
    query = "&".join(f"{name}={quote(value)}" for name, value in parameters.items())
    response = service.get(f"/changefeed?{query}")
    assert response.status_code == 200, response.text
    entries: list[dict[str, Any]] = response.json()
    return entries


def latest(service: ServiceClient) -> dict[str, Any]:
    """Return the last entry."""
    response = service.get("/changefeed/latest")
    assert response.status_code == 200
    entry: dict[str, Any] = response.json()
    return entry


def test_empty_feed(service: ServiceClient) -> None:
    """An empty feed is an empty array, and has no last entry."""
    response = service.get("/changefeed")
    assert (response.status_code, response.json()) == (200, [])
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    response = service.get("/changefeed/latest")
    assert (response.status_code, response.content) == (204, b"")


def test_what_failed_is_not_in_the_feed(service: ServiceClient) -> None:
    """Neither duplicates nor rejected instances are changes."""
    sample = Sample()
    service.store_samples(sample)
    service.store(sample.content)
    service.store(b"nonsense")
    service.delete(Sample().path)
    assert len(feed(service)) == 1


@pytest.mark.parametrize("zone", ["Z", "+00:00", "+01:30", "-0500", "-14"])
def test_zones(service: ServiceClient, zone: str) -> None:
    """A window may be given in any zone."""
    hours = {"Z": 0.0, "+00:00": 0, "+01:30": 1.5, "-0500": -5, "-14": -14}[zone]
    service.store_samples(Sample())
    ticks = timestamps.parsed(feed(service)[0]["timestamp"])
    start, end = (
        timestamps.shown(ticks + int(hours * 3600) * timestamps.TICKS_PER_SECOND + late).replace("+00:00", zone)
        for late in (0, 1)
    )
    assert len(feed(service, startTime=start, endTime=end)) == 1


def test_the_feed_pages_by_a_hundred(service: ServiceClient) -> None:
    """A hundred entries are returned unless a limit says otherwise, and two hundred at most."""
    one = Sample()
    service.store_samples(*(one.sibling() for _ in range(101)))
    service.delete(one.study_path)
    assert len(feed(service)) == 100
    assert len(feed(service, limit="200")) == 200
    assert [entry["sequence"] for entry in feed(service, offset="200")] == [201, 202]


def test_feed_outlives_a_restart(tmp_path: Path) -> None:
    """Entries and sequence numbers go on where they ended."""
    samples = [Sample(), Sample()]
    for number, sample in enumerate(samples, 1):
        with opened(tmp_path) as client:
            client.store_samples(sample)
            assert [entry["sequence"] for entry in feed(client)] == list(range(1, number + 1))


def test_a_window_is_found_by_an_index(tmp_path: Path) -> None:
    """No query of the feed reads all of it or sorts it, however many entries there are."""
    database = Database(tmp_path / "index.sqlite")
    statements: list[str] = []
    with database.read() as connection:
        connection.set_trace_callback(statements.append)
    change_feed_index.read(database, Window(EARLIEST, LATEST, 10, 0))
    change_feed_index.read_latest(database)
    with database.read() as connection:
        connection.set_trace_callback(None)
        plans = [_plan(connection, statement) for statement in statements if "change_feed" in statement]
    database.close()
    assert len(plans) == 2
    for plan in plans:
        assert "change_feed_timestamp" in plan
        assert "SCAN instance" not in plan
        assert "SCAN study" not in plan


def _plan(connection: sqlite3.Connection, statement: str) -> str:
    return "\n".join(row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}"))
