"""What holds for every route of the DICOMweb API: methods, bounds, hang-ups, headers, one line in the log."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from starlette.requests import Request
from starlette.types import Message, Scope

from query_api.answering import MAX_TARGET_BYTES, look_up
from query_api.routes import ROUTES
from shared.places import Places
from tests.kit.drop_box import make_instance
from tests.kit.lookups import Lookups, Start, same_headers, until
from tests.kit.principals import principal
from tests.kit.scripted_server import (
    LAST_CHUNK,
    End,
    Read,
    Received,
    Script,
    answer,
    chunked,
    head,
    partitions,
    script,
)

SECRET = "CANARY"
INSTANCE = "/studies/1.2/series/1.3/instances/1.4"
DICOM = {"Content-Type": "application/dicom"}
FILE = make_instance().content
WHOLE = answer(200, FILE, DICOM)
CALLERS_HEADERS = (
    *("x-functions-key", "cookie", "authorization", "x-ms-client-principal", "x-ms-token-aad-access-token"),
    *("x-forwarded-for", "x-arr-ssl", "x-original-url", "referer", "range", "te", "upgrade-insecure-requests"),
    *("user-agent", "msdicom-request-original"),
)
FIELDS = {"event", "transaction", "resource", "status", "datasets", "bytes", "complete", "seconds", "request_id"}
STALLED = script(head(200, {**DICOM, "Content-Length": "999999"}) + FILE, End.STALL)
SILENT = script(End.STALL)


def levels(running: Lookups) -> set[str]:
    """Return the levels of the app's own lines."""
    return {record.levelname for record in running.log.records if record.name == "dicom_dropbox"}


async def test_other_methods_are_refused(start: Start) -> None:
    async with start(WHOLE) as running:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            response = await running.http.request(method, "/studies/1.2", content=b"x")
            assert (response.status_code, response.json()["code"]) == (405, "method-not-allowed")
            assert response.headers["allow"] == "GET, HEAD"
        assert running.service.requests == []
        assert {line["status"] for line in await running.ended(4)} == {405}


@pytest.mark.parametrize("path", ["/changes?since=", "/studies/"])
async def test_path_and_query_have_a_limit(start: Start, path: str) -> None:
    """Up to it the parameters are looked at, as ever; beyond it nothing is asked of the service."""
    async with start(WHOLE) as running:
        limit = MAX_TARGET_BYTES - len("/api") + path.count("?")
        longest = await running.http.get(path.ljust(limit, "1"))
        longer = await running.http.get(path.ljust(limit + 1, "1"))
        assert (longest.status_code, longest.json()["code"]) == (400, "invalid-parameter")
        assert (longer.status_code, longer.json()["code"]) == (414, "uri-too-long")
        assert str(MAX_TARGET_BYTES) in longer.json()["detail"]


async def test_no_route_leads_into_a_partition_that_the_caller_may_not_see(start: Start) -> None:
    """But for the feed of changes, which tells of those that it may, and the app's own document."""
    parameters = {"study": "1.2", "series": "1.3", "instance": "1.4", "frames": "1", "partition": "p1"}
    guarded = [route for route in ROUTES if route.name not in ("changes", "openapi")]
    async with start(WHOLE, CALLER_PARTITIONS="Radiology=p2") as running:
        for route in guarded:
            response = await running.http.get(f"/{route.path.format(**parameters)}")
            assert (response.status_code, response.json()["code"]) == (403, "not-your-partition"), route.name
        assert running.service.requests == []


LIMITED = {"WEBSITE_AUTH_ENABLED": "true", "CALLER_PARTITIONS": "Radiology=site-a,SITE-A,microsoft.default,new"}
RADIOLOGY = {
    "x-ms-client-principal": principal(("oid", "11111111-2222-3333-4444-555555555555"), ("roles", "Radiology"))
}


def with_partitions(listed: Script) -> Callable[[Received], Script]:
    """Return the scripts of a service that gives the file under any name of a partition, and this as its list."""
    return lambda request: listed if request.target == "/v2/partitions" else WHOLE


async def test_a_partition_has_one_spelling_where_callers_are_limited(start: Start) -> None:
    """The service's own; a rule for another spelling opens nothing, and the list is requested once."""
    listed = partitions("Microsoft.Default", "site-a")
    async with start(with_partitions(listed), **LIMITED) as running:
        for name, status in {"site-a": 200, "SITE-A": 403, "microsoft.default": 403, "new": 200, "Site-A": 403}.items():
            response = await running.http.get(f"/partitions/{name}{INSTANCE}", headers=RADIOLOGY)
            assert response.status_code == status, name
            assert status == 200 or response.json()["code"] == "not-your-partition"
        passed_on = [f"/partitions/{name}{INSTANCE}" for name in ("site-a", "new")]
        assert sorted(running.service.targets) == sorted(["/partitions", *passed_on])


