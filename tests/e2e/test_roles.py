"""An app that may only read: its lookups are answered, and what it is to store stays where it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.stack import Stack
from tests.kit.drop_box import DropBox, make_instance, wait_for
from tests.kit.stack_service import Service


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DropBox]:
    """An app with the role DICOM Data Reader."""
    with Stack(tmp_path_factory.mktemp("reader"), auth=True, poll_seconds=0.25, role="reader") as stack:
        yield DropBox(stack)


def test_a_reader_finds_what_its_owner_stores(box: DropBox) -> None:
    """The stack's own token may store; the app finds it."""
    instance = make_instance()
    Service(box.stack).store(instance.content)
    found = box.get("/studies", params={"StudyInstanceUID": instance.study})
    assert (found.status_code, len(found.json())) == (200, 1)


def test_a_reader_stores_nothing(box: DropBox) -> None:
    """The service's 403 is told in the log, and no verdict on the file, which stays in the inbox."""
    instance = make_instance()
    box.drop("refused.dcm", instance.content)
    refused = wait_for(lambda: next(iter(box.events("blob_failed")), None), "no event blob_failed")
    assert "403" in str(refused)
    assert box.blob("dicom-inbox", "refused.dcm") == instance.content
    assert box.waiting("refused.dcm")["reason"] == "access_denied"
