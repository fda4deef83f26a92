"""How the app reads and writes what is large in JSON (RFC 8259), such as DICOM JSON; pure.

orjson does it in a third of the time. What it does not take, and services may have, the standard library reads and
writes as before: half a surrogate pair in a text, a byte order mark, more than 254 levels. A number that is none (NaN)
is refused by both: orjson would write null for it.
"""

from __future__ import annotations

import json
from math import isfinite
from typing import Any

import orjson


def read_json(content: bytes | bytearray) -> Any:
    """Return what a text holds; an integer of more than 64 bits, which no VR has, may become the float next to it.

    Raises:
        ValueError: it is no JSON, or holds a number that is none.
        RecursionError: it is nested too deeply.
    """
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return json.loads(content, parse_constant=_number, parse_float=_number)


def write_json(value: Any) -> bytes:
    """Return a value, all of whose numbers were read by `read_json`, as JSON; what is no Unicode is replaced.

    Raises:
        ValueError, RecursionError: there is no JSON for it.
    """
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode(errors="replace")


def _number(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError("a number is none")
    return number
