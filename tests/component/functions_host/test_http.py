"""HTTP through the functions host: a real process, real sockets, both workers."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.component.functions_host.running import (
    APPS,
    FUNCTION_KEY,
    MASTER_KEY,
    WORKERS,
    RunningHost,
    running,
    wait_for,
)

LIMIT = 1024 * 1024


@dataclass
class Streaming:
    """The streaming app on a host, and the files through which the test talks to it."""

    host: RunningHost
    client: httpx.Client
    go_on: Path
    closed: Path


@pytest.fixture(scope="module", params=WORKERS)
def app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Streaming]:
    """The streaming app, run without keys."""
    with _streaming(APPS / "streaming", tmp_path_factory.mktemp(f"streaming-{request.param}"), request.param) as app:
        yield app


@pytest.fixture(scope="module", params=WORKERS)
def hasty(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Streaming]:
    """The same with a `functionTimeout` of two seconds."""
    folder = tmp_path_factory.mktemp(f"hasty-{request.param}")
    copied = shutil.copytree(APPS / "streaming", folder / "app")
    copied.joinpath("host.json").write_text('{"version": "2.0", "functionTimeout": "00:00:02"}')
    with _streaming(copied, folder, request.param) as app:
        yield app


@contextmanager
def _streaming(source: Path, folder: Path, worker: str) -> Iterator[Streaming]:
    go_on, closed = folder / "go_on", folder / "closed"
    settings = {
        "GO_ON": str(go_on),
        "CLOSED": str(closed),
        "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": str(LIMIT),
    }
    with (
        running(source, folder, worker, settings=settings) as host,
        httpx.Client(base_url=host.url, timeout=20) as client,
    ):
        yield Streaming(host, client, go_on, closed)


def _seen(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    seen: dict[str, Any] = response.json()
    return seen


def test_route_parameters_and_the_raw_query_reach_the_function(app: Streaming) -> None:
    """Parameters arrive decoded, except for encoded slashes, and the query as it was sent."""
    seen = _seen(app.client.get("/api/echo/a/b/c%2Fd%20e?x=1&x=2&empty="))
    assert seen["params"] == {"first": "a", "rest": "b/c%2Fd e"}
    assert seen["query"] == "x=1&x=2&empty="


def test_headers_are_those_that_the_real_proxy_sends_on(app: Streaming) -> None:
    """The client's Host is in X-Forwarded-Host only, and nothing forwarded can be forged."""
    sent = {
        "X-Forwarded-Host": "forged",
        "X-Forwarded-Prefix": "/forged",
        "X-Forwarded-For": "forged",
        "x-ms-invocation-id": "forged",
    }
    headers = dict(_seen(app.client.get("/api/echo/a/b", headers=sent))["headers"])
    assert headers["x-forwarded-host"] == app.host.url.removeprefix("http://")
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert "x-forwarded-prefix" not in headers
    assert headers["host"] != headers["x-forwarded-host"]
    assert "forged" not in str(headers)


def test_functions_run_on_the_event_loop_of_azure(app: Streaming) -> None:
    """Azure's worker runs on uvloop from Python 3.13 on, and on the loop of asyncio before."""
    is_uvloop = sys.version_info >= (3, 13)
    assert app.client.get("/api/loop").text == ("uvloop" if is_uvloop else "asyncio.unix_events")


async def test_tests_run_on_the_event_loop_of_azure() -> None:
    """The tests of the app's parts have the loop that the functions host has."""
    is_uvloop = sys.version_info >= (3, 13)
    assert type(asyncio.get_running_loop()).__module__ == ("uvloop" if is_uvloop else "asyncio.unix_events")


@pytest.mark.parametrize("path", ["/echo/a/b", "/api/unknown", "/api/chunks/many", "/api"])
def test_what_matches_no_route_is_404(app: Streaming, path: str) -> None:
    """A path outside the prefix, unknown, or against a constraint has no function."""
    assert app.client.get(path).status_code == 404


