"""The local DICOM service deletes, at the three levels."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.component.dicom_service_support import (
    STORED_INSTANCE,
    STORED_INSTANCES,
    Sample,
    ServiceClient,
    new_uid,
    running,
    service,
)

__all__ = ["service"]


def is_gone(service: ServiceClient, path: str) -> bool:
    """Tell whether neither content nor metadata is left."""
    statuses = {service.get(path, STORED_INSTANCES).status_code, service.get(f"{path}/metadata").status_code}
    return statuses == {404}


def test_last_instance_takes_series_and_study_along(service: ServiceClient) -> None:
    """Deleting the only instance removes its series and study; a second time it is 404."""
    sample = Sample()
    service.store_samples(sample)
    assert service.delete(sample.path) == 204
    assert all(is_gone(service, path) for path in (sample.path, sample.series_path, sample.study_path))
    assert service.search(f"/studies?StudyInstanceUID={sample.study}") == []
    assert [service.delete(path) for path in (sample.path, sample.series_path, sample.study_path)] == [404] * 3


def test_siblings_survive(service: ServiceClient) -> None:
    """Another instance of the series and another series of the study stay."""
    one = Sample()
    two, other = one.sibling(), one.sibling(series=new_uid())
    service.store_samples(one, two, other)
    assert service.delete(one.path) == 204
    assert is_gone(service, one.path)
    assert service.get(two.path, STORED_INSTANCE).content == two.content
    assert service.delete(one.series_path) == 204
    assert is_gone(service, one.series_path)
    assert service.get(other.path, STORED_INSTANCE).content == other.content
    assert len(service.search(f"{one.study_path}/series")) == 1


def test_study_of_several_series(service: ServiceClient) -> None:
    """A study goes with all that is in it."""
    one = Sample()
    service.store_samples(one, one.sibling(), one.sibling(series=new_uid()))
    assert service.delete(one.study_path) == 204
    assert is_gone(service, one.study_path)
    assert service.search(f"{one.study_path}/instances") == []


def test_deleted_instance_may_be_stored_anew(service: ServiceClient) -> None:
    """The same UIDs are free at once, and other bytes may take their place."""
    sample = Sample()
    service.store_samples(sample)
    service.delete(sample.path)
    other = Sample(sample.study, sample.series, sample.sop, {0x00100010: ("PN", b"Other")})
    service.store_samples(other)
    assert service.get(sample.path, STORED_INSTANCE).content == other.content


@pytest.mark.parametrize("path", ["/studies/1.x", "/studies/1.2/series/1.x", "/studies/1.2/series/1.3/instances/1.x"])
def test_bad_uid_at_each_position(service: ServiceClient, path: str) -> None:
    """A malformed UID is 400 wherever it stands."""
    assert service.delete(path) == 400


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
