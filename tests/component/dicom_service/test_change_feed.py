"""The change feed of the local DICOM service, entry by entry; what any service's feed does is in `tests/contract`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

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
