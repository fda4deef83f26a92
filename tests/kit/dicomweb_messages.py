"""What plain HTTP clients of a DICOM service write and read: multipart messages and DICOM JSON.

Nothing of the project's own client is used, so that neither can be wrong with the other.
"""

from __future__ import annotations

from email.message import Message
from typing import Any

import httpx

DICOM_JSON = "application/dicom+json"
STORED_INSTANCE = "application/dicom; transfer-syntax=*"
STORED_INSTANCES = 'multipart/related; type="application/dicom"; transfer-syntax=*'

Part = bytes | tuple[str | None, bytes]  # its content, or its Content-Type and its content


def multipart_body(*parts: Part, boundary: str = "frontier", end: bytes | None = None) -> bytes:
    """Encode a multipart message; `end` stands in for the closing delimiter."""
    body = b""
    for part in parts:
        content_type, content = part if isinstance(part, tuple) else ("application/dicom", part)
        header = f"Content-Type: {content_type}\r\n" if content_type else "X-Other: 1\r\n"
        body += f"--{boundary}\r\n{header}\r\n".encode() + content + b"\r\n"
    return body + (f"--{boundary}--\r\n".encode() if end is None else end)


def parts_of(response: httpx.Response) -> list[tuple[dict[str, str], bytes]]:
    """Return headers, their names in lower case, and content of each part of a multipart response (RFC 2046 §5.1)."""
    outer = Message()
    outer["Content-Type"] = response.headers["Content-Type"]
    delimiter = f"\r\n--{outer.get_param('boundary')}".encode()
    _, *parts, epilogue = (b"\r\n" + response.content).split(delimiter)
    assert epilogue.startswith(b"--"), "the closing delimiter is missing"
    return [_part(part) for part in parts]


def _part(part: bytes) -> tuple[dict[str, str], bytes]:
    head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    fields = (line.partition(":") for line in head.decode().split("\r\n"))
    return {name.lower(): value.strip() for name, _, value in fields}, content


def values(dataset: dict[str, Any], tag: str) -> list[Any]:
    """Return an element's values."""
    found: list[Any] = dataset.get(tag, {}).get("Value", [])
    return found


def items(response: httpx.Response, tag: str) -> list[dict[str, Any]]:
    """Return the items of a sequence in a store response."""
    return values(response.json(), tag)


def comments(item: dict[str, Any]) -> list[str]:
    """Return the comments in an item's FailedAttributesSequence."""
    return [values(entry, "00000902")[0] for entry in values(item, "00741048")]


def path_of(found: dict[str, Any]) -> str:
    """Return the path of an instance that a search found."""
    study, series, sop = (values(found, tag)[0] for tag in ("0020000D", "0020000E", "00080018"))
    return f"/studies/{study}/series/{series}/instances/{sop}"
