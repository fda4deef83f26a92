"""The local DICOM service fails on request, and counts what it is sent."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.dicom_service.faults import faults
from tests.kit.service import (
    STORED_INSTANCE,
    STORED_INSTANCES,
    Sample,
    ServiceClient,
    items,
    new_uid,
    values,
)
from tests.kit.service import service as shared_service

__all__ = ["shared_service"]


@pytest.fixture
def service(shared_service: ServiceClient) -> Iterator[ServiceClient]:
    """The service without a fault, before and after."""
    yield shared_service
    shared_service.http.delete(f"{shared_service.root}/admin/faults")


def put(service: ServiceClient, fault: str, **fields: Any) -> dict[str, Any]:
    """Put a fault and return what the service understood."""
    response = service.http.post(f"{service.root}/admin/faults", json={"fault": fault, **fields})
    assert response.status_code == 201, response.text
    shown: dict[str, Any] = response.json()
    return shown


def standing(service: ServiceClient) -> list[dict[str, Any]]:
    """Return the faults that stand."""
    found: list[dict[str, Any]] = service.http.get(f"{service.root}/admin/faults").json()
    return found


def read_into(received: bytearray, response: httpx.Response) -> None:
    """Read a body for as long as it comes."""
    for chunk in response.iter_raw():
        received += chunk


def test_status_answers_without_doing(service: ServiceClient) -> None:
    """One store is refused with the status and the Retry-After as given; the next one is carried out."""
    put(service, "status", kind="store", status=429, retry_after="Fri, 31 Dec 1999 23:59:59 GMT")
    sample = Sample()
    refused = service.store(sample.content)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "Fri, 31 Dec 1999 23:59:59 GMT")
    assert refused.headers["Content-Type"].startswith("text/plain")
    assert service.store(sample.content).status_code == 200


def test_refused_store_is_read_to_its_end(service: ServiceClient) -> None:
    """The body of a refused store is read and counted, so that the answer reaches a client that is still sending."""
    put(service, "status", kind="store")
    service.http.delete(f"{service.root}/admin/requests")
    assert service.store(b"x" * 20_000_000).status_code == 503
    counts = service.http.get(f"{service.root}/admin/requests").json()
    assert counts["store"] == {"requests": 1, "bodies": 1, "bytes": 20_000_000}


@pytest.mark.parametrize(
    ("kind", "method", "path"),
    [
        ("search", "GET", "/studies"),
        ("search", "GET", "/series"),
        ("search", "GET", "/instances"),
        ("search", "GET", "/studies/1.2/series"),
        ("search", "GET", "/studies/1.2/instances"),
        ("search", "GET", "/studies/1.2/series/1.3/instances"),
        ("search", "GET", "/partitions/one/studies"),
        ("store", "POST", "/studies"),
        ("store", "POST", "/studies/1.2"),
        ("store", "PUT", "/studies"),
        ("store", "POST", "/partitions/one/studies/1.2"),
        ("retrieve", "GET", "/studies/1.2"),
        ("retrieve", "HEAD", "/studies/1.2/series/1.3"),
        ("retrieve", "GET", "/studies/1.2/series/1.3/instances/1.4"),
        ("metadata", "GET", "/studies/1.2/metadata"),
        ("metadata", "GET", "/studies/1.2/series/1.3/metadata"),
        ("frames", "GET", "/studies/1.2/series/1.3/instances/1.4/frames/1"),
        ("rendered", "GET", "/studies/1.2/series/1.3/instances/1.4/rendered"),
        ("rendered", "GET", "/studies/1.2/series/1.3/instances/1.4/frames/1/rendered"),
        ("delete", "DELETE", "/studies/1.2/series/1.3"),
        ("delete", "DELETE", "/studies/1.2/series/1.3/instances/1.4"),
        ("changefeed", "GET", "/changefeed"),
        ("changefeed", "GET", "/changefeed/latest"),
        ("any", "POST", "/studies/$bulkUpdate"),
        ("any", "GET", "/extendedquerytags"),
    ],
)
def test_kinds_are_by_route(service: ServiceClient, kind: str, method: str, path: str) -> None:
    """A fault meets all resources of its kind; what is of no kind meets those for any request."""
    others = {"store", "search", "retrieve", "metadata", "frames", "rendered", "delete", "changefeed"} - {kind}
    for other in others:
        put(service, "status", kind=other, status=400)
    put(service, "status", kind=kind, status=418)
    assert service.http.request(method, path).status_code == 418


def test_several_faults_stand_in_line(service: ServiceClient) -> None:
    """The first that is for the request is taken and its count goes down; one without a count stays."""
    put(service, "status", kind="search", status=500, requests=2)
    put(service, "status", status=502, requests=None)
    assert [service.get("/studies").status_code for _ in range(4)] == [500, 500, 502, 502]
    assert service.store(Sample().content).status_code == 502
    assert [fault["status"] for fault in standing(service)] == [502]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("", "JSON"),
        ("[]", "object"),
        ("{}", "`fault` has to be one of status, delay,"),
        ('{"fault": "flood"}', "`fault` has to be one of status, delay,"),
        ('{"fault": "status", "kind": "all"}', "'changefeed' or 'any'"),
        ('{"fault": "status", "status": 99}', "`status`"),
        ('{"fault": "status", "status": "503"}', "`status`"),
        ('{"fault": "status", "retry_after": 1}', "`retry_after`"),
        ('{"fault": "status", "retry_after": "1\\r\\nX: 1"}', "`retry_after`"),
        ('{"fault": "status", "requests": 0}', "`requests`"),
        ('{"fault": "status", "seconds": 1}', "`seconds`"),
        ('{"fault": "delay"}', "`seconds`"),
        ('{"fault": "cut", "bytes": -1}', "`bytes`"),
        ('{"fault": "stuck_creation", "kind": "search"}', "only a store"),
        ('{"fault": "throttle"}', "`per_second`"),
    ],
)
def test_bad_fault_is_refused(service: ServiceClient, body: str, named: str) -> None:
    """What is not a fault is 400 with a sentence that names what is wrong, and none is put."""
    response = service.http.post(f"{service.root}/admin/faults", content=body)
    assert response.status_code == 400
    assert response.headers["Content-Type"].startswith("text/plain")
    assert named in response.text
    assert standing(service) == []


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_cut_resets_in_the_body(service: ServiceClient, size: int) -> None:
    """So many bytes of the body arrive after the head, then the connection is reset."""
    sample = Sample(elements={0x7FE00010: ("OB", bytes(range(256)) * 4096)})
    service.store_samples(sample)
    put(service, "cut", kind="retrieve", bytes=size)
    received = bytearray()
    with service.http.stream("GET", sample.path, headers={"Accept": STORED_INSTANCE}) as response:
        assert response.status_code == 200
        with pytest.raises(httpx.ReadError):
            read_into(received, response)
    assert received == sample.content[:size]
    assert service.get(sample.path, STORED_INSTANCE).content == sample.content


def test_truncated_multipart_ends_cleanly(service: ServiceClient) -> None:
    """A multipart answer ends as HTTP wants it, but without its closing delimiter."""
    sample = Sample(elements={0x7FE00010: ("OB", bytes(range(256)) * 4096 * 2)})
    service.store_samples(sample)
    whole = service.get(sample.study_path, STORED_INSTANCES).content
    put(service, "truncate", kind="retrieve")
    response = service.get(sample.study_path, STORED_INSTANCES)
    boundary = response.headers["Content-Type"].partition("boundary=")[2].encode()
    assert response.content.endswith(sample.content)
    assert len(response.content) == len(whole) - len(b"\r\n--" + boundary + b"--\r\n")


def test_drop_after_commit_stores_and_says_nothing(service: ServiceClient, caplog: pytest.LogCaptureFixture) -> None:
    """The answer to a store is lost, the instance is there, and the service takes nothing for an error."""
    put(service, "drop_after_commit", kind="store")
    sample = Sample()
    with caplog.at_level(logging.WARNING), pytest.raises(httpx.RemoteProtocolError):
        service.store(sample.content)
    assert service.get(sample.path, STORED_INSTANCE).content == sample.content
    assert service.store(sample.content).status_code == 409
    assert caplog.records == []


def lose_a_store(service: ServiceClient, *samples: Sample) -> None:
    """Store each in a request that breaks off in the middle."""
    for sample in samples:
        put(service, "stuck_creation")
        with pytest.raises(httpx.RemoteProtocolError):
            service.store(sample.content)


def test_stuck_creation_fails_until_deleted(service: ServiceClient) -> None:
    """Storing it again is 409 with 45071; its deletion is 204 and no entry in the feed; then it is stored."""
    sample = Sample()
    lose_a_store(service, sample)
    for _ in range(2):
        response = service.store(sample.content)
        assert response.status_code == 409
        (item,) = items(response, "00081198")
        assert values(item, "00081197") == [45071]
        assert values(item, "00081155") == [sample.sop]
        assert "00741048" not in item
    feed = len(service.get("/changefeed?limit=200").json())
    assert service.delete(sample.path) == 204
    assert service.delete(sample.path) == 404
    assert len(service.get("/changefeed?limit=200").json()) == feed
    service.store_samples(sample)
    assert service.get(sample.path, STORED_INSTANCE).content == sample.content


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The second that throttles take for the present."""
    now = [1000.0]
    monkeypatch.setattr(faults, "clock", lambda: now[0])
    return now


