"""The local DICOM service stores: under load, on other terms, and broken off. The rest is in `tests/contract`."""

from __future__ import annotations

import socket
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
    pixels,
    running,
    service,
)

__all__ = ["service"]

FAILED, REFERENCED, REASON, RETRIEVE_URL = "00081198", "00081199", "00081197", "00081190"
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
