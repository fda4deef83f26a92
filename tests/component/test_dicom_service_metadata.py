"""The local DICOM service's metadata: its JSON, and the ETags by which it is cached."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from tests.component.dicom_service_support import (
    DICOM_JSON,
    EXPLICIT,
    IMPLICIT,
    TEST_FILES,
    Sample,
    ServiceClient,
    encoded,
    new_uid,
    path_of,
    pixels,
    service,
    values,
)

__all__ = ["service"]


def metadata_of(service: ServiceClient, sample: Sample) -> dict[str, Any]:
    """Return the metadata of one stored sample."""
    (metadata,) = service.get(f"{sample.path}/metadata").json()
    result: dict[str, Any] = metadata
    return result


def test_metadata_of_the_three_levels(service: ServiceClient) -> None:
    """Study and series give an array of all their instances, an instance an array of one."""
    one = Sample()
    two, other = one.sibling(), one.sibling(series=new_uid())
    service.store_samples(one, two, other)
    found = {
        level: {values(item, "00080018")[0] for item in service.get(f"{path}/metadata").json()}
        for level, path in (("study", one.study_path), ("series", one.series_path), ("instance", one.path))
    }
    assert found == {"study": {one.sop, two.sop, other.sop}, "series": {one.sop, two.sop}, "instance": {one.sop}}


def test_metadata_of_many_instances_is_one_array(service: ServiceClient) -> None:
    """More instances than are read at a time still make one JSON array."""
    samples = [Sample()]
    samples += [samples[0].sibling() for _ in range(45)]
    response = service.store_parts(*(sample.content for sample in samples))
    assert response.status_code == 200
    assert len(service.get(f"{samples[0].study_path}/metadata").json()) == 46


@pytest.mark.parametrize("accept", [DICOM_JSON, "application/json", "application/*", "*/*"])
def test_accepted_media_types(service: ServiceClient, accept: str) -> None:
    """What includes DICOM JSON is served as it."""
    sample = Sample()
    service.store_samples(sample)
    response = service.get(f"{sample.path}/metadata", accept)
    assert response.headers["Content-Type"] == "application/dicom+json; charset=utf-8"


@pytest.mark.parametrize("accept", ["application/dicom", "application/dicom+xml", None])
def test_refused_media_types(service: ServiceClient, accept: str | None) -> None:
    """Anything else is 406 with an empty body."""
    sample = Sample()
    service.store_samples(sample)
    response = service.get(f"{sample.path}/metadata", accept)
    assert (response.status_code, response.content) == (406, b"")


def test_values_in_the_json_model(service: ServiceClient) -> None:
    """Each kind of VR as PS3.18 §F.2 has it: numbers, names in groups, tags, nulls, and no empty Value."""
    sample = Sample(
        elements={
            0x00080005: ("CS", b"\\ISO 2022 IR 87"),
            0x00080008: ("CS", b"ORIGINAL\\\\AXIAL"),
            0x00080050: ("SH", b""),
            0x00100010: ("PN", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=x"),
            0x00101030: ("DS", b"70.50"),
            0x00200013: ("IS", b"7 "),
            0x00204000: ("LT", b"one \\ text"),
            0x00280009: ("AT", struct.pack("<4H", 0x0018, 0x1063, 0x0020, 0x9056)),
            0x00280106: ("SS", struct.pack("<h", -5)),
            0x00189004: ("FD", struct.pack("<2d", 1.5, float("nan"))),
        }
    )
    service.store_samples(sample)
    metadata = metadata_of(service, sample)
    assert metadata["00080005"] == {"vr": "CS", "Value": [None, "ISO 2022 IR 87"]}
    assert metadata["00080008"] == {"vr": "CS", "Value": ["ORIGINAL", None, "AXIAL"]}
    assert metadata["00080050"] == {"vr": "SH"}
    names = {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "x"}
    assert metadata["00100010"] == {"vr": "PN", "Value": [names]}
    assert metadata["00101030"] == {"vr": "DS", "Value": [70.5]}
    assert metadata["00200013"] == {"vr": "IS", "Value": [7]}
    assert metadata["00204000"] == {"vr": "LT", "Value": ["one \\ text"]}
    assert metadata["00280009"] == {"vr": "AT", "Value": ["00181063", "00209056"]}
    assert metadata["00280106"] == {"vr": "SS", "Value": [-5]}
    assert metadata["00189004"] == {"vr": "FD", "Value": [1.5, "NaN"]}
    assert list(metadata) == sorted(metadata)


def test_bulk_data_and_group_lengths_are_left_out(service: ServiceClient) -> None:
    """No bulk data, unknown VR or group length, in sequences neither."""
    inner = encoded({0x00080104: ("LO", b"kept"), 0x00420011: ("OB", b"bulk")})
    item = struct.pack("<HHL", 0xFFFE, 0xE000, len(inner)) + inner
    sample = Sample(
        elements={
            0x00080000: ("UL", struct.pack("<L", 4)),
            0x00081032: ("SQ", item),
            0x00091001: ("UN", b"unknown"),
            0x00420011: ("OB", b"document"),
            0x7FE00010: ("OB", b"pixels"),
        }
    )
    service.store_samples(sample)
    metadata = metadata_of(service, sample)
    assert not {"00080000", "00091001", "00420011", "7FE00010"} & metadata.keys()
    assert values(metadata, "00081032") == [{"00080104": {"vr": "LO", "Value": ["kept"]}}]


def test_image_attributes_are_in_the_metadata(service: ServiceClient) -> None:
    """The attributes that describe the pixels are there, explicit and implicit VR alike."""
    for syntax in (EXPLICIT, IMPLICIT):
        sample = Sample(elements=pixels(b"abcdef" * 3, frames=3), transfer_syntax=syntax)
        service.store(sample.content)
        metadata = metadata_of(service, sample)
        shown = [values(metadata, tag) for tag in ("00280002", "00280004", "00280008", "00280010", "00280011")]
        assert shown == [[1], ["MONOCHROME2"], [3], [2], [3]]


def test_metadata_of_a_real_file(service: ServiceClient) -> None:
    """A structured report's nested sequences come out whole."""
    assert service.store((TEST_FILES / "test-SR.dcm").read_bytes()).status_code == 202
    (found,) = service.search("/instances?Modality=SR")
    (metadata,) = service.get(f"{path_of(found)}/metadata").json()
    assert values(values(metadata, "0040A043")[0], "00080100") != []
    assert len(values(metadata, "0040A730")) > 3


