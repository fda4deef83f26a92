"""The local DICOM service deletes studies when the headers of their last Store request say so."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tests.kit.service import (
    Sample,
    ServiceClient,
    opened,
    service,
)

__all__ = ["service"]

TIME, OPTION, LEVEL = (f"msdicom-expiry-{name}" for name in ("time-milliseconds", "option", "level"))


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