@pytest.mark.parametrize(
    ("listed", "status", "code"),
    [
        (answer(503), 503, "service-busy"),
        (answer(500), 502, "service-failed"),
        (answer(401), 502, "service-denied-access"),
    ],
)
async def test_partitions_that_are_not_listed_open_to_no_limited_caller(
    start: Start, listed: Script, status: int, code: str
) -> None:
    """The caller gets the problem of an unavailable service; a later request asks for the list again."""
    scripts = [listed, partitions("site-a"), WHOLE]
    async with start(*scripts, **LIMITED) as running:
        refused = await running.http.get(f"/partitions/site-a{INSTANCE}", headers=RADIOLOGY)
        assert (refused.status_code, refused.json()["code"]) == (status, code)
        assert running.service.targets == ["/partitions"]
        allowed = await running.http.get(f"/partitions/site-a{INSTANCE}", headers=RADIOLOGY)
        assert allowed.content == FILE


@pytest.mark.parametrize("status", [400, 404])
async def test_a_service_without_partitions_lists_none(start: Start, status: int) -> None:
    """It answers a path with a partition itself."""
    async with start(with_partitions(answer(status)), **LIMITED) as running:
        response = await running.http.get(f"/partitions/site-a{INSTANCE}", headers=RADIOLOGY)
        assert response.content == FILE


async def test_head_is_get_without_the_body(start: Start) -> None:
    async with start(WHOLE) as running:
        got = await running.http.get(INSTANCE)
        asked = await running.http.head(INSTANCE)
        assert (got.content, asked.content) == (FILE, b"")
        assert same_headers(got, asked)
        assert [line["bytes"] for line in await running.ended(2)] == [len(FILE), 0]


async def test_headers_end_at_the_app(start: Start) -> None:
    """No key, cookie or header of the caller or the host reaches the service; none of the service's the caller."""
    own = {"Set-Cookie": SECRET, "Server": SECRET, "X-Trace": SECRET, "Warning": f'299 {SECRET}: "x"', "Via": SECRET}
    own |= {"Location": SECRET, "Content-Location": SECRET, "Link": f"<{SECRET}>", "Date": SECRET, "ETag": SECRET}
    sent = dict.fromkeys(CALLERS_HEADERS, SECRET)
    async with start(answer(200, FILE, DICOM | own), answer(500, SECRET.encode(), own)) as running:
        good, bad = [await running.http.get(f"{INSTANCE}?code={SECRET}", headers=sent) for _ in range(2)]
        assert (good.status_code, bad.status_code) == (200, 502)
        for response, request in zip((good, bad), running.service.requests, strict=True):
            assert SECRET not in str(response.headers.raw)
            assert str(running.service.port) not in response.text
            assert SECRET.encode() not in request.head
            assert request.headers.keys() == {"host", "accept", "accept-encoding", "user-agent"}
        assert SECRET not in bad.text
        lines = await running.ended(2)
        assert lines[0].keys() == FIELDS
        assert (lines[0]["datasets"], lines[0]["bytes"], lines[0]["complete"]) == (1, len(FILE), True)
        assert SECRET not in running.log.text


@pytest.mark.parametrize("said", [SILENT, STALLED], ids=["before the first byte", "in the middle"])
async def test_a_caller_that_hangs_up_frees_the_connection_at_once(start: Start, said: Script) -> None:
    """Whatever the service is doing then."""
    async with start(said) as running:
        caller = asyncio.create_task(running.http.get(INSTANCE))
        request = await running.service.arrival()
        await asyncio.sleep(0.05)
        assert not caller.done()
        caller.cancel()
        async with asyncio.timeout(5):
            await request.gone.wait()
        [line] = await running.ended()
        assert (line["complete"], line["error"]) == (False, "ClientDisconnect")
        assert line["status"] in (200, 499)
        assert levels(running) == {"INFO"}
        assert running.places.take(1)


async def test_a_lookup_that_is_cancelled_leaves_nothing(start: Start) -> None:
    """As it is when the process ends: no connection, no place; and it has its line in the log."""

    async def receive() -> Message:
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    scope: Scope = {"type": "http", "method": "GET", "path": f"/api{INSTANCE}", "query_string": b"", "headers": []}
    scope["path_params"] = {"study": "1.2", "series": "1.3", "instance": "1.4"}
    [route] = [route for route in ROUTES if route.name == "retrieve_instance"]
    async with start(SILENT) as running:
        answering = asyncio.create_task(look_up(Request(scope, receive), route))
        request = await running.service.arrival()
        answering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await answering
        async with asyncio.timeout(5):
            await request.gone.wait()
        [line] = await running.ended()
        assert (line["status"], line["complete"], line["error"]) == (499, False, "ClientDisconnect")
        assert running.places.take(1)


