"""What a soak calls a loss: a file that the app has taken away, not one that its producer has written over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient

from local.azurite import Azurite
from local.soak.account import in_containers
from local.soak.dropping import Dropped, put
from local.soak.plan import Drop
from shared.settings import ARCHIVE, DEFAULT_INBOX, OWN_CONTAINERS

OLD, NEW = Drop("f.dcm", b"old", "1.2.3"), Drop("f.dcm", b"new", "1.2.3")


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[BlobServiceClient]:
    """An account of the test's own: what is looked at is all of it."""
    with (
        Azurite(tmp_path) as azurite,
        BlobServiceClient.from_connection_string(azurite.connection_string) as storage,
    ):
        for name in (DEFAULT_INBOX, *OWN_CONTAINERS):
            storage.create_container(name).close()
        yield storage


def archived(*dropped: Dropped) -> dict[str, dict[str, Any]]:
    """Return receipts that say so."""
    return {each.etag: {"blob": "f.dcm", "verdict": "stored", "after_store": "archive"} for each in dropped}


def said(missing: int = 0, doubled: int = 0) -> str:
    return f"{ARCHIVE}: {missing} files are missing, {doubled} should not be there"


def test_what_its_producer_has_overwritten(storage: BlobServiceClient) -> None:
    """It may be in the archive or not; once only; the one in its place has to be there."""
    blob = storage.get_blob_client(DEFAULT_INBOX, OLD.name)
    dropped = [put(blob, OLD), put(blob, NEW)]
    assert [each.overwrote for each in dropped] == [None, dropped[0].etag]
    blob.delete_blob()
    archive = storage.get_container_client(ARCHIVE)
    found = []
    for name, content in (("none", b""), ("new", b"new"), ("old", b"old"), ("old again", b"old")):
        if content:
            archive.upload_blob(name, content).close()
        found.append(list(in_containers(storage, archived(*dropped), dropped)))
    assert found == [[said(missing=1)], [], [], [said(doubled=1)]]


def test_what_the_app_has_taken_away(storage: BlobServiceClient) -> None:
    """A version that was gone from the inbox when the next one came has to be in the archive."""
    blob = storage.get_blob_client(DEFAULT_INBOX, OLD.name)
    dropped = [put(blob, OLD)]
    blob.delete_blob()
    dropped.append(put(blob, NEW))
    blob.delete_blob()
    assert dropped[1].overwrote is None
    storage.get_container_client(ARCHIVE).upload_blob("new", b"new").close()
    assert list(in_containers(storage, archived(*dropped), dropped)) == [said(missing=1)]
