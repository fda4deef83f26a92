"""What callers are told when something goes wrong."""

from __future__ import annotations

import json

import pytest

from shared.dicomweb import InvalidParameter, InvalidResponse, RequestNotSent, ResponseLost
from shared.dicomweb.errors import status_error
from shared.problems import problem
from shared.settings import ConfigurationError

SECRET = "CANARY"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidParameter("limit must be between 1 and 200"), 400, "invalid-parameter"),
        (ConfigurationError(["DICOM_STORAGE: wrong"]), 503, "not-configured"),
        (RequestNotSent("x"), 503, "service-unreachable"),
        (ResponseLost("x"), 502, "service-response-lost"),
        (InvalidResponse("x"), 502, "invalid-service-response"),
        (status_error("search studies", 400), 400, "invalid-request"),
        (status_error("search studies", 401), 502, "service-denied-access"),
        (status_error("search studies", 403), 502, "service-denied-access"),
        (status_error("search studies", 404), 404, "not-found"),
        (status_error("search studies", 406), 406, "not-acceptable"),
        (status_error("search studies", 409), 502, "service-failed"),
        (status_error("search studies", 424), 502, "service-failed"),
        (status_error("search studies", 500), 502, "service-failed"),
        (status_error("search studies", 429), 429, "service-throttles"),
        *((status_error("search studies", status), 503, "service-busy") for status in (408, 502, 503, 504)),
        (ValueError(SECRET), 500, "internal"),
        (KeyError(SECRET), 500, "internal"),
    ],
    ids=repr,
)
def test_problems(error: Exception, status: int, code: str) -> None:
    """Each error has its status and stable code, and no words but ours: a failure behind us is never the caller's."""
    response = problem(error)
    body = json.loads(bytes(response.body))
    detail = {"detail": str(error)} if isinstance(error, InvalidParameter) else {}
    assert {key: value for key, value in body.items() if key != "title"} == {
        "type": "about:blank",
        "status": status,
        "code": code,
        **detail,
    }
    assert body["title"].endswith(".")
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    assert "retry-after" not in response.headers
    assert SECRET.encode() not in bytes(response.body)


@pytest.mark.parametrize(
    ("status", "wait", "told"),
    [(429, 7.0, "7"), (503, 0.0, "0"), (503, 0.2, "1"), (504, 3600.0, "3600"), (500, 7.0, None), (404, 7.0, None)],
)
def test_retry_after(status: int, wait: float, told: str | None) -> None:
    """When the service says when to come again, a caller who is told to wait is told for how long."""
    assert problem(status_error("search studies", status, wait)).headers.get("retry-after") == told
