"""An app whose settings are wrong still answers, and says what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack import Stack
from tests.kit.drop_box import DropBox, make_instance, wait_for

CANARY = "ftp://CANARY.example/v2"


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DropBox]:
    settings = {"DICOM_SERVICE_URL": CANARY, "PURGE_MODE": "all", "VAULT_DAYS": "CANARY"}
    folder = tmp_path_factory.mktemp("misconfigured")
    with Stack(folder, auth=True, poll_seconds=0.25, settings=settings) as stack:
        yield DropBox(stack)


def error_of(box: DropBox, event: str) -> str:
    """Return what the first event of that name says."""
    first = wait_for(lambda: next(iter(box.events(event)), None), f"no event {event}")
    return str(first["error"])


def test_it_lives_and_is_not_ready(box: DropBox) -> None:
    """The platform keeps it running; a lookup gets a problem without the settings' names, which are nothing to it."""
    assert [box.get(f"/health/{path}", key="").status_code for path in ("live", "ready")] == [200, 503]
    assert "DICOM_SERVICE_URL" in error_of(box, "not_ready")
    response = box.get("/studies")
    assert (response.status_code, response.json()["code"]) == (503, "not-configured")
    assert "DICOM_SERVICE_URL" not in response.text


def test_ingest_names_every_problem_and_no_value(box: DropBox) -> None:
    """All at once, so that they are mended at once; the file stays in the inbox."""
    instance = make_instance()
    box.drop("early.dcm", instance.content)
    error = error_of(box, "ingest_failed")
    for name in ("DICOM_SERVICE_URL", "PURGE_MODE", "VAULT_DAYS"):
        assert name in error
    assert "CANARY" not in box.log()
    assert box.blob("dicom-inbox", "early.dcm") == instance.content


def test_retention_does_nothing(box: DropBox) -> None:
    """The timer fails with all problems by name: what it may do is among them."""
    box.stack.fire("purge_study")
    error = error_of(box, "retention_failed")
    assert error.startswith("ConfigurationError: ")
    for name in ("DICOM_SERVICE_URL", "PURGE_MODE", "VAULT_DAYS"):
        assert name in error


def test_storage_that_cannot_be_reached_leaves_health_answering(tmp_path: Path) -> None:
    """The trigger cannot listen, and lookups say that the app is not configured."""
    with Stack(tmp_path, auth=True, settings={"DICOM_STORAGE": "nonsense", "PURGE_SCHEDULE": "99 * * * * *"}) as stack:
        box = DropBox(stack)
        assert box.get("/health/live", key="").status_code == 200
        assert box.get("/studies").json()["code"] == "not-configured"
        error = error_of(box, "lookup")
        assert "DICOM_STORAGE" in error
        assert "PURGE_SCHEDULE" in error