def test_throttle_refuses_what_comes_too_fast(service: ServiceClient, clock: list[float]) -> None:
    """Of a burst the first are let through, the others are 429 with Retry-After; other kinds are not concerned."""
    put(service, "throttle", kind="search", per_second=2, requests=None)
    answers = [service.get("/studies?limit=1") for _ in range(4)]
    assert [answer.status_code == 429 for answer in answers] == [False, False, True, True]
    assert answers[2].headers["Retry-After"] == "1"
    assert service.store(Sample().content).status_code == 200
    clock[0] += 1  # as Retry-After says
    assert service.get("/studies?limit=1").status_code != 429


def test_requests_are_counted_by_kind(service: ServiceClient) -> None:
    """Requests, whole bodies and bytes are counted since the last clearing, those that fail too."""
    service.http.delete(f"{service.root}/admin/requests")
    sample = Sample()
    service.store_samples(sample)
    service.store(sample.content)
    service.get(f"/studies/{new_uid()}/metadata")
    service.get(sample.path, STORED_INSTANCE)
    counts = service.http.get(f"{service.root}/admin/requests").json()
    assert counts["store"] == {"requests": 2, "bodies": 2, "bytes": 2 * len(sample.content)}
    assert counts["metadata"] == counts["retrieve"] == {"requests": 1, "bodies": 0, "bytes": 0}
    assert set(counts) == {
        "store",
        "search",
        "retrieve",
        "metadata",
        "frames",
        "rendered",
        "delete",
        "changefeed",
    }
    assert service.http.delete(f"{service.root}/admin/requests").status_code == 204
    assert service.http.get(f"{service.root}/admin/requests").json()["store"]["requests"] == 0
