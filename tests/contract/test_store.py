"""Store (PS3.18 §10.5): what is accepted, and how it is answered.

413 is not here: the managed service's limit is 4 GB a request, more than a run should send.
"""

from __future__ import annotations

import random

import httpx
import pytest

from tests.contract.differences import contains, equal, expect
from tests.contract.service import Service
from tests.contract.sources import AZURE, OPEN_SOURCE
from tests.kit.dicomweb_messages import DICOM_JSON, STORED_INSTANCE, STORED_INSTANCES, comments, items, parts_of, values
from tests.kit.files import SECONDARY_CAPTURE, Sample, new_uid

pytestmark = pytest.mark.source(f"{AZURE}, Store")

FAILED, REFERENCED, REASON, RETRIEVE_URL = "00081198", "00081199", "00081197", "00081190"
INVALID, ALREADY_EXISTS = [43264], [45070]
MULTIPART = 'multipart/related; type="application/dicom"'


@pytest.fixture(scope="module")
def study() -> str:
    """The study of what is stored only to see how that is answered."""
    return new_uid()


def test_answer_names_the_instance(service: Service, study: str) -> None:
    """A stored instance is answered 200 with its class, its UID, its URL and an empty FailedAttributesSequence."""
    sample = Sample(study)
    response = expect(service.store(sample), 200)
    equal("Content-Type", response.headers["Content-Type"], "application/dicom+json; charset=utf-8")
    (item,) = items(response, REFERENCED)
    equal("elements of the answer", list(response.json()), [REFERENCED])
    equal("SOP class", values(item, "00081150"), [SECONDARY_CAPTURE])
    equal("SOP instance", values(item, "00081155"), [sample.sop])
    equal("RetrieveURL", values(item, RETRIEVE_URL), [f"{service.url}{sample.path}"])
    equal("FailedAttributesSequence", item.get("00741048"), {"vr": "SQ"})


def test_store_to_a_study(service: Service) -> None:
    """The root has a RetrieveURL where the request named a study and something was stored."""
    sample = Sample()
    response = expect(service.store(sample, sample.study_path), 200)
    equal("RetrieveURL", values(response.json(), RETRIEVE_URL), [f"{service.url}{sample.study_path}"])
    again = expect(service.store(sample, sample.study_path), 409)
    equal("elements of the answer", list(again.json()), [FAILED])


def test_several_parts(service: Service, study: str) -> None:
    """Each part of a multipart message is an instance of its own; all are named."""
    samples = [Sample(study), Sample(study)]
    response = expect(service.store_parts(*samples), 200)
    equal("instances", [values(item, "00081155")[0] for item in items(response, REFERENCED)], [s.sop for s in samples])


def test_bytes_come_back(service: Service) -> None:
    """What is stored, alone or as a part, comes back byte for byte."""
    large = Sample(elements={0x7FE00010: ("OB", bytes(range(256)) * 1200)})
    parts = [large.sibling(elements={0x7FE00010: ("OB", bytes(range(250)) * 1200)}), large.sibling()]
    service.stored(large)
    expect(service.store_parts(*parts), 200)
    for sample in (large, *parts):
        equal("same bytes", expect(service.get(sample.path, STORED_INSTANCE), 200).content == sample.content, True)
    received = [content for _, content in parts_of(service.get(large.study_path, STORED_INSTANCES))]
    equal("same bytes as parts", sorted(received), sorted(sample.content for sample in (large, *parts)))


def test_large_files(service: Service) -> None:
    """20 MB as a single part and three parts of 5 MB come back byte for byte (the open-source suite sends 50 MB)."""
    large, *parts = Sample(elements=noise(20)), *(Sample(elements=noise(5)) for _ in range(3))
    service.stored(large)
    expect(service.store_parts(*parts), 200)
    for sample in (large, *parts):
        equal("same bytes", expect(service.get(sample.path, STORED_INSTANCE), 200).content == sample.content, True)


def noise(megabytes: int) -> dict[int, tuple[str, bytes] | None]:
    """Return pixels in which nothing repeats."""
    return {0x7FE00010: ("OB", random.Random(megabytes).randbytes(megabytes * 1_000_000))}


@pytest.mark.source(OPEN_SOURCE)
@pytest.mark.parametrize("accept", ["*/*", "application/*", "application/json", DICOM_JSON, "text/html, */*;q=0.1"])
def test_accepted_accepts(service: Service, study: str, accept: str) -> None:
    """An Accept header that includes DICOM JSON is served."""
    expect(service.store(Sample(study), Accept=accept), 200)