async def test_a_service_that_stalls_before_the_first_byte_is_a_504(start: Start) -> None:
    async with start(SILENT, LOOKUP_TIMEOUT_SECONDS="0.2") as running:
        response = await running.http.get(INSTANCE)
        assert (response.status_code, response.json()["code"]) == (504, "too-slow")
        async with asyncio.timeout(5):
            await running.service.requests[0].gone.wait()


async def test_an_answer_that_stalls_midway_is_cut(start: Start) -> None:
    async with start(STALLED, LOOKUP_TIMEOUT_SECONDS="0.2") as running:
        with pytest.raises(httpx.RemoteProtocolError):
            await running.http.get(INSTANCE)
        [line] = await running.ended()
        assert (line["status"], line["complete"], line["error"]) == (200, False, "TimeoutError")
        assert levels(running) == {"ERROR"}


async def test_what_moves_is_not_cut_however_long_it_takes(start: Start) -> None:
    """There is no limit in total, only between two chunks."""
    slowly = [step for number in range(8) for step in (chunked(bytes([number]))[0], 0.1)]
    slow = script(head(200, {**DICOM, "Transfer-Encoding": "chunked"}), *slowly, LAST_CHUNK)
    async with start(slow, LOOKUP_TIMEOUT_SECONDS="0.4") as running:
        assert (await running.http.get(INSTANCE)).content == bytes(range(8))


async def test_a_caller_that_reads_nothing_is_let_go(start: Start) -> None:
    """It would hold a connection to the service for ever."""
    large = answer(200, bytes(32 * 1024 * 1024), DICOM)
    async with start(large, LOOKUP_TIMEOUT_SECONDS="1") as running:
        url = httpx.URL(running.url)
        reader, writer = await asyncio.open_connection(url.host, url.port, limit=1024)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        writer.write(f"GET /api{INSTANCE} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        [line] = await running.ended()
        assert (line["complete"], line["error"]) == (False, "TimeoutError")
        await asyncio.wait_for(running.service.requests[0].gone.wait(), 5)
        writer.close()
        del reader


async def test_more_lookups_than_there_are_places_for(start: Start) -> None:
    """503 with Retry-After, at once; and when one is over, the next one has its place."""
    async with start(SILENT, WHOLE, LOOKUP_CONCURRENCY="1") as running:
        first = asyncio.create_task(running.http.get(INSTANCE))
        await running.service.arrival()
        second = await running.http.get(INSTANCE)
        assert (second.status_code, second.json()["code"]) == (503, "too-many-lookups")
        assert second.headers["retry-after"] == "2"
        first.cancel()
        await running.ended(2)
        assert (await running.http.get(INSTANCE)).content == FILE


@pytest.mark.parametrize(
    ("said", "status", "code", "wait"),
    [
        (answer(404), 404, "not-found", None),
        (answer(429, headers={"Retry-After": "7"}), 429, "service-throttles", "7"),
        (answer(500), 502, "service-failed", None),
        (script(End.RESET).after(Read.HEAD), 502, "service-response-lost", None),
        (script(head(200, {**DICOM, "Content-Length": "9"}), End.FIN), 502, "service-response-lost", None),
        (answer(200, b"<html>", {"Content-Type": "text/html"}), 502, "invalid-service-response", None),
    ],
)
async def test_what_the_service_answers(start: Start, said: Script, status: int, code: str, wait: str | None) -> None:
    """Each has its status, code and, where the service says so, time to wait; all name the request."""
    async with start(said) as running:
        response = await running.http.get(INSTANCE)
        assert (response.status_code, response.json()["code"]) == (status, code)
        assert response.headers.get("retry-after") == wait
        assert response.headers["content-type"] == "application/problem+json"
        [line] = await running.ended()
        assert line["request_id"] == response.headers["x-request-id"]
        assert (line["status"], line["transaction"], line["resource"]) == (status, "retrieve", "instance")
        assert levels(running) == {"ERROR" if status >= 500 else "INFO"}


async def test_places_are_bounded_and_given_back() -> None:
    """Nobody waits for one."""
    places = Places()
    assert [places.take(2) for _ in range(3)] == [True, True, False]
    places.give_back()
    assert places.take(2)


@pytest.fixture(autouse=True)
async def _no_task_is_left() -> AsyncIterator[None]:
    """Every test leaves as many tasks as it found."""
    before = len(asyncio.all_tasks())
    yield
    await until(lambda: len(asyncio.all_tasks()) <= before)
