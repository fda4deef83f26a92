"""The local DICOM service deletes studies when the headers of their last Store request say so."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.kit.service import (
    Sample,
    ServiceClient,
    opened,
    service,
)

__all__ = ["service"]

TIME, OPTION, LEVEL = (f"msdicom-expiry-{name}" for name in ("time-milliseconds", "option", "level"))
AN_HOUR = str(60 * 60 * 1000)


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


def test_the_time_alone_is_enough(service: ServiceClient) -> None:
    """Option and level have one value each, and may be left out."""
    sample = Sample()
    assert service.store(sample.content, **{TIME: "1"}).status_code == 200
    until(lambda: not is_there(service, sample.path))


def test_the_last_store_decides(tmp_path: Path) -> None:
    """A store without headers cancels the expiry, one with others replaces it; one that fails does neither."""
    kept, moved, failed = Sample(), Sample(), Sample()
    with opened(tmp_path) as service:
        for sample in (kept, moved, failed):
            service.store(sample.content, **expiring(AN_HOUR))
        before = expiries(tmp_path)
        service.store_samples(kept.sibling())
        assert service.store(failed.content, **expiring("1")).status_code == 409
        assert set(expiries(tmp_path)) == {kept.study, moved.study, failed.study}
        assert expiries(tmp_path) == before | {kept.study: None}
        service.store(moved.sibling().content, **expiring("1"))
        until(lambda: not is_there(service, moved.study_path))
        assert all(is_there(service, sample.path) for sample in (kept, failed))


def expiries(data: Path) -> dict[str, int | None]:
    """Return when each study expires."""
    with closing(sqlite3.connect(data / "index.sqlite")) as index:
        return dict(index.execute("SELECT StudyInstanceUID, expires FROM study").fetchall())


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


def test_expiry_outlives_a_restart(tmp_path: Path) -> None:
    """What came due while the service was down goes at once, what comes due later goes then."""
    missed, later, stays = Sample(), Sample(), Sample()
    with opened(tmp_path) as service:
        service.store_samples(stays)
        service.store(later.content, **expiring("500"))
        service.store(missed.content, **expiring("100"))
    with opened(tmp_path) as service:
        until(lambda: not is_there(service, missed.path))
        until(lambda: not is_there(service, later.path))
        assert is_there(service, stays.path)


def test_other_partitions_stay(tmp_path: Path) -> None:
    """The study of the same UID in another partition is another study."""
    sample = Sample()
    with opened(tmp_path, partitions=True) as service:
        assert service.store(sample.content, "/partitions/two/studies").status_code == 200
        assert service.store(sample.content, "/partitions/one/studies", **expiring("1")).status_code == 200
        until(lambda: not is_there(service, f"/partitions/one{sample.path}"))
        assert is_there(service, f"/partitions/two{sample.path}")
