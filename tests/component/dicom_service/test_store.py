"""The local DICOM service stores: under load, on other terms, and broken off. The rest is in `tests/contract`."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.kit.service import (
    DICOM_JSON,
    EXPLICIT,
    IMPLICIT,
    STORED_INSTANCE,
    Sample,
    ServiceClient,
    encoded,
    items,
    pixels,
    running,
    service,
    values,
)

__all__ = ["service"]

FAILED, REFERENCED, REASON, RETRIEVE_URL = "00081198", "00081199", "00081197", "00081190"
VALIDATION_FAILURE = 43264
PREAMBLE_BYTES = 132  # with the prefix


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


def test_concurrent_stores_of_the_same_instance(service: ServiceClient) -> None:
    """Of many equal stores at the same time exactly one succeeds; the others are told of a duplicate."""
    content = Sample().content
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda _: service.store(content), range(8)))
    assert sorted(response.status_code for response in responses) == [200] + [409] * 7


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


def test_health_needs_no_version(service: ServiceClient) -> None:
    """The health check answers 200 without a version."""
    assert service.http.get(f"{service.root}/health/check").status_code == 200
