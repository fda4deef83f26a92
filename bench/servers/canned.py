"""What a DICOM service answers, made beforehand: searches of an archive, and one study (pure)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

STUDIES: Final = 2_000  # in the archive, more than a search here asks for
STUDY: Final = "1.2.826.0.1.3680043.10.1.1"
SERIES: Final = f"{STUDY}.1"
INSTANCE: Final = f"{SERIES}.1"
BOUNDARY: Final = "4a9e2bd3-5c0f-4f0e-9a63-b7c1f1a6c9d1"
MULTIPART: Final = f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'
_HEAD: Final = (
    f"\r\n--{BOUNDARY}\r\nContent-Type: application/dicom; transfer-syntax=1.2.840.10008.1.2.1\r\n\r\n".encode()
)
_END: Final = f"\r\n--{BOUNDARY}--\r\n".encode()


def page(offset: int, limit: int, studies: int = STUDIES) -> bytes:
    """Return a page of a search for studies, in DICOM JSON, of an archive of so many."""
    rows = [_study(number) for number in range(offset, min(offset + limit, studies))]
    return json.dumps(rows, separators=(",", ":")).encode()


def message(instances: int, size_bytes: int) -> Iterator[bytes]:
    """Yield a multipart message of instances of a size, part by part, as the service sends it."""
    content = b"\0" * 128 + b"DICM" + bytes(size_bytes - 132)
    for _ in range(instances):
        yield _HEAD + content
    yield _END


def _study(number: int) -> dict[str, Any]:
    uid = STUDY if number == 0 else f"1.2.826.0.1.3680043.10.1.{number + 1}"
    elements = {
        "00080005": ("CS", ["ISO_IR 100"]),
        "00080020": ("DA", [f"2026{number % 12 + 1:02}{number % 28 + 1:02}"]),
        "00080050": ("SH", [f"A{number:08}"]),
        "00080061": ("CS", ["CT", "SR"]),
        "00080090": ("PN", [{"Alphabetic": "Referring^Physician"}]),
        "00081030": ("LO", ["CT of the thorax and abdomen, with contrast"]),
        "00100010": ("PN", [{"Alphabetic": f"Family{number}^Given"}]),
        "00100020": ("LO", [f"P{number:08}"]),
        "00100030": ("DA", ["19700101"]),
        "0020000D": ("UI", [uid]),
        "00201208": ("IS", [number % 700 + 1]),
    }
    return {tag: {"vr": vr, "Value": value} for tag, (vr, value) in elements.items()}
