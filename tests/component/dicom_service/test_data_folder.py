"""The data folder of the local DICOM service: one service has it, as long as it is open."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from local.dicom_service.state import Service, Switches
from local.dicom_service.stored.database import OtherSchemaVersion
from local.dicom_service.stored.files import DataFolderInUse, Files
from tests.kit.files import Sample
from tests.kit.service import opened


def test_one_service_has_it(tmp_path: Path) -> None:
    """Another cannot open it until the first is closed."""
    with closing(Service(tmp_path, Switches())), pytest.raises(DataFolderInUse):
        Service(tmp_path, Switches())
    Service(tmp_path, Switches()).close()


def test_a_folder_that_cannot_be_read_is_let_go(tmp_path: Path) -> None:
    """An index of another version stops the service, and leaves the folder unlocked."""
    with closing(sqlite3.connect(tmp_path / "index.sqlite")) as index:
        index.execute("PRAGMA user_version = 1000000")
    with pytest.raises(OtherSchemaVersion) as failure:
        Service(tmp_path, Switches())
    Files(tmp_path).close()
    assert failure.tb is not None  # what was left open would have been kept by it


def test_files_are_removed(tmp_path: Path) -> None:
    """No file stays of what was deleted or refused."""
    with opened(tmp_path) as client:
        one = Sample()
        client.store_samples(one, one.sibling())
        client.store(one.content)
        client.delete(one.study_path)
    assert [path for path in tmp_path.glob("*/**/*") if path.is_file()] == []
