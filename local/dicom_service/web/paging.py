"""The options `limit` and `offset` of a request for a list."""

from __future__ import annotations

import re
from collections.abc import Mapping

from local.dicom_service.web.errors import bad_request

MAX_LIMIT = 200
DEFAULT_LIMIT = 100
_MAX_OFFSET = 2**31 - 1
_DIGITS = re.compile(r"[0-9]{1,10}")


def limit_and_offset(options: Mapping[str, str]) -> tuple[int, int]:
    """Return how many results to send at most, and how many to pass over before; names are in lower case.

    Raises:
        ServiceError: 400, one is not a number or out of bounds.
    """
    limit = _number("limit", options.get("limit", str(DEFAULT_LIMIT)), 1, MAX_LIMIT)
    return limit, _number("offset", options.get("offset", "0"), 0, _MAX_OFFSET)


def _number(name: str, text: str, least: int, most: int) -> int:
    text = text.strip()
    if not _DIGITS.fullmatch(text) or not least <= int(text) <= most:
        raise bad_request(f"{name} must be a number from {least} to {most}.")
    return int(text)
