"""The local DICOM service replaces an instance by PUT."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.component.dicom_service_support import (
    DICOM_JSON,
    STORED_INSTANCE,
    Sample,
    ServiceClient,
    items,
    new_uid,
    opened,
    service,
    values,
)
from tests.dicomweb_messages import multipart_body

__all__ = ["service"]

REFERENCED, FAILED, REASON = "00081199", "00081198", "00081197"


def put(service: ServiceClient, content: bytes, path: str = "/studies") -> tuple[int, dict[str, object]]:
    """Put one instance; return status and result."""
    headers = {"Accept": DICOM_JSON, "Content-Type": "application/dicom"}
    response = service.http.put(path, content=content, headers=headers)
    return response.status_code, response.json()


def changed(sample: Sample, **elements: bytes) -> Sample:
    """Return another instance with the UIDs of a sample, and another patient."""
    patient = elements.get("patient", b"CHANGED")
    return Sample(sample.study, sample.series, sample.sop, {0x00100020: ("LO", patient)})


def test_put_of_a_new_instance_is_a_store(service: ServiceClient) -> None:
    """It answers as POST does, and the instance is there."""
    sample = Sample()
    status, result = put(service, sample.content, sample.study_path)
    assert status == 200
    assert list(result) == ["00081190", REFERENCED]
    assert values(result, "00081190") == [f"{service.root}/v2{sample.study_path}"]
    assert service.get(sample.path, STORED_INSTANCE).content == sample.content
    assert service.store(sample.content).status_code == 409


@pytest.mark.parametrize("in_study", [False, True])
def test_put_replaces(service: ServiceClient, in_study: bool) -> None:
    """Content, metadata and what is searched for are those of the new instance, and only those."""
    old = Sample()
    new = changed(old, patient=(patient := new_uid()[-60:].encode()))
    service.store_samples(old)
    status, result = put(service, new.content, old.study_path if in_study else "/studies")
    assert (status, FAILED in result) == (200, False)
    assert service.get(old.path, STORED_INSTANCE).content == new.content
    (metadata,) = service.get(f"{old.path}/metadata").json()
    assert values(metadata, "00100020") == [patient.decode()]
    assert len(service.search(f"/studies?PatientID={patient.decode()}")) == 1
    assert len(service.search(f"{old.study_path}/instances")) == 1


def test_put_moves_the_version(service: ServiceClient) -> None:
    """The ETags of instance, series and study change; the number of instances in them does not."""
    one = Sample()
    two = one.sibling()
    service.store_samples(one, two)
    paths = [f"{path}/metadata" for path in (one.path, one.series_path, one.study_path)]
    before = [service.get(path).headers["ETag"] for path in paths]
    put(service, changed(one).content)
    after = [service.get(path).headers["ETag"] for path in paths]
    assert all(int(new.split("-")[0]) > int(old.split("-")[0]) for old, new in zip(before, after, strict=True))
    assert [etag.partition("-")[2] for etag in after] == ["", "2", "2"]
    assert service.get(paths[0], **{"If-None-Match": before[0]}).status_code == 200
    assert service.get(f"{two.path}/metadata").status_code == 200


def test_a_replaced_study_keeps_its_place(service: ServiceClient) -> None:
    """Searches order by when a study was first stored, which a PUT does not change."""
    patient = new_uid()[-60:]
    old, newer = (Sample(elements={0x00100020: ("LO", patient.encode())}) for _ in range(2))
    service.store_samples(old, newer)
    put(service, changed(old, patient=patient.encode()).content)
    found = service.search(f"/studies?PatientID={patient}")
    assert [values(study, "0020000D") for study in found] == [[newer.study], [old.study]]


def test_several_parts(service: ServiceClient) -> None:
    """Each part is decided by itself: what is there is replaced, what is not is stored, what is bad fails."""
    old, other = Sample(), Sample()
    service.store_samples(old)
    new = changed(old)
    headers = {"Accept": DICOM_JSON, "Content-Type": 'multipart/related; type="application/dicom"; boundary=frontier'}
    body = multipart_body(new.content, b"nonsense", other.content, boundary="frontier")
    response = service.http.put("/studies", content=body, headers=headers)
    assert response.status_code == 202
    assert [values(item, "00081155")[0] for item in items(response, REFERENCED)] == [old.sop, other.sop]
    assert [values(item, REASON) for item in items(response, FAILED)] == [[43264]]
    assert service.get(old.path, STORED_INSTANCE).content == new.content


def test_put_to_another_study_fails(service: ServiceClient) -> None:
    """The study in the path binds PUT as it binds POST, and what is there stays."""
    sample = Sample()
    service.store_samples(sample)
    status, _ = put(service, changed(sample).content, Sample().study_path)
    assert status == 409
    assert service.get(sample.path, STORED_INSTANCE).content == sample.content


def test_change_feed(tmp_path: Path) -> None:
    """Each PUT is one more entry, and the older ones are Replaced."""
    with opened(tmp_path) as service:
        sample = Sample()
        service.store_samples(sample)
        put(service, changed(sample).content)
        put(service, changed(sample, patient=b"AGAIN").content)
        entries = service.get("/changefeed").json()
    assert [entry["state"] for entry in entries] == ["Replaced", "Replaced", "Current"]
    assert {entry["action"] for entry in entries} == {"Create"}
    assert all(values(entry["metadata"], "00100020") == ["AGAIN"] for entry in entries)


def test_old_bytes_are_gone(tmp_path: Path) -> None:
    """One file is left on disk, that of the last."""
    sample = Sample()
    with opened(tmp_path) as service:
        service.store_samples(sample)
        for number in range(3):
            put(service, changed(sample, patient=str(number).encode()).content)
    (file,) = (tmp_path / "instances").glob("*/*")
    assert file.read_bytes() == changed(sample, patient=b"2").content


def test_partitions_are_apart(tmp_path: Path) -> None:
    """PUT replaces within its partition, and makes one as POST does."""
    old = Sample()
    new = changed(old)
    with opened(tmp_path, partitions=True) as service:
        assert service.store(old.content, "/partitions/one/studies").status_code == 200
        assert put(service, new.content, f"/partitions/two{old.study_path}")[0] == 200
        assert service.get(f"/partitions/one{old.path}", STORED_INSTANCE).content == old.content
        assert service.get(f"/partitions/two{old.path}", STORED_INSTANCE).content == new.content
        assert service.http.put(old.study_path, content=new.content).status_code == 400


def test_put_may_be_off(tmp_path: Path) -> None:
    """A service without it answers 405, and stores by POST as ever."""
    with opened(tmp_path, put_upsert=False) as service:
        sample = Sample()
        service.store_samples(sample)
        for path in ("/studies", sample.study_path):
            response = service.http.put(path, content=sample.content, headers={"Content-Type": "application/dicom"})
            assert response.status_code == 405
