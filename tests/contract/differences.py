"""Expectations that say, where they are not met, what was expected and what was observed."""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Any

import httpx

_LONGEST_TEXT = 160
_UID = re.compile(r"[0-9.]{30,}")


class Difference(AssertionError):
    """The service behaves otherwise than the fact that a test holds."""

    def __init__(self, expected: str, observed: str) -> None:
        super().__init__(f"expected {expected}; observed {observed}")
        self.expected = expected
        self.observed = observed


def expect(response: httpx.Response, *statuses: int) -> httpx.Response:
    """Return a response that has one of the statuses.

    Raises:
        Difference: it has another.
    """
    if response.status_code not in statuses:
        raise Difference(" or ".join(map(str, statuses)), f"{response.status_code} {_request(response)}")
    return response


def equal(what: str, observed: Any, expected: Any) -> None:
    """Hold an observation against what is expected.

    Raises:
        Difference: they are not equal.
    """
    if observed != expected:
        raise Difference(f"{what}: {_short(expected)}", _short(observed))


def contains(what: str, observed: Container[Any], *expected: Any) -> None:
    """Hold a container against what it should have in it.

    Raises:
        Difference: something is not there.
    """
    missing = ", ".join(str(item) for item in expected if item not in observed)
    if missing:
        raise Difference(f"{what} with {missing}", f"{what} without")


def _request(response: httpx.Response) -> str:
    """Name a request, and what its answer says if that is text."""
    path = _UID.sub("{uid}", response.request.url.path)
    return f"to {response.request.method} {path} {_text(response)}".rstrip()


def _text(response: httpx.Response) -> str:
    is_text = response.headers.get("Content-Type", "").startswith(("text/", "application/dicom+json"))
    return f"({_short(response.text)})" if is_text and response.content else ""


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"
