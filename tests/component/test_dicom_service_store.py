"""The local DICOM service stores: what it accepts, and how it answers (API v2)."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.component.dicom_service_support import (
    DICOM_JSON,
    EXPLICIT,
    IMPLICIT,
    SECONDARY_CAPTURE,
    STORED_INSTANCE,
    STORED_INSTANCES,
    TEST_FILES,
    Sample,
    ServiceClient,
    encoded,
    items,
    new_uid,
    parts_of,
    pixels,
    running,
    service,
    values,
)

__all__ = ["service"]

FAILED, REFERENCED, REASON, RETRIEVE_URL = "00081198", "00081199", "00081197", "00081190"
VALIDATION_FAILURE, ALREADY_EXISTS = 43264, 45070
PREAMBLE_BYTES = 132  # with the prefix


def test_store_answers_with_the_referenced_instance(service: ServiceClient) -> None:
    """A stored instance is named with its class, its URL and an empty FailedAttributesSequence."""
    sample = Sample()
    response = service.store(sample.content)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/dicom+json; charset=utf-8"
    assert response.json() == {
        REFERENCED: {
            "vr": "SQ",
            "Value": [
                {
                    "00081150": {"vr": "UI", "Value": [SECONDARY_CAPTURE]},
                    "00081155": {"vr": "UI", "Value": [sample.sop]},
                    "00081190": {"vr": "UR", "Value": [f"{service.root}/v2{sample.path}"]},
                    "00741048": {"vr": "SQ"},
                }
            ],
        }
    }


def test_store_to_a_study_names_the_study(service: ServiceClient) -> None:
    """The root RetrieveURL stands only where the request named a study and something was stored."""
    sample = Sample()
    response = service.store(sample.content, sample.study_path)
    assert response.status_code == 200
    assert values(response.json(), RETRIEVE_URL) == [f"{service.root}/v2{sample.study_path}"]
    again = service.store(sample.content, sample.study_path)
    assert again.status_code == 409
    assert list(again.json()) == [FAILED]


def test_store_several_parts(service: ServiceClient) -> None:
    """Each part of a multipart message is an instance of its own, kept byte for byte."""
    samples = [Sample(), Sample()]
    response = service.store_parts(*(sample.content for sample in samples))
    assert response.status_code == 200
    assert [values(item, "00081155") for item in items(response, REFERENCED)] == [[sample.sop] for sample in samples]
    for sample in samples:
        assert service.get(sample.path, STORED_INSTANCE).content == sample.content


@pytest.mark.parametrize("accept", ["*/*", "application/*", "application/json", DICOM_JSON, "text/html, */*;q=0.1"])
def test_store_takes_what_matches_dicom_json(service: ServiceClient, accept: str) -> None:
    """An Accept header that includes DICOM JSON is served."""
    assert service.store(Sample().content, Accept=accept).status_code == 200


@pytest.mark.parametrize("accept", ["application/dicom", "application/data", "application/dicom+xml", "*/*;q=0"])
def test_store_refuses_other_accept(service: ServiceClient, accept: str) -> None:
    """Any other Accept header is answered 406 with an empty body, and nothing is stored."""
    sample = Sample()
    response = service.store(sample.content, Accept=accept)
    assert (response.status_code, response.content) == (406, b"")
    assert service.search(f"/studies?StudyInstanceUID={sample.study}") == []


def test_store_without_accept_is_not_acceptable(service: ServiceClient) -> None:
    """A missing Accept header is a refusal, not a wildcard."""
    request = service.http.build_request(
        "POST", "/studies", content=Sample().content, headers={"Content-Type": "application/dicom"}
    )
    del request.headers["Accept"]
    assert service.http.send(request).status_code == 406


@pytest.mark.parametrize(
    "content_type",
    [
        "application/dicom; transfer-syntax=1.2.840.10008.1.2.1",
        "application/dicom; charset=utf-8",
        "application/octet-stream",
        "multipart/form-data; boundary=x",
        "multipart/related; boundary=",
        'multipart/related; type="application/dicom"',
        "application/dicom;",
        "application/dicom, application/dicom",
        "application/dicom+json",
        "multipart/mixed; boundary=x",
        "",
    ],
)
def test_store_refuses_other_content_types(service: ServiceClient, content_type: str) -> None:
    """Parameters on application/dicom, other types and a missing boundary are all 415."""
    response = service.store(Sample().content, **{"Content-Type": content_type})
    assert (response.status_code, response.content) == (415, b"")


def test_content_type_is_compared_without_case(service: ServiceClient) -> None:
    """Media types have no case."""
    assert service.store(Sample().content, **{"Content-Type": "Application/DICOM"}).status_code == 200


@pytest.mark.parametrize(
    "part_type",
    [
        "application/dicom; transfer-syntax=1.2.840.10008.1.2.1",
        "application/dicom; charset=utf-8",
        "application/dicom+json",
        "text/plain",
    ],
)
@pytest.mark.parametrize("content", [b"", b"x", Sample().content])
def test_part_type_with_parameters_stores_nothing(service: ServiceClient, part_type: str, content: bytes) -> None:
    """One part of a wrong type spoils the whole request, the good part before it too."""
    sample = Sample()
    assert service.store_parts(sample.content, (part_type, content)).status_code == 415
    assert service.store_parts((part_type, content), sample.content).status_code == 415
    assert service.get(sample.path, STORED_INSTANCE).status_code == 404


def test_only_the_first_part_may_leave_its_type_out(service: ServiceClient) -> None:
    """The first part inherits the message's type parameter; a later one does not."""
    first = Sample()
    assert service.store_parts((None, first.content), Sample().content).status_code == 200
    assert service.store_parts(Sample().content, (None, Sample().content)).status_code == 415
    outer = "multipart/related; boundary=frontier"
    assert service.store_parts((None, Sample().content), content_type=outer).status_code == 415


