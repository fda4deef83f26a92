"""The app's address as the caller sees it: what of a request is believed."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from query_api.public_address import public_address

ROUTE = "studies/{study}/metadata"


def asked(**headers: str) -> Request:
    """Return a request as the worker gets it: by its own address, the caller's in headers."""
    return Request(
        {
            "type": "http",
            "method": "GET",
            "scheme": "http",
            "server": ("127.0.0.1", 9),
            "path": "/api/studies/1.2/metadata",
            "query_string": b"",
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        }
    )


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "http://127.0.0.1:9/api"),
        ({"x_forwarded_host": "us.example"}, "http://us.example/api"),
        ({"x_forwarded_host": "us.example:8443", "x_forwarded_proto": "https"}, "https://us.example:8443/api"),
        ({"x_forwarded_host": "[::1]:7071", "x_forwarded_proto": "HTTPS"}, "https://[::1]:7071/api"),
        ({"x_forwarded_host": "us.example, inner", "x_forwarded_proto": "https, http"}, "https://us.example/api"),
        ({"x_forwarded_host": "us.example", "x_forwarded_prefix": "/a/b/"}, "http://us.example/a/b/api"),
        ({"x_forwarded_host": 'evil"/<x>', "x_forwarded_proto": "javascript"}, "http://127.0.0.1:9/api"),
        ({"x_forwarded_host": "us.example", "x_forwarded_prefix": "//evil"}, "http://us.example/api"),
    ],
)
def test_the_address_is_that_of_the_gateway_nearest_to_the_caller(headers: dict[str, str], expected: str) -> None:
    """As far as it is one."""
    assert public_address(asked(**headers), ROUTE, None) == expected


def test_the_setting_goes_before_all_headers() -> None:
    """It is what a gateway is reached by that tells nothing of itself."""
    assert (
        public_address(asked(x_forwarded_host="us.example"), ROUTE, "https://them.example/i")
        == "https://them.example/i"
    )
