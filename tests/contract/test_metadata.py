"""Retrieve metadata (PS3.18 §10.4.1.1.2): its JSON (§F.2), and the ETags by which it is cached."""

from __future__ import annotations

import struct

import pytest

from tests.contract.differences import contains, equal, expect
from tests.contract.files import File
from tests.contract.service import Service
from tests.contract.sources import AZURE, OPEN_SOURCE, STANDARD
from tests.kit.dicomweb_messages import DICOM_JSON, values
from tests.kit.files import Sample, new_uid

pytestmark = pytest.mark.source(f"{AZURE}, Retrieve metadata")

LEVELS = ("study_path", "series_path", "path")


@pytest.fixture(scope="module")
def stored(service: Service) -> Sample:
    """A study of three instances, of which this one and another are in a series."""
    one = Sample()
    service.stored(one, one.sibling(), one.sibling(series=new_uid()))
    return one


def etag_of(service: Service, path: str) -> str:
    """Return the ETag of a resource's metadata."""
    response = expect(service.get(f"{path}/metadata"), 200)
    contains("headers", response.headers, "ETag")
    return response.headers["ETag"]


@pytest.mark.parametrize(("level", "count"), [("study_path", 3), ("series_path", 2), ("path", 1)])
def test_levels(service: Service, stored: Sample, level: str, count: int) -> None:
    """Study and series give an array of all their instances, an instance an array of one."""
    response = expect(service.get(f"{getattr(stored, level)}/metadata"), 200)
    equal("instances", len({values(item, "00080018")[0] for item in response.json()}), count)


@pytest.mark.source(OPEN_SOURCE)
@pytest.mark.parametrize("accept", [DICOM_JSON, "application/json", "application/*", "*/*"])
def test_accepted_accepts(service: Service, stored: Sample, accept: str) -> None:
    """What includes DICOM JSON is served as it."""
    response = expect(service.get(f"{stored.path}/metadata", accept), 200)
    equal("Content-Type", response.headers["Content-Type"].partition(";")[0], DICOM_JSON)


@pytest.mark.parametrize("accept", ["application/dicom", "application/data", None])
def test_refused_accepts(service: Service, stored: Sample, accept: str | None) -> None:
    """Any other Accept, or none, is 406 without a body."""
    equal("body", expect(service.get(f"{stored.path}/metadata", accept), 406).content, b"")


@pytest.mark.source(OPEN_SOURCE)
def test_accept_comes_first(service: Service) -> None:
    """An unacceptable Accept is 406 before a malformed UID is 400."""
    expect(service.get("/studies/1.x|/metadata", "application/dicom"), 406)
    expect(service.get("/studies/1.x|/metadata"), 400)


def test_absent(service: Service, stored: Sample) -> None:
    """404 at each level."""
    absent = new_uid()
    for path in (
        f"/studies/{absent}",
        f"{stored.study_path}/series/{absent}",
        f"{stored.series_path}/instances/{absent}",
    ):
        expect(service.get(f"{path}/metadata"), 404)


@pytest.mark.source(f"{STANDARD} §F.2, {OPEN_SOURCE}")
def test_json_model(service: Service) -> None:
    """Names by their groups, IS and DS as numbers, tags as eight digits, and no Value where there is none."""
    sample = Sample(
        elements={
            0x00080050: ("SH", b""),
            0x00100010: ("PN", b"Doe^Jane=x=y"),
            0x00101030: ("DS", b"70.5"),
            0x00200013: ("IS", b"7 "),
            0x00204000: ("LT", b"one \\ text"),
            0x00280009: ("AT", struct.pack("<2H", 0x0018, 0x1063)),
        }
    )
    service.stored(sample)
    (metadata,) = expect(service.get(f"{sample.path}/metadata"), 200).json()
    expected = {
        "00080050": {"vr": "SH"},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane", "Ideographic": "x", "Phonetic": "y"}]},
        "00101030": {"vr": "DS", "Value": [70.5]},
        "00200013": {"vr": "IS", "Value": [7]},
        "00204000": {"vr": "LT", "Value": ["one \\ text"]},
        "00280009": {"vr": "AT", "Value": ["00181063"]},
    }
    equal("elements", {tag: metadata.get(tag) for tag in expected}, expected)
    equal("order of tags", list(metadata), sorted(metadata))


def test_no_bulk_data(service: Service) -> None:
    """OB, OW, UN and their like are left out, within sequences too; the rest of a real file is there."""
    report = File(name="test-SR.dcm")
    expect(service.store(report), 200, 202)
    (metadata,) = expect(service.get(f"{report.path}/metadata"), 200).json()
    contains("elements", metadata, "00080060", "0040A043", "0040A730")
    image = File(name="CT_small.dcm")
    service.stored(image)
    (metadata,) = expect(service.get(f"{image.path}/metadata"), 200).json()
    contains("elements", metadata, "00280010")
    equal("VRs of bulk data", {item["vr"] for item in metadata.values()} & {"OB", "OW", "OF", "OD", "UN"}, set())


@pytest.mark.source(OPEN_SOURCE)
@pytest.mark.parametrize("level", LEVELS)
def test_etags_form(service: Service, stored: Sample, level: str) -> None:
    """ETags have no quotes; those of studies and series are two numbers with a dash, those of instances one."""
    etag = etag_of(service, getattr(stored, level))
    numbers = etag.split("-")
    equal("numbers", ([number.isdigit() for number in numbers]), [True] * (1 if level == "path" else 2))


@pytest.mark.parametrize("level", LEVELS)
def test_not_modified(service: Service, stored: Sample, level: str) -> None:
    """A matching If-None-Match is 304 without a body."""
    path = getattr(stored, level)
    response = expect(service.get(f"{path}/metadata", **{"If-None-Match": etag_of(service, path)}), 304)
    equal("body", response.content, b"")


@pytest.mark.source(OPEN_SOURCE)
def test_not_modified_has_no_etag(service: Service, stored: Sample) -> None:
    """The 304 itself has no ETag."""
    response = service.get(f"{stored.path}/metadata", **{"If-None-Match": etag_of(service, stored.path)})
    equal("ETag", expect(response, 304).headers.get("ETag"), None)


@pytest.mark.source(OPEN_SOURCE)
@pytest.mark.parametrize("form", ['"{}"', "*", "{}, other", "W/{}"])
def test_if_none_match_is_verbatim(service: Service, stored: Sample, form: str) -> None:
    """If-None-Match knows no quotes, lists, weak tags or wildcard: what is not the ETag as it was sent is 200."""
    header = {"If-None-Match": form.format(etag_of(service, stored.study_path))}
    expect(service.get(f"{stored.study_path}/metadata", **header), 200)


def test_etags_change(service: Service) -> None:
    """Adding and deleting an instance change the ETags of study and series, not those of its siblings."""
    one = Sample()
    two = one.sibling()
    service.stored(one)
    before = [etag_of(service, getattr(one, level)) for level in LEVELS]
    service.stored(two)
    added = [etag_of(service, getattr(one, level)) for level in LEVELS]
    expect(service.delete(two.path), 204)
    deleted = [etag_of(service, getattr(one, level)) for level in LEVELS]
    for what, first, second in (("addition", before, added), ("deletion", added, deleted)):
        changed = [old != new for old, new in zip(first, second, strict=True)]
        equal(f"{what} changes those of study, series, sibling", changed, [True, True, False])