def test_type_parameter_is_optional(service: ServiceClient) -> None:
    """The message's own type parameter may be missing where the parts have theirs."""
    outer = 'multipart/related; boundary="frontier"'
    assert service.store_parts(Sample().content, content_type=outer).status_code == 200


def test_start_parameter_is_refused(service: ServiceClient) -> None:
    """A start parameter is not supported: 400."""
    outer = "multipart/related; boundary=frontier; start=1"
    assert service.store_parts(Sample().content, content_type=outer).status_code == 400


@pytest.mark.parametrize("body", [b"--frontier--\r\n", b"--frontier\r\n\r\n--frontier--\r\n", b""])
def test_multipart_without_parts_is_no_content(service: ServiceClient, body: bytes) -> None:
    """A message without a part is 204, in both forms that clients write."""
    content_type = {"Content-Type": "multipart/related; boundary=frontier"}
    assert service.store(body, **content_type).status_code == 204


@pytest.mark.parametrize(
    "body",
    [
        b"--other\r\nContent-Type: application/dicom\r\n\r\nx\r\n--other--\r\n",
        b"--other--\r\n",
        b"no delimiter at all",
        b"--frontierland--\r\n",
        b"x" * 3_000_000,
    ],
)
def test_foreign_boundary_is_a_bad_request(service: ServiceClient, body: bytes) -> None:
    """A body in which the announced boundary never occurs is no empty list of parts: 400."""
    response = service.store(body, **{"Content-Type": "multipart/related; boundary=frontier"})
    assert response.status_code == 400
    assert response.headers["Content-Type"].startswith("text/plain")


def test_foreign_boundary_stores_nothing(service: ServiceClient) -> None:
    """An instance behind another boundary than the announced one is not stored."""
    sample = Sample()
    outer = "multipart/related; boundary=frontier"
    assert service.store_parts(sample.content, boundary="other", content_type=outer).status_code == 400
    assert service.get(sample.path, STORED_INSTANCE).status_code == 404


def test_malformed_part_headers_are_a_bad_request(service: ServiceClient) -> None:
    """Headers without a name are 400."""
    body = b"--frontier\r\nno header\r\n\r\nx\r\n--frontier--\r\n"
    assert service.store(body, **{"Content-Type": "multipart/related; boundary=frontier"}).status_code == 400


