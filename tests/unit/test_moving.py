from __future__ import annotations

from datetime import UTC, datetime

import pytest
from azure.storage.blob.aio import BlobClient

from store_on_upload.files.moving import metadata_of_copy
from store_on_upload.files.naming import LONGEST_NAME, name_length, with_suffix
from store_on_upload.files.source import Version


def version(**metadata: str) -> Version:
    blob = BlobClient("https://account.blob.core.windows.net", "dicom-inbox", "a.dcm")
    return Version(blob, "a.dcm", "0x8D1", 1, datetime(2026, 1, 2, tzinfo=UTC), '"0x8D1"', metadata)


def test_the_producers_metadata_go_along() -> None:
    assert metadata_of_copy(version(ward="7")) == {"ward": "7", "source_etag": "0x8D1"}


def test_a_file_that_came_from_a_copy_is_marked_anew() -> None:
    """Storage takes names of metadata for the same in upper and lower case."""
    assert metadata_of_copy(version(Source_Etag="0x8D0")) == {"source_etag": "0x8D1"}


def test_metadata_that_leave_no_room_for_ours_stay_behind() -> None:
    assert metadata_of_copy(version(ward="7" * 8172))["ward"]
    assert metadata_of_copy(version(ward="7" * 8173)) == {"source_etag": "0x8D1"}


@pytest.mark.parametrize("letter", ["a", "é", "\N{SKULL}"])
def test_a_long_name_is_shortened_as_storage_counts(letter: str) -> None:
    names = {
        with_suffix(letter * ((LONGEST_NAME - 10) // name_length(letter)) + end, "~0x8D1") for end in ("1234", "123")
    }
    assert len(names) == 2
    for name in names:
        assert LONGEST_NAME - 1 <= name_length(name) <= LONGEST_NAME
        assert name.endswith("~0x8D1")
