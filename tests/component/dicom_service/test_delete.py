"""The local DICOM service deletes its files with what they hold."""

from __future__ import annotations

from pathlib import Path

from tests.kit.service import (
    Sample,
    ServiceClient,
    running,
)


def test_files_are_removed(tmp_path: Path) -> None:
    """No file stays of what was deleted or refused."""
    with running(tmp_path) as root:
        client = ServiceClient(root)
        with client.http:
            one = Sample()
            client.store_samples(one, one.sibling())
            client.store(one.content)
            client.delete(one.study_path)
    assert [path for path in tmp_path.glob("*/**/*") if path.is_file()] == []
