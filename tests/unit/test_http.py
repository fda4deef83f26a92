"""HTTP requests and answers without sockets: the caller's address for the app, approval keys, problems, hang-ups."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from azure.core.exceptions import AzureError, HttpResponseError, ServiceRequestError
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message

from query_api.public_address import public_address
from shared.approval import is_approved
from shared.delivery import Delivery, Outcome
from shared.dicomweb import InvalidParameter, InvalidResponse, RequestNotSent, ResponseLost
from shared.dicomweb.errors import status_error
from shared.problems import problem
from shared.settings import ConfigurationError
from store_on_upload.requests.answering import answer

SECRET = "CANARY"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "http://127.0.0.1:9/api"),
        ({"x-forwarded-host": "us.example"}, "http://us.example/api"),
        ({"x-forwarded-host": "us.example:8443", "x-forwarded-proto": "https"}, "https://us.example:8443/api"),
        ({"x-forwarded-host": "[::1]:7071", "x-forwarded-proto": "HTTPS"}, "https://[::1]:7071/api"),
        ({"x-forwarded-host": "us.example, inner", "x-forwarded-proto": "https, http"}, "https://us.example/api"),
        ({"x-forwarded-host": "us.example", "x-forwarded-prefix": "/a/b/"}, "http://us.example/a/b/api"),
        ({"x-forwarded-host": 'evil"/<x>', "x-forwarded-proto": "javascript"}, "http://127.0.0.1:9/api"),
        ({"x-forwarded-host": "us.example", "x-forwarded-prefix": "//evil"}, "http://us.example/api"),
    ],
)
def test_the_address_is_that_of_the_outermost_gateway(headers: dict[str, str], expected: str) -> None:
    """Headers count as far as they are valid; the setting overrides them."""
    scope = {"type": "http", "method": "GET", "scheme": "http", "server": ("127.0.0.1", 9), "query_string": b""}
    sent = [(name.encode(), value.encode()) for name, value in headers.items()]
    request = Request({**scope, "path": "/api/studies/1.2/metadata", "headers": sent})
    assert public_address(request, "studies/{study}/metadata", None) == expected
    assert public_address(request, "studies/{study}/metadata", "https://them.example/i") == "https://them.example/i"


@pytest.mark.parametrize(
    ("given", "key", "approved"),
    [
        (b"", None, False),
        (b"None", None, False),
        (b"", "a key of sixteen or more", False),
        (b"a key of sixteen or mor", "a key of sixteen or more", False),
        (b"a key of sixteen or more", "a key of sixteen or more", True),
        ("schlüssel von sechzehn".encode(), "schlüssel von sechzehn", True),
        ("schlüssel von sechzehn".encode("latin-1"), "schlüssel von sechzehn", False),
    ],
)
def test_a_key_approves_if_its_utf8_bytes_are_the_settings(given: bytes, key: str | None, approved: bool) -> None:
    http = Request({"type": "http", "headers": [(b"x-replay-key", given)]})
    assert is_approved(http, "x-replay-key", key) is approved
    assert is_approved(http, "x-approval-key", key) is False


def of_service(status: int, wait: float | None = None) -> Exception:
    return status_error("search studies", status, wait)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidParameter("limit must be between 1 and 200"), 400, "invalid-parameter"),
        (ConfigurationError(["DICOM_STORAGE: wrong"]), 503, "not-configured"),
        (RequestNotSent("x"), 503, "service-unreachable"),
        (ResponseLost("x"), 502, "service-response-lost"),
        (InvalidResponse("x"), 502, "invalid-service-response"),
        (of_service(400), 400, "invalid-request"),
        *((of_service(status), 502, "service-denied-access") for status in (401, 403)),
        (of_service(404), 404, "not-found"),
        (of_service(406), 406, "not-acceptable"),
        *((of_service(status), 502, "service-failed") for status in (409, 424, 500)),
        (of_service(429), 429, "service-throttles"),
        *((of_service(status), 503, "service-busy") for status in (408, 502, 503, 504)),
        (ValueError(SECRET), 500, "internal"),
    ],
    ids=repr,
)
def test_problems(error: Exception, status: int, code: str) -> None:
    """A problem has the words of the app only, and a failure of the service is never called the caller's."""
    response = problem(error)
    body = json.loads(bytes(response.body))
    detail = {"detail": str(error)} if isinstance(error, InvalidParameter) else {}
    assert body.pop("title").endswith(".")
    assert body == {"type": "about:blank", "status": status, "code": code, **detail}
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    assert "retry-after" not in response.headers
    assert SECRET.encode() not in bytes(response.body)


@pytest.mark.parametrize(
    ("status", "wait", "header"),
    [(429, 7.0, "7"), (503, 0.0, "0"), (503, 0.2, "1"), (504, 3600.0, "3600"), (500, 7.0, None), (404, 7.0, None)],
)
def test_retry_after_of_the_service_reaches_a_caller_that_may_retry(
    status: int, wait: float, header: str | None
) -> None:
    assert problem(of_service(status, wait)).headers.get("retry-after") == header


def of_storage(status: int) -> HttpResponseError:
    error = HttpResponseError(SECRET)
    error.status_code = status
    return error


@pytest.mark.parametrize(
    ("error", "status", "code", "retry_after"),
    [
        (of_storage(400), 400, "invalid-parameter", None),  # of a name that it does not take
        (of_storage(403), 503, "storage-failed", "30"),
        (of_storage(500), 503, "storage-failed", "30"),
        (ServiceRequestError(SECRET), 503, "storage-failed", "30"),
        (AzureError(SECRET), 503, "storage-failed", "30"),
        (ConfigurationError([SECRET]), 503, "not-configured", None),
        (RuntimeError(SECRET), 500, "internal", None),
    ],
)
async def test_failures_of_a_request_to_ingest(
    error: Exception, status: int, code: str, retry_after: str | None
) -> None:
    async def fail() -> Response:
        raise error

    response = await answer("look up receipt", fail)
    body = json.loads(bytes(response.body))
    assert (response.status_code, body["code"], response.headers.get("retry-after")) == (status, code, retry_after)
    assert response.headers["cache-control"] == "no-store"
    assert SECRET not in json.dumps(body)


@pytest.mark.parametrize(
    ("headers", "word"),
    [
        ({"content-length": "4"}, "complete"),
        ({"content-length": "5"}, "hung_up"),
        ({}, "hung_up"),  # without a length, the end is the last chunk, which did not arrive
    ],
)
async def test_a_caller_that_has_the_announced_bytes_may_close(headers: dict[str, str], word: str) -> None:
    has_four_bytes = asyncio.Event()
    outcomes: list[Outcome] = []

    async def body() -> AsyncIterator[bytes]:
        yield b"DICM"

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            has_four_bytes.set()
            if not message["body"]:
                await asyncio.Event().wait()

    async def receive() -> Message:
        await has_four_bytes.wait()
        return {"type": "http.disconnect"}

    async def end(outcome: Outcome) -> None:
        outcomes.append(outcome)

    await Delivery(StreamingResponse(body(), 200, headers), 10, end)({"type": "http", "method": "GET"}, receive, send)
    [outcome] = outcomes
    assert (outcome.word, outcome.bytes) == (word, 4)
