"""The options in a request's query string: how many results and from where on, switches, and other numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request

from local.dicom_service.web.errors import bad_request

MAX_LIMIT = 200
DEFAULT_LIMIT = 100
_MAX_OFFSET = 2**31 - 1
_INTEGER = re.compile(r"\s*[+-]?[0-9]{1,19}\s*")


def options_of(request: Request) -> dict[str, str]:
    """Return the query's parameters by their names in lower case; of a repeated one the first counts."""
    pairs = parse_qsl(request.url.query, keep_blank_values=True)
    return {name.lower(): value for name, value in reversed(pairs)}


def limit_and_offset(options: Mapping[str, str], max_offset: int = _MAX_OFFSET) -> tuple[int, int]:
    """Return how many results to send at most, and how many to pass over before; names are in lower case.

    Raises:
        ServiceError: 400, one is not a number or out of bounds.
    """
    limit = integer("limit", options.get("limit", str(DEFAULT_LIMIT)), 1, MAX_LIMIT)
    return limit, integer("offset", options.get("offset", "0"), 0, max_offset)


def integer(name: str, text: str, least: int, most: int) -> int:
    """Read an option that is a number.

    Raises:
        ServiceError: 400, it is none, or out of bounds.
    """
    if not _INTEGER.fullmatch(text) or not least <= int(text) <= most:
        raise bad_request(f"{name} must be an integer from {least} to {most}.")
    return int(text)


def flag(name: str, text: str) -> bool:
    """Read an option that is on or off.

    Raises:
        ServiceError: 400, it is neither.
    """
    text = text.strip().lower()
    if text not in ("true", "false"):
        raise bad_request(f"{name} must be true or false.")
    return text == "true"
