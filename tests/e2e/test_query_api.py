"""Lookups through the whole local stack."""

from __future__ import annotations

import httpx
import pytest

from local import samples
from local.stack import Stack
from shared.dicomweb.multipart import MultipartParser, PartData, PartEnd, boundary_of
from tests.kit.drop_box import DropBox, Instance, make_instance
from tests.kit.stack_service import Service

JSON = {"Accept": "application/dicom+json"}


@pytest.fixture(scope="module")
def box(stack: Stack) -> DropBox:
    return DropBox(stack)


@pytest.fixture(scope="module")
def study(box: DropBox) -> list[Instance]:
    """Two instances of one series."""
    first = make_instance(PatientID="LOOKUP", AccessionNumber="A1")
    second = make_instance(
        PatientID="LOOKUP", AccessionNumber="A1", StudyInstanceUID=first.study, SeriesInstanceUID=first.series
    )
    for number, instance in enumerate((first, second)):
        assert box.settle(f"lookup/{number}.dcm", instance.content)["verdict"] == "stored"
    return [first, second]


def parts(response: httpx.Response) -> list[bytes]:
    """Return the bodies of a multipart response's parts."""
    parser, bodies = MultipartParser(boundary_of(response.headers["content-type"])), [b""]
    for event in parser.feed(response.content):
        if isinstance(event, PartData):
            bodies[-1] += event.data
        if isinstance(event, PartEnd):
            bodies.append(b"")
    parser.close()
    return bodies[:-1]


@pytest.mark.parametrize(
    ("path", "tag", "count"),
    [
        ("/studies?PatientID=LOOKUP", "0020000D", 1),
        ("/series?StudyInstanceUID={study}", "0020000E", 1),
        ("/instances?StudyInstanceUID={study}", "00080018", 2),
        ("/studies/{study}/series", "0020000E", 1),
        ("/studies/{study}/instances", "00080018", 2),
        ("/studies/{study}/series/{series}/instances", "00080018", 2),
    ],
)
def test_the_six_searches_find_what_is_there(
    box: DropBox, study: list[Instance], path: str, tag: str, count: int
) -> None:
    """Each answers DICOM JSON with its level's UIDs."""
    response = box.get(path.format(study=study[0].study, series=study[0].series), headers=JSON)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("application/dicom+json")
    assert len(response.json()) == count
    uids = {dataset[tag]["Value"][0] for dataset in response.json()}
    assert uids <= {uid for one in study for uid in (one.study, one.series, one.sop)}


def test_nothing_found_is_an_empty_list(box: DropBox) -> None:
    """Not the service's 204, which has no body to parse."""
    response = box.get("/studies?PatientID=NOBODY", headers=JSON)
    assert (response.status_code, response.json()) == (200, [])


@pytest.mark.parametrize("accept", [None, "*/*", "application/dicom", "application/dicom; transfer-syntax=*"])
def test_an_instance_comes_back_byte_for_byte(box: DropBox, study: list[Instance], accept: str | None) -> None:
    """As one plain file, whatever a plain client sends as Accept."""
    headers = {} if accept is None else {"Accept": accept}
    response = box.get(study[0].path, headers=headers)
    assert response.headers["content-type"].startswith("application/dicom")
    assert response.content == study[0].content


@pytest.mark.parametrize("path", ["/studies/{study}", "/studies/{study}/series/{series}"])
@pytest.mark.parametrize("accept", [None, "*/*", 'multipart/related; type="application/dicom"'])
def test_a_study_or_series_comes_back_whole(box: DropBox, study: list[Instance], path: str, accept: str | None) -> None:
    """As multipart, also where the caller leaves the transfer syntax open, which the service would refuse."""
    headers = {} if accept is None else {"Accept": accept}
    response = box.get(path.format(study=study[0].study, series=study[0].series), headers=headers)
    assert response.status_code == 200
    assert sorted(parts(response)) == sorted(instance.content for instance in study)