def test_truncated_multipart_passes_for_a_shorter_one(service: ServiceClient) -> None:
    """The truncation trap: without its closing delimiter the last part is lost in silence: 200, or 204 if alone."""
    first, second = Sample(), Sample()
    response = service.store_parts(first.content, second.content, end=b"")
    assert response.status_code == 200
    assert [values(item, "00081155") for item in items(response, REFERENCED)] == [[first.sop]]
    assert service.store_parts(second.content, end=b"").status_code == 204
    assert service.get(second.path, STORED_INSTANCE).status_code == 404


def test_empty_body_fails_with_a_reason_only(service: ServiceClient) -> None:
    """An empty body is one failed instance of which nothing is known."""
    response = service.store(b"")
    assert response.status_code == 409
    assert response.json() == {FAILED: {"vr": "SQ", "Value": [{REASON: {"vr": "US", "Value": [VALIDATION_FAILURE]}}]}}


def test_empty_part_beside_a_good_one(service: ServiceClient) -> None:
    """A part without bytes fails; the good one beside it is stored: 202."""
    sample = Sample()
    response = service.store_parts(b"", sample.content)
    assert response.status_code == 202
    assert len(items(response, FAILED)) == 1
    assert values(items(response, REFERENCED)[0], "00081155") == [sample.sop]
    assert service.store_parts(b"").status_code == 409


def test_not_dicom_fails(service: ServiceClient) -> None:
    """A text file is no DICOM file, whatever its name."""
    response = service.store(b"This is a text file of some length, and that is all. " * 10)
    assert response.status_code == 409
    assert values(items(response, FAILED)[0], REASON) == [VALIDATION_FAILURE]


def test_bad_study_uid_in_the_path(service: ServiceClient) -> None:
    """A study UID of 65 characters is 400."""
    assert service.store(Sample().content, f"/studies/{'1' * 65}").status_code == 400


def test_instances_of_another_study_fail(service: ServiceClient) -> None:
    """What belongs to another study than the URL's fails, with the reason; the rest of the request is stored."""
    mine, other = Sample(), Sample()
    response = service.store_parts(other.content, Sample().content, path=mine.study_path)
    assert response.status_code == 409
    assert list(response.json()) == [FAILED]
    assert len(items(response, FAILED)) == 2
    response = service.store_parts(other.content, mine.content, path=mine.study_path)
    assert response.status_code == 202
    assert values(items(response, FAILED)[0], REASON) == [VALIDATION_FAILURE]
    assert "(0020,000D)" in str(items(response, FAILED)[0]["00741048"])
    assert values(response.json(), RETRIEVE_URL) == [f"{service.root}/v2{mine.study_path}"]
    assert service.get(other.path, STORED_INSTANCE).status_code == 404


def test_mismatch_code_can_be_the_documented_one(tmp_path: Path) -> None:
    """Told so, the service fails instances of another study with 43265, which needs no failed attributes."""
    mine, other = Sample(), Sample()
    with running(tmp_path, mismatch_code=43265) as root:
        client = ServiceClient(root)
        with client.http:
            response = client.store_parts(other.content, mine.content, path=mine.study_path)
            assert response.status_code == 202
            (item,) = items(response, FAILED)
            assert values(item, REASON) == [43265]
            assert values(item, "00081155") == [other.sop]
            assert "00741048" not in item
            broken = Sample(elements={0x00080018: None})
            assert values(items(client.store(broken.content), FAILED)[0], REASON) == [VALIDATION_FAILURE]


@pytest.fixture(scope="module")
def tolerant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceClient]:
    """A service that takes files without preamble."""
    with running(tmp_path_factory.mktemp("tolerant"), preamble="optional") as root:
        client = ServiceClient(root)
        with client.http:
            yield client


