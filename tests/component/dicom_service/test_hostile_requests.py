"""What a request can cost the local DICOM service is bounded, whoever sends it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from local.dicom_service.instances.examine import examine as examine_file
from local.dicom_service.retrieve import accept
from local.dicom_service.retrieve.pixel_data import MAX_FRAGMENTS
from local.dicom_service.state import MAX_EXAMINING
from local.dicom_service.store.bodies import MAX_PARTS
from local.dicom_service.web.json_request import MAX_BYTES
from tests.kit.images import JPEG_BASELINE, encapsulated
from tests.kit.service import Sample, ServiceClient, items, service, values

__all__ = ["service"]

VALIDATION_FAILURE = 43264


def failure_reason(service: ServiceClient, content: bytes) -> int:
    """Store a file that fails, and return its FailureReason."""
    response = service.store(content)
    assert response.status_code == 409
    (item,) = items(response, "00081198")
    reason: int = values(item, "00081197")[0]
    return reason


@pytest.mark.parametrize("text", ['"' + 'a\\"' * 20_000, 'a"' * 30_001, '"' * 60_000, "\\" * 60_000])
def test_accept_header_of_open_quotes(service: ServiceClient, text: str) -> None:
    """A quote that nobody closes is no media type, however much is in it: 406."""
    assert service.get("/studies", text).status_code == 406


@pytest.mark.parametrize(
    ("text", "media_types"),
    [
        ('a/b; c="x,\\";y", d/e', ["a/b", "d/e"]),
        ('a/b; c="open, d/e', ["a/b"]),
        ('a/b; c="open\\', ["a/b"]),
        (",;a/b, ,c/d;q=0,", []),
    ],
)
def test_members_of_an_accept_header(text: str, media_types: list[str]) -> None:
    """Commas in quotes separate nothing; a quote that nobody closes goes to the end."""
    assert [item.media_type for item in accept.parse([text])] == media_types


def test_too_many_parts(service: ServiceClient) -> None:
    """A request of more parts than the limit is 400."""
    content_type = {"Content-Type": "multipart/related; boundary=x"}
    parts = b"--x\r\n\r\n\r\n" * MAX_PARTS
    assert service.store(parts + b"--x--", **content_type).status_code == 204
    assert service.store(parts + b"--x\r\n\r\n\r\n--x--", **content_type).status_code == 400


def test_too_many_fragments(service: ServiceClient) -> None:
    """Pixel data of more fragments than the limit fails with 43264."""
    content = Sample(transfer_syntax=JPEG_BASELINE).content
    assert failure_reason(service, content + encapsulated([b""] * MAX_FRAGMENTS)) == VALIDATION_FAILURE


def test_long_fault(service: ServiceClient) -> None:
    """A fault is a short body: a longer one is 413."""
    response = service.http.post(f"{service.root}/admin/faults", content=b" " * (MAX_BYTES + 1))
    assert response.status_code == 413


def test_stores_leave_threads_to_others(service: ServiceClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many files are examined at a time; a search is answered meanwhile."""
    begun, release = threading.Semaphore(0), threading.Event()
    at_a_time: list[int] = []
    under_way: set[int] = set()

    def examine(*args: Any, **options: Any) -> Any:
        under_way.add(threading.get_ident())
        at_a_time.append(len(under_way))
        begun.release()
        assert release.wait(30)
        under_way.remove(threading.get_ident())
        return examine_file(*args, **options)

    monkeypatch.setattr("local.dicom_service.store.routes.examine", examine)
    with ThreadPoolExecutor(2 * MAX_EXAMINING) as pool:
        stores = [pool.submit(service.store, Sample().content) for _ in range(2 * MAX_EXAMINING)]
        try:
            for _ in range(MAX_EXAMINING):
                assert begun.acquire(timeout=30)
            service.search("/studies?limit=1")
        finally:
            release.set()
        assert [store.result().status_code for store in stores] == [200] * len(stores)
    assert max(at_a_time) == MAX_EXAMINING