def test_the_first_chunk_arrives_before_the_second_is_made(app: Streaming) -> None:
    """The host holds nothing back while a function pauses."""
    with app.client.stream("GET", "/api/chunks/2") as response:
        chunks = response.iter_raw()
        assert next(chunks) == b"chunk 0\n"
        app.go_on.touch()
        assert b"".join(chunks) == b"chunk 1\n"


def test_a_long_response_takes_constant_memory(app: Streaming) -> None:
    """300 MiB pass through without the process growing by more than a tenth of that."""
    before = _resident_mebibytes(app.host.process.pid)
    with app.client.stream("GET", "/api/large/300") as response:
        size = sum(len(chunk) for chunk in response.iter_raw(1024 * 1024))
    assert size == 300 * 1024 * 1024
    assert _resident_mebibytes(app.host.process.pid) - before < 30


def _resident_mebibytes(pid: int) -> float:
    line = ["ps", "-o", "rss=", "-p", str(pid)]
    return int(subprocess.run(line, capture_output=True, check=True, text=True).stdout) / 1024


def test_a_generator_that_raises_cuts_the_connection(app: Streaming) -> None:
    """The client can tell a broken response from a short one, and the host says where it broke."""
    with app.client.stream("GET", "/api/broken") as response:
        chunks = response.iter_raw()
        assert next(chunks) == b"first"
        with pytest.raises(httpx.RemoteProtocolError):
            next(chunks)
    wait_for(lambda: "broken  response broken off" in app.host.output)


def test_a_client_that_hangs_up_ends_the_generator(app: Streaming) -> None:
    """The `finally` of an endless body runs when its reader is gone."""
    with app.client.stream("GET", "/api/endless") as response:
        chunks = response.iter_raw()  # kept: httpx hangs up when its iterator is collected
        next(chunks)
        assert not app.closed.exists()
    wait_for(app.closed.exists)


@pytest.mark.parametrize("path", ["/api/raises", "/api/nothing"])
def test_a_function_that_raises_or_returns_nothing_is_500(app: Streaming, path: str) -> None:
    """The answer says no more than the status does."""
    response = app.client.get(path)
    assert (response.status_code, response.text) == (500, "Internal Server Error")


def test_a_function_over_its_time_fails(hasty: Streaming) -> None:
    """`functionTimeout` of host.json ends the call with 500."""
    assert hasty.client.get("/api/slow/30").status_code == 500
    # The line may come after the answer.
    wait_for(lambda: "slow  failed" in hasty.host.output and "functionTimeout exceeded" in hasty.host.output)


def test_an_answer_over_its_time_is_cut(hasty: Streaming) -> None:
    """`functionTimeout` goes on until the last byte, however well they come."""
    with hasty.client.stream("GET", "/api/endless") as response:
        assert response.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            response.read()
    wait_for(lambda: "endless  response broken off" in hasty.host.output)
    wait_for(hasty.closed.exists)


def test_a_request_line_over_the_limit_is_414(app: Streaming) -> None:
    """As Kestrel does: 8,192 bytes with the method and the version pass, one more does not."""
    around = len("GET /api/echo/a/b?x= HTTP/1.1\r\n")
    assert app.client.get(f"/api/echo/a/b?x={'y' * (8192 - around)}").status_code == 200
    response = app.client.get(f"/api/echo/a/b?x={'y' * (8193 - around)}")
    assert (response.status_code, response.content) == (414, b"")


def test_a_body_over_the_limit_is_413(app: Streaming) -> None:
    """A declared length is refused at once, a chunked body where it passes the limit."""
    assert app.client.post("/api/echo/a/b", content=bytes(LIMIT + 1)).status_code == 413
    chunks = iter([bytes(LIMIT), b"x"])
    assert app.client.post("/api/echo/a/b", content=chunks).status_code == 413