@pytest.mark.parametrize("accept", ["application/dicom", "application/data", "application/dicom+xml"])
def test_refused_accepts(service: Service, study: str, accept: str) -> None:
    """Any other Accept header is 406 without a body, and nothing is stored."""
    sample = Sample(study)
    equal("body", expect(service.store(sample, Accept=accept), 406).content, b"")
    expect(service.get(sample.path, STORED_INSTANCE), 404)


@pytest.mark.source(OPEN_SOURCE)
def test_accept_is_needed(service: Service, study: str) -> None:
    """A missing Accept header is 406, not a wildcard."""
    content = Sample(study).content
    expect(service.send("POST", "/studies", None, content=content, headers={"Content-Type": "application/dicom"}), 406)


@pytest.mark.source(OPEN_SOURCE)
@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data; boundary=frontier",
        "multipart/mixed; boundary=frontier",
        "application/octet-stream",
        "application/dicom+json",
        "application/dicom; transfer-syntax=1.2.840.10008.1.2.1",
        "application/dicom; charset=utf-8",
        "application/dicom;",
        "application/dicom, application/dicom",
        MULTIPART,
        "multipart/related; boundary=",
        'multipart/related; boundary="frontier',
        "",
    ],
)
def test_refused_content_types(service: Service, study: str, content_type: str) -> None:
    """Other types, parameters on application/dicom and a missing boundary are 415 without a body."""
    equal("body", expect(service.store(Sample(study), **{"Content-Type": content_type}), 415).content, b"")


@pytest.mark.source(OPEN_SOURCE)
def test_content_type_has_no_case(service: Service, study: str) -> None:
    """Media types are compared without case."""
    expect(service.store(Sample(study), **{"Content-Type": "Application/DICOM"}), 200)


@pytest.mark.source(OPEN_SOURCE)
@pytest.mark.parametrize(
    "part_type",
    [
        "application/dicom; transfer-syntax=1.2.840.10008.1.2.1",
        "application/dicom; charset=utf-8",
        "application/dicom+json",
        "text/plain",
    ],
)
def test_refused_part_types(service: Service, study: str, part_type: str) -> None:
    """One part of another type, or with parameters, is 415 for the whole request: nothing is stored."""
    sample = Sample(study)
    expect(service.store_parts(sample, (part_type, sample.sibling())), 415)
    expect(service.store_parts((part_type, b""), sample), 415)
    expect(service.get(sample.path, STORED_INSTANCE), 404)


@pytest.mark.source(OPEN_SOURCE)
def test_parts_without_a_type(service: Service, study: str) -> None:
    """The first part inherits the message's type parameter, if it has one; a later one without Content-Type is 415."""
    expect(service.store_parts((None, Sample(study))), 200)
    expect(service.store_parts(Sample(study), (None, Sample(study))), 415)
    expect(service.store_parts((None, Sample(study)), content_type="multipart/related; boundary=frontier"), 415)


@pytest.mark.source(OPEN_SOURCE)
def test_type_parameter_is_optional(service: Service, study: str) -> None:
    """The message's own type parameter may be missing where the parts have theirs."""
    expect(service.store_parts(Sample(study), content_type='multipart/related; boundary="frontier"'), 200)


@pytest.mark.source(OPEN_SOURCE)
def test_start_parameter(service: Service, study: str) -> None:
    """A start parameter is 400."""
    expect(service.store_parts(Sample(study), content_type=f"{MULTIPART}; boundary=frontier; start=1"), 400)


@pytest.mark.source(OPEN_SOURCE)
@pytest.mark.parametrize("body", [b"--frontier--\r\n", b"--frontier\r\n\r\n--frontier--\r\n", b""])
def test_no_parts(service: Service, body: bytes) -> None:
    """A multipart message without a part is 204."""
    expect(service.store(body, **{"Content-Type": f"{MULTIPART}; boundary=frontier"}), 204)


@pytest.mark.source(OPEN_SOURCE)
def test_malformed_part(service: Service) -> None:
    """A part with a header that is none is 400."""
    body = b"--frontier\r\nno header\r\n\r\nx\r\n--frontier--\r\n"
    expect(service.store(body, **{"Content-Type": f"{MULTIPART}; boundary=frontier"}), 400)


@pytest.mark.source(f"{OPEN_SOURCE}'s source, never executed")
def test_truncation(service: Service, study: str) -> None:
    """A message without its closing delimiter loses its last part in silence: 200, or 204 if that was all."""
    first, second = Sample(study), Sample(study)
    response = expect(service.store_parts(first, second, end=b""), 200)
    equal("instances", [values(item, "00081155") for item in items(response, REFERENCED)], [[first.sop]])
    expect(service.store_parts(second, end=b""), 204)


@pytest.mark.source(OPEN_SOURCE)
def test_empty_body(service: Service) -> None:
    """An empty body is 409, one failed instance of which only the reason is told."""
    response = expect(service.store(b""), 409)
    (item,) = items(response, FAILED)
    equal("failed item", item, {REASON: {"vr": "US", "Value": INVALID}})