@pytest.mark.parametrize(
    ("level", "count"),
    [("/studies/{study}", 2), ("/studies/{study}/series/{series}", 2), ("instance", 1)],
)
def test_metadata_of_each_level(box: DropBox, study: list[Instance], level: str, count: int) -> None:
    """Without pixels, with an ETag that saves the second transfer."""
    base = study[0].path if level == "instance" else level.format(study=study[0].study, series=study[0].series)
    response = box.get(f"{base}/metadata", headers=JSON)
    assert len(response.json()) == count
    assert "7FE00010" not in response.json()[0]
    again = box.get(f"{base}/metadata", headers=JSON | {"If-None-Match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_frames_one_by_one_and_several(box: DropBox) -> None:
    """One frame by itself where that is asked for, several as multipart, in the order asked for."""
    receipt = box.settle("frames.dcm", samples.pydicom_file("examples_ybr_color.dcm"))
    path = "/studies/{study_instance_uid}/series/{series_instance_uid}/instances/{sop_instance_uid}/frames/"
    base = path.format(**receipt)
    single = {"Accept": "application/octet-stream"}
    first, third = (box.get(f"{base}{number}", headers=single).content for number in (1, 3))
    assert parts(box.get(f"{base}3")) == [third]
    assert first != third
    assert parts(box.get(f"{base}3,1")) == [third, first]
    assert parts(box.get(f"{base}3%2C1")) == [third, first]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/studies?PatientID=", 400, "invalid-parameter"),
        ("/studies?NoSuchKeyword=1", 400, "invalid-parameter"),
        ("/studies/not_a_uid/series", 400, "invalid-parameter"),
        ("/studies/1.2.3/metadata", 404, "not-found"),
        ("/studies/1.2.3/series/4/instances/5", 404, "not-found"),
        ("/studies/1.2.3/series/4/instances/5/frames/0", 400, "invalid-parameter"),
    ],
)
def test_what_cannot_be_answered_is_a_problem(box: DropBox, path: str, status: int, code: str) -> None:
    """In one form, with a stable code, and without a word of the service's."""
    response = box.get(path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == code
    assert "1.2.3" not in response.text


def test_a_form_that_the_service_does_not_have_is_406(box: DropBox, study: list[Instance]) -> None:
    """And a problem, not the service's empty body."""
    response = box.get(study[0].path, headers={"Accept": "text/html"})
    assert (response.status_code, response.json()["code"]) == (406, "not-acceptable")


@pytest.mark.parametrize("key", ["", "wrong"])
def test_lookups_ask_for_a_function_key(box: DropBox, key: str) -> None:
    """Without one, or with a wrong one, the host answers 401."""
    assert box.get("/studies", key=key).status_code == 401


def test_the_key_may_come_in_the_query_and_does_not_reach_the_service(box: DropBox, study: list[Instance]) -> None:
    """The service would answer 400 to a parameter that it does not know."""
    key = box.stack.function_key
    response = box.get(f"/studies?code={key}&PatientID=LOOKUP", key="", headers=JSON)
    assert len(response.json()) == 1


def test_a_deleted_study_is_gone(box: DropBox) -> None:
    """Deletion is the client's; a lookup then finds nothing."""
    instance = make_instance()
    box.settle("to be deleted.dcm", instance.content)
    Service(box.stack).delete(f"/studies/{instance.study}")
    assert box.get(instance.path).status_code == 404


def test_health_is_anonymous(box: DropBox) -> None:
    """Status only."""
    for path in ("/health/live", "/health/ready"):
        response = box.get(path, key="")
        assert (response.status_code, response.content) == (200, b"")


def test_an_app_with_partitions_is_ready(partitioned_stack: Stack) -> None:
    """Its service refuses whatever names no partition; readiness asks for what needs none."""
    response = httpx.get(f"{partitioned_stack.app_url}/health/ready", trust_env=False)
    assert (response.status_code, response.content) == (200, b"")