def test_no_query_or_exception_text_is_printed(app: Streaming) -> None:
    """The host's lines tell outcome and place only."""
    app.client.get("/api/echo/CANARY/x?patient=CANARY", headers={"X-Canary": "CANARY"})
    app.client.get("/api/raises?patient=CANARY")
    app.client.get("/api/CANARY")
    _send_raw(app.host, b"GET /api/CANARY HTTP/9.9\r\nCANARY\r\n\r\n")
    wait_for(lambda: "raises  failed" in app.host.output)
    assert "ValueError function_app.py:" in app.host.output
    assert "CANARY" not in app.host.output


def _send_raw(host: RunningHost, request: bytes) -> None:
    address, _, port = host.url.removeprefix("http://").partition(":")
    with socket.create_connection((address, int(port)), timeout=5) as connection:
        connection.sendall(request)
        connection.recv(1024)


def test_admin_calls_anything_but_http_functions(app: Streaming) -> None:
    """An HTTP function is 400, an unknown one 404, and the status says Running."""
    assert app.client.post("/admin/functions/echo", json={"input": ""}).status_code == 400
    assert app.client.post("/admin/functions/unknown", json={"input": ""}).status_code == 404
    assert app.client.get("/admin/host/status").json()["state"] == "Running"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHost]:
    """The streaming app with keys, and with one origin allowed."""
    settings = {"LOCAL_FUNCTION_KEY": FUNCTION_KEY, "LOCAL_MASTER_KEY": MASTER_KEY}
    arguments = ("--auth", "--cors", "https://viewer.example")
    folder = tmp_path_factory.mktemp("guarded")
    with running(APPS / "streaming", folder, WORKERS[-1], *arguments, settings=settings) as host:
        yield host


@pytest.mark.parametrize(
    ("path", "header", "query", "status"),
    [
        ("/api/bare", None, None, 401),
        ("/api/bare", "wrong", None, 401),
        ("/api/bare", FUNCTION_KEY, None, 203),
        ("/api/bare", MASTER_KEY, None, 203),
        ("/api/bare", None, FUNCTION_KEY, 203),
        ("/api/bare", None, "wrong", 401),
        ("/api/bare", "wrong", FUNCTION_KEY, 401),
        ("/api/open", None, None, 200),
        ("/api/open", "wrong", None, 200),
        ("/api/admin-only", FUNCTION_KEY, None, 401),
        ("/api/admin-only", MASTER_KEY, None, 200),
        ("/admin/host/ping", None, None, 200),
        ("/admin/host/status", None, None, 401),
        ("/admin/host/status", FUNCTION_KEY, None, 401),
        ("/admin/host/status", MASTER_KEY, None, 200),
        ("/admin/host/status", None, MASTER_KEY, 200),
        ("/admin/host/held", FUNCTION_KEY, None, 401),
        ("/admin/host/held", MASTER_KEY, None, 200),
    ],
)
def test_keys(guarded: RunningHost, path: str, header: str | None, query: str | None, status: int) -> None:
    """A key counts by its level, and a header comes before the query."""
    headers = {"x-functions-key": header} if header else {}
    params = {"code": query} if query else {}
    assert httpx.get(guarded.url + path, headers=headers, params=params).status_code == status


def test_preflights_are_answered_for_allowed_origins(guarded: RunningHost) -> None:
    """An allowed origin gets its headers, another one the bare 204."""
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "x-functions-key"}
    for origin in ("https://viewer.example", "https://evil.example"):
        response = httpx.options(f"{guarded.url}/api/bare", headers={"Origin": origin, **asked})
        assert response.status_code == 204
        allowed = response.headers.get("access-control-allow-origin")
        assert allowed == (origin if "viewer" in origin else None)
    plain = httpx.get(f"{guarded.url}/api/open", headers={"Origin": "https://viewer.example"})
    assert plain.headers["access-control-allow-origin"] == "https://viewer.example"
    assert sorted(plain.headers.get_list("vary")) == ["Accept", "Origin"]
