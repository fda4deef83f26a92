"""Delete, an extension of the service to the Studies Service of PS3.18, at the three levels."""

from __future__ import annotations

import pytest

from tests.contract.differences import equal, expect
from tests.contract.service import Service
from tests.contract.sources import AZURE, OPEN_SOURCE
from tests.kit.dicomweb_messages import STORED_INSTANCE, STORED_INSTANCES
from tests.kit.files import Sample, new_uid

pytestmark = pytest.mark.source(f"{AZURE}, Delete")

LEVELS = ("path", "series_path", "study_path")


def gone(service: Service, path: str) -> None:
    """Expect neither content nor metadata."""
    expect(service.get(path, STORED_INSTANCES), 404)
    expect(service.get(f"{path}/metadata"), 404)


@pytest.mark.parametrize("level", LEVELS)
def test_the_only_instance(service: Service, level: str) -> None:
    """Deleting is 204 without a body; with the last instance go its series and study; a second time it is 404."""
    sample = Sample()
    service.stored(sample)
    path = getattr(sample, level)
    equal("body", expect(service.delete(path), 204).content, b"")
    for each in LEVELS:
        gone(service, getattr(sample, each))
    equal("studies found", service.search(f"/studies?StudyInstanceUID={sample.study}"), [])
    expect(service.delete(path), 404)


@pytest.mark.source(OPEN_SOURCE)
def test_siblings(service: Service) -> None:
    """Another instance of the series, and another series of the study, survive."""
    one = Sample()
    two, other = one.sibling(), one.sibling(series=new_uid())
    service.stored(one, two, other)
    expect(service.delete(one.path), 204)
    gone(service, one.path)
    expect(service.get(two.path, STORED_INSTANCE), 200)
    expect(service.delete(one.series_path), 204)
    gone(service, one.series_path)
    expect(service.get(other.path, STORED_INSTANCE), 200)
    equal("series left", len(service.search(f"{one.study_path}/series")), 1)


def test_study_of_several_series(service: Service) -> None:
    """A study goes with all that is in it."""
    one = Sample()
    service.stored(one, one.sibling(), one.sibling(series=new_uid()))
    expect(service.delete(one.study_path), 204)
    gone(service, one.study_path)
    equal("instances found", service.search(f"{one.study_path}/instances"), [])


@pytest.mark.source(OPEN_SOURCE)
def test_stored_anew(service: Service) -> None:
    """The UIDs of what was deleted are free at once, also for other bytes."""
    sample = Sample()
    service.stored(sample)
    expect(service.delete(sample.path), 204)
    other = Sample(sample.study, sample.series, sample.sop, {0x00100010: ("PN", b"Other")})
    service.stored(other)
    equal("the new bytes", service.get(sample.path, STORED_INSTANCE).content == other.content, True)


@pytest.mark.parametrize(
    "path", ["/studies/1.x|", "/studies/1.2/series/1.x|", "/studies/1.2/series/1.3/instances/1.x|"]
)
def test_bad_uid(service: Service, path: str) -> None:
    """A malformed UID is 400 wherever it stands."""
    expect(service.delete(path), 400)
