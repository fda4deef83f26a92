"""PUT, which stores as POST does, and replaces an instance that is there; the managed service's own."""

from __future__ import annotations

import pytest

from tests.contract.differences import equal, expect
from tests.contract.feed import Feed, story
from tests.contract.service import Service
from tests.contract.sources import AZURE, GUESS
from tests.kit.dicomweb_messages import DICOM_JSON, STORED_INSTANCE, items, multipart_body, values
from tests.kit.files import Sample

pytestmark = [pytest.mark.source(f"{AZURE}, Store"), pytest.mark.needs("upsert")]

FAILED, REFERENCED, REASON, RETRIEVE_URL = "00081198", "00081199", "00081197", "00081190"


def changed(sample: Sample) -> Sample:
    """Return another instance of the same UIDs."""
    return Sample(sample.study, sample.series, sample.sop, {0x00100020: ("LO", b"CHANGED")})


def test_new_instance(service: Service) -> None:
    """An instance that is not there is stored, and answered as POST does; POST then finds a duplicate."""
    sample = Sample()
    response = expect(service.store(sample, sample.study_path, method="PUT"), 200)
    equal("RetrieveURL", values(response.json(), RETRIEVE_URL), [f"{service.url}{sample.study_path}"])
    equal("instances", [values(item, "00081155") for item in items(response, REFERENCED)], [[sample.sop]])
    equal("same bytes", expect(service.get(sample.path, STORED_INSTANCE), 200).content == sample.content, True)
    expect(service.store(sample), 409)


@pytest.mark.parametrize("in_study", [False, True])
def test_replacement(service: Service, in_study: bool) -> None:
    """An instance that is there is replaced, not refused: file, metadata and search are those of the new one."""
    old = Sample()
    new = changed(old)
    service.stored(old)
    response = expect(service.store(new, old.study_path if in_study else "/studies", method="PUT"), 200)
    equal("failures", items(response, FAILED), [])
    equal("the new bytes", service.get(old.path, STORED_INSTANCE).content == new.content, True)
    (metadata,) = expect(service.get(f"{old.path}/metadata"), 200).json()
    equal("PatientID in metadata", values(metadata, "00100020"), ["CHANGED"])
    found = service.search(f"/studies?StudyInstanceUID={old.study}&PatientID=CHANGED")
    equal("studies found by the new PatientID", len(found), 1)
    equal("instances", len(service.search(f"{old.study_path}/instances")), 1)


def test_etags_change(service: Service) -> None:
    """The ETags of the instance, its series and its study change."""
    sample = Sample()
    service.stored(sample)
    paths = [f"{path}/metadata" for path in (sample.path, sample.series_path, sample.study_path)]
    before = [service.get(path).headers.get("ETag", "") for path in paths]
    expect(service.store(changed(sample), method="PUT"), 200)
    for path, etag in zip(paths, before, strict=True):
        expect(service.get(path, **{"If-None-Match": etag}), 200)


def test_several_parts(service: Service) -> None:
    """Each part is decided by itself: what is there is replaced, what is not is stored, what is bad fails."""
    old = Sample()
    other = old.sibling()
    service.stored(old)
    body = multipart_body(changed(old).content, b"nonsense", other.content)
    headers = {"Accept": DICOM_JSON, "Content-Type": 'multipart/related; type="application/dicom"; boundary=frontier'}
    response = expect(service.http.put("/studies", content=body, headers=headers), 202)
    stored = sorted(values(item, "00081155")[0] for item in items(response, REFERENCED))
    equal("stored", stored, sorted([old.sop, other.sop]))
    equal("failure reasons", [values(item, REASON) for item in items(response, FAILED)], [[43264]])


def test_another_study(service: Service) -> None:
    """The study in the path binds PUT as it does POST, and what is there stays."""
    sample = Sample()
    service.stored(sample)
    expect(service.store(changed(sample), Sample().study_path, method="PUT"), 409)
    equal("the old bytes", service.get(sample.path, STORED_INSTANCE).content == sample.content, True)


@pytest.mark.source(GUESS)
def test_change_feed(service: Service) -> None:
    """A replacement is one more creation in the change feed, and makes the first one Replaced."""
    feed, sample = Feed(service), Sample()
    service.stored(sample)
    expect(service.store(changed(sample), method="PUT"), 200)
    equal("actions and states", story(feed.entries(sample)), [("create", "replaced"), ("create", "current")])
