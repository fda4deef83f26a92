"""The clock of the local DICOM service can be set, and studies go when the headers of their last store say so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest

from local import tokens
from tests.kit.service import Sample, ServiceClient, opened

SECRET = "a secret of the tests, long enough for HS256"
A_DAY = timedelta(days=1)
MOST = timedelta(minutes=5)  # that the tests take
TIME, OPTION, LEVEL = (f"msdicom-expiry-{name}" for name in ("time-milliseconds", "option", "level"))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceClient]:
    """A service of the test's own, that asks for tokens."""
    with opened(tmp_path, token_secret=SECRET) as client:
        client.http.headers["Authorization"] = f"Bearer {tokens.issue(SECRET)}"
        yield client


def set_clock(service: ServiceClient, ahead: timedelta) -> None:
    url = f"{service.root}/admin/clock"
    set_to = {"ahead_seconds": ahead.total_seconds()}
    assert service.http.post(url, json=set_to).json() == service.http.get(url).json() == set_to


def ahead_by_date(response: httpx.Response) -> timedelta:
    """Return how far ahead the date of an answer is; it has one, whoever sent the answer."""
    (date,) = response.headers.get_list("Date")
    return parsedate_to_datetime(date) - datetime.now(UTC)


def feed(service: ServiceClient) -> list[tuple[str, datetime]]:
    """Return the change feed: UIDs and times."""
    entries = service.get("/changefeed").json()
    return [(each["sopInstanceUid"], datetime.fromisoformat(each["timestamp"])) for each in entries]


def test_it_leaps_ahead(service: ServiceClient) -> None:
    """The date and the change feed leap with it, the feed stays in order, and the token is as good as before."""
    samples = [Sample(), Sample(), Sample()]
    for days, sample in zip((0, 3650, 3651), samples, strict=True):
        set_clock(service, days * A_DAY)
        service.store_samples(sample)
        assert abs(ahead_by_date(service.get("/studies")) - days * A_DAY) < MOST
    uids, times = zip(*feed(service), strict=True)
    assert list(uids) == [sample.sop for sample in samples]
    assert [round((time - times[0]) / A_DAY) for time in times] == [0, 3650, 3651]
    assert service.get("/changefeed/latest").json()["sopInstanceUid"] == samples[-1].sop


def test_what_expires_goes(service: ServiceClient) -> None:
    """A study goes when the clock leaps over its time, and not before."""
    goes, stays = Sample(), Sample()
    service.store(goes.content, **expiring(str(A_DAY // timedelta(milliseconds=1))))
    service.store(stays.content, **expiring(str(3 * A_DAY // timedelta(milliseconds=1))))
    assert is_there(service, goes.path)
    set_clock(service, 2 * A_DAY)
    until(lambda: not is_there(service, goes.path))
    assert is_there(service, stays.path)


def expiring(milliseconds: str) -> dict[str, str]:
    """Return the headers of a store whose study is to go."""
    return {TIME: milliseconds, OPTION: "RelativeToNow", LEVEL: "Study"}


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_there(service: ServiceClient, path: str) -> bool:
    """Tell whether metadata can be had."""
    return service.get(f"{path}/metadata").status_code == 200


def test_change_feed_and_files(tmp_path: Path) -> None:
    """An expired study has its Delete entries, and leaves no file."""
    sample = Sample()
    with opened(tmp_path) as service:
        service.store_samples(sample.sibling())
        service.store(sample.content, **expiring("1"))
        until(lambda: not is_there(service, sample.study_path))
        entries = service.get("/changefeed").json()
    found = [(entry["action"], entry["state"]) for entry in entries]
    assert found == [("Create", "Deleted")] * 2 + [("Delete", "Deleted")] * 2
    assert list((tmp_path / "instances").glob("*/*")) == []