@pytest.mark.parametrize("transfer_syntax", [EXPLICIT, IMPLICIT])
def test_preamble_can_be_optional(tolerant: ServiceClient, transfer_syntax: str) -> None:
    """A file that starts with its file meta information is kept byte for byte; its frames are where they are."""
    frames = bytes(range(12))
    sample = Sample(elements=pixels(frames, frames=2), transfer_syntax=transfer_syntax)
    content = sample.content[PREAMBLE_BYTES:]
    response = tolerant.store(content)
    assert response.status_code == (200 if transfer_syntax == EXPLICIT else 202)
    assert tolerant.get(sample.path, STORED_INSTANCE).content == content
    frame = tolerant.get(f"{sample.path}/frames/2", "application/octet-stream; transfer-syntax=*")
    assert frame.content == frames[6:]
    assert tolerant.search(f"/studies?StudyInstanceUID={sample.study}&PatientName=doe^jane")
    assert tolerant.store(sample.content).status_code == 409


def test_deflated_file_without_preamble(tolerant: ServiceClient) -> None:
    """A deflated dataset after bare file meta information is read too."""
    content = (TEST_FILES / "image_dfl.dcm").read_bytes()[PREAMBLE_BYTES:]
    response = tolerant.store(content)
    assert response.status_code in (200, 202)
    url = values(items(response, REFERENCED)[0], RETRIEVE_URL)[0]
    assert tolerant.http.get(url, headers={"Accept": STORED_INSTANCE}).content == content


def test_preamble_is_still_taken_where_it_is_optional(tolerant: ServiceClient) -> None:
    """A whole Part 10 file is one as ever; what starts with neither is none."""
    sample = Sample()
    tolerant.store_samples(sample)
    assert tolerant.get(sample.path, STORED_INSTANCE).content == sample.content
    dataset_alone = encoded({0x00080018: ("UI", b"1.2")})
    for content in (dataset_alone, b"\2\0", b"DICM", b"\0" * 128, Sample().content[PREAMBLE_BYTES:-3]):
        response = tolerant.store(content)
        assert response.status_code == 409
        assert values(items(response, FAILED)[0], REASON) == [VALIDATION_FAILURE]


def test_preamble_is_required_otherwise(service: ServiceClient) -> None:
    """Without the switch a file without preamble fails with 43264."""
    response = service.store(Sample().content[PREAMBLE_BYTES:])
    assert response.status_code == 409
    assert values(items(response, FAILED)[0], REASON) == [VALIDATION_FAILURE]


def test_duplicate_is_refused_and_keeps_the_first(service: ServiceClient) -> None:
    """The same three UIDs are a duplicate whatever the bytes: 409, 45070, without failed attributes."""
    sample = Sample()
    service.store_samples(sample)
    other = Sample(sample.study, sample.series, sample.sop, {0x00100010: ("PN", b"Other")})
    response = service.store(other.content)
    assert response.status_code == 409
    (item,) = items(response, FAILED)
    assert values(item, REASON) == [ALREADY_EXISTS]
    assert values(item, "00081155") == [sample.sop]
    assert "00741048" not in item
    assert service.get(sample.path, STORED_INSTANCE).content == sample.content


def test_same_file_twice_in_one_request(service: ServiceClient) -> None:
    """The first of two equal parts is stored, the second is a duplicate: 202."""
    sample = Sample()
    response = service.store_parts(sample.content, sample.content)
    assert response.status_code == 202
    assert values(items(response, FAILED)[0], REASON) == [ALREADY_EXISTS]


def test_padded_uid_is_a_duplicate(service: ServiceClient) -> None:
    """Blanks at a UID's end mean nothing: more of them make a duplicate, and it is found with and without."""
    sample = Sample()
    padded = Sample(f"{sample.study} ", sample.series, sample.sop)
    service.store_samples(padded)
    assert service.store(Sample(f"{sample.study}   ", sample.series, sample.sop).content).status_code == 409
    assert service.get(sample.path, STORED_INSTANCE).content == padded.content
    assert service.get(f"/studies/{sample.study}%20", STORED_INSTANCES).status_code == 200


def test_concurrent_stores_of_the_same_instance(service: ServiceClient) -> None:
    """Of many equal stores at the same time exactly one succeeds; the others are told of a duplicate."""
    content = Sample().content
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda _: service.store(content), range(8)))
    assert sorted(response.status_code for response in responses) == [200] + [409] * 7


