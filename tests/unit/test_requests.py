"""Requests without their sockets: who may replay, and what failures are told as."""

from __future__ import annotations

import json
from typing import Any

import pytest
from azure.core.exceptions import AzureError, HttpResponseError, ServiceRequestError
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from shared.approval import is_approved
from shared.settings import ConfigurationError
from store_on_upload.requests.answering import answer


def storage_says(status: int) -> HttpResponseError:
    error = HttpResponseError("CANARY")
    error.status_code = status
    return error


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
def test_approval(given: bytes, key: str | None, approved: bool) -> None:
    """The same bytes, in UTF-8; without the setting nothing is approved."""
    http = HttpRequest({"type": "http", "headers": [(b"x-replay-key", given)]})
    assert is_approved(http, "x-replay-key", key) is approved
    assert is_approved(http, "x-approval-key", key) is False


@pytest.mark.parametrize(
    ("error", "status", "code", "retry_after"),
    [
        (storage_says(400), 400, "invalid-parameter", None),  # of a name that it does not take
        (storage_says(403), 503, "storage-failed", "30"),
        (storage_says(500), 503, "storage-failed", "30"),
        (ServiceRequestError("CANARY"), 503, "storage-failed", "30"),
        (AzureError("CANARY"), 503, "storage-failed", "30"),
        (ConfigurationError(["CANARY"]), 503, "not-configured", None),
        (RuntimeError("CANARY"), 500, "internal", None),
    ],
)
async def test_failures(error: Exception, status: int, code: str, retry_after: str | None) -> None:
    """Each has its status and code, and none of its words."""

    async def fail() -> Response:
        raise error

    response = await answer("look up receipt", fail)
    told: dict[str, Any] = json.loads(bytes(response.body))
    assert (response.status_code, told["code"], response.headers.get("retry-after")) == (status, code, retry_after)
    assert response.headers["cache-control"] == "no-store"
    assert "CANARY" not in json.dumps(told)