@pytest.mark.source(OPEN_SOURCE)
def test_empty_part(service: Service, study: str) -> None:
    """A part without bytes is 409; beside a good one it is 202, and the good one is named."""
    sample = Sample(study)
    expect(service.store_parts(b""), 409)
    response = expect(service.store_parts(b"", sample), 202)
    equal("instances", [values(item, "00081155") for item in items(response, REFERENCED)], [[sample.sop]])
    equal("failures", len(items(response, FAILED)), 1)


def test_no_dicom(service: Service) -> None:
    """A text file fails with 43264."""
    response = expect(service.store(b"This is a text file of some length, and that is all. " * 10), 409)
    equal("failure reason", values(items(response, FAILED)[0], REASON), INVALID)


@pytest.mark.source(OPEN_SOURCE)
def test_long_study_uid_in_the_url(service: Service, study: str) -> None:
    """A study UID of 65 characters in the URL is 400."""
    expect(service.store(Sample(study), f"/studies/{'1' * 65}"), 400)


@pytest.mark.source(OPEN_SOURCE)
@pytest.mark.disputed("Azure docs say 43265 where it is 43264")
def test_instances_of_another_study(service: Service) -> None:
    """Instances of another study than the URL's fail with 43264: 409 if all do, and no RetrieveURL."""
    mine, others = Sample(), [Sample(), Sample()]
    response = expect(service.store_parts(*others, path=mine.study_path), 409)
    equal("elements of the answer", list(response.json()), [FAILED])
    failures = items(response, FAILED)
    equal("failure reasons", [values(item, REASON) for item in failures], [INVALID, INVALID])
    contains("comment", comments(failures[0])[0], "(0020,000D)")


def test_one_instance_of_another_study(service: Service) -> None:
    """One instance of two that is of another study: 202, the study's RetrieveURL, and the other is not stored."""
    mine, other = Sample(), Sample()
    response = expect(service.store_parts(other, mine, path=mine.study_path), 202)
    equal("RetrieveURL", values(response.json(), RETRIEVE_URL), [f"{service.url}{mine.study_path}"])
    equal("failed", [values(item, "00081155") for item in items(response, FAILED)], [[other.sop]])
    expect(service.get(other.path, STORED_INSTANCE), 404)
    expect(service.get(mine.path, STORED_INSTANCE), 200)


def test_duplicate(service: Service, study: str) -> None:
    """What exists already, with whatever bytes, is 409 with 45070, and the first bytes stay."""
    sample = Sample(study)
    service.stored(sample)
    other = Sample(sample.study, sample.series, sample.sop, {0x00100010: ("PN", b"Other")})
    (item,) = items(expect(service.store(other), 409), FAILED)
    equal("failure reason", values(item, REASON), ALREADY_EXISTS)
    equal("SOP instance", values(item, "00081155"), [sample.sop])
    equal("FailedAttributesSequence", item.get("00741048"), None)
    equal("same bytes", service.get(sample.path, STORED_INSTANCE).content == sample.content, True)


@pytest.mark.source(OPEN_SOURCE)
def test_same_file_twice(service: Service, study: str) -> None:
    """Of two equal parts the first is stored, the second is a duplicate: 202."""
    sample = Sample(study)
    response = expect(service.store_parts(sample, sample), 202)
    equal("failure reasons", [values(item, REASON) for item in items(response, FAILED)], [ALREADY_EXISTS])


@pytest.mark.source(OPEN_SOURCE)
def test_padded_uid_is_a_duplicate(service: Service) -> None:
    """Blanks at the end of a UID mean nothing: more of them make a duplicate; it is found with and without."""
    sample = Sample()
    service.stored(Sample(f"{sample.study} ", sample.series, sample.sop))
    expect(service.store(Sample(f"{sample.study}   ", sample.series, sample.sop)), 409)
    expect(service.get(sample.study_path, STORED_INSTANCES), 200)
    expect(service.get(f"{sample.study_path}%20", STORED_INSTANCES), 200)


@pytest.mark.source(OPEN_SOURCE)
def test_several_values(service: Service) -> None:
    """An indexed attribute with several values is found by the first, with a Warning header: 299 and the host."""
    sample = Sample(elements={0x00081030: ("LO", b"First\\Second")})
    response = expect(service.store(sample), 200)
    contains("headers", response.headers, "Warning")
    code, agent, _ = response.headers["Warning"].split(" ", 2)
    equal("warn-code, warn-agent", (code, agent), ("299", f"{httpx.URL(service.url).host}:"))
    found = service.search(f"/studies?StudyInstanceUID={sample.study}&StudyDescription=first")
    equal("studies found by the first value", len(found), 1)