def test_large_file_comes_back_byte_for_byte(service: ServiceClient) -> None:
    """A file of many chunks is the same after the round trip, alone and as a part."""
    sample = Sample(elements={0x7FE00010: ("OB", bytes(range(256)) * 4096 * 12)})
    service.store_samples(sample)
    assert service.get(sample.path, STORED_INSTANCE).content == sample.content
    ((_, content),) = parts_of(service.get(sample.study_path, STORED_INSTANCES))
    assert content == sample.content


def test_broken_off_body_stores_nothing(service: ServiceClient) -> None:
    """A client that leaves before its Content-Length is reached has stored nothing."""
    sample = Sample()
    host, port = service.root.removeprefix("http://").split(":")
    head = (
        f"POST /v2/studies HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n"
        f"Content-Type: application/dicom\r\nContent-Length: {len(sample.content) + 2}\r\n\r\n"
    )
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + sample.content)
    time.sleep(0.2)
    assert service.get(sample.path, STORED_INSTANCE).status_code == 404


def test_slow_upload_does_not_hold_up_others(service: ServiceClient) -> None:
    """While one body is still arriving, other instances are stored."""
    slow, quick = Sample(), Sample()
    arrived = threading.Event()

    def body() -> object:
        yield slow.content[:100]
        assert arrived.wait(10)
        yield slow.content[100:]

    def upload() -> int:
        headers = {"Accept": DICOM_JSON, "Content-Type": "application/dicom"}
        return service.http.post("/studies", content=body(), headers=headers).status_code  # type: ignore[arg-type]

    with ThreadPoolExecutor(1) as pool:
        uploading = pool.submit(upload)
        service.store_samples(quick)
        arrived.set()
        assert uploading.result() == 200


def test_request_over_the_limit(tmp_path: Path) -> None:
    """A request above the limit is 413, with a length announced and without, and leaves nothing behind."""
    with running(tmp_path, max_request_bytes=1000) as root:
        client = ServiceClient(root)
        with client.http:
            service_answers = [
                client.store(b"x" * 1001).status_code,
                client.store_parts(b"x" * 1001).status_code,
                client.http.post(
                    "/studies",
                    content=iter([b"x" * 600] * 2),
                    headers={"Accept": DICOM_JSON, "Content-Type": "application/dicom"},
                ).status_code,
            ]
            assert service_answers == [413] * 3
            client.store_samples(Sample())
    assert list((tmp_path / "incoming").iterdir()) == []


def test_answer_to_an_unread_body_arrives(service: ServiceClient) -> None:
    """A refusal that needs no body reaches a client that is still sending one."""
    response = service.store(b"x" * 20_000_000, **{"Content-Type": "text/plain"})
    assert response.status_code == 415


def test_several_values_are_indexed_by_the_first(service: ServiceClient) -> None:
    """An indexed attribute with several values is stored under the first, with a Warning header."""
    sample = Sample(elements={0x00081030: ("LO", b"First\\Second")})
    response = service.store(sample.content)
    assert response.status_code == 200
    assert response.headers["Warning"].startswith("299 127.0.0.1: ")
    assert "First" not in response.headers["Warning"]
    found = service.search(f"/studies?StudyInstanceUID={sample.study}&StudyDescription=first")
    assert values(found[0], "00081030") == ["First"]


def test_api_version_header(service: ServiceClient) -> None:
    """Answers of known routes name the supported versions; an unknown path is 404 without."""
    assert service.store(Sample().content).headers["api-supported-versions"] == "2"
    assert service.get(f"/studies/{new_uid()}/metadata").headers["api-supported-versions"] == "2"
    unknown = service.http.get(f"{service.root}/studies")
    assert unknown.status_code == 404
    assert "api-supported-versions" not in unknown.headers


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("version", ["v1", "v9", "v1.0-prerelease", "v2.0", "v02"])
def test_other_version_is_refused_in_json(service: ServiceClient, method: str, version: str) -> None:
    """A version that is not served is 400 with a JSON error, whatever is asked of it."""
    response = service.http.request(method, f"{service.root}/{version}/studies/1.2")
    assert response.status_code == 400
    assert set(response.json()) == {"error"}


def test_health_needs_no_version(service: ServiceClient) -> None:
    """The health check answers 200 without a version."""
    assert service.http.get(f"{service.root}/health/check").status_code == 200