def test_etag_answers_304(service: ServiceClient) -> None:
    """A matching If-None-Match is 304, empty and without ETag; the ETags are not in quotes."""
    sample = Sample()
    service.store_samples(sample)
    for path in (sample.study_path, sample.series_path, sample.path):
        etag = service.get(f"{path}/metadata").headers["ETag"]
        assert '"' not in etag
        assert ("-" in etag) == (path != sample.path)
        response = service.get(f"{path}/metadata", **{"If-None-Match": etag})
        assert (response.status_code, response.content) == (304, b"")
        assert "ETag" not in response.headers


@pytest.mark.parametrize("pattern", ['"{}"', "*", "{}, other", "W/{}", "other"])
def test_if_none_match_is_compared_verbatim(service: ServiceClient, pattern: str) -> None:
    """No quotes, lists or wildcards in If-None-Match: only the ETag as it was sent."""
    sample = Sample()
    service.store_samples(sample)
    etag = service.get(f"{sample.study_path}/metadata").headers["ETag"]
    header = {"If-None-Match": pattern.format(etag)}
    assert service.get(f"{sample.study_path}/metadata", **header).status_code == 200


def test_etag_changes_with_the_study(service: ServiceClient) -> None:
    """Adding and deleting an instance change the ETags of its study and series, not those of its siblings."""
    one = Sample()
    two = one.sibling()
    service.store_samples(one)
    paths = (one.study_path, one.series_path, one.path)
    seen = [[service.get(f"{path}/metadata").headers["ETag"] for path in paths]]
    service.store_samples(two)
    seen.append([service.get(f"{path}/metadata").headers["ETag"] for path in paths])
    assert service.delete(two.path) == 204
    service.store_samples(two)
    seen.append([service.get(f"{path}/metadata").headers["ETag"] for path in paths])
    assert len({etags[0] for etags in seen}) == len({etags[1] for etags in seen}) == 3
    assert len({etags[2] for etags in seen}) == 1
