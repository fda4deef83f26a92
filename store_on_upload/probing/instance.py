"""The probe's instance: the same bytes each time, by which alone it is known (pure).

So nothing has to be kept secret or looked up: whoever else drops these bytes drops a probe, and no other file is ever
stored with an expiry, or under the root that lookups hide. The UIDs are always the same as well. A service that has no
expiry, or is slow with it, thus has one such instance in each partition, however often it is probed.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from shared.probe_uids import ROOT
from store_on_upload.files.source import Source

STUDY_INSTANCE_UID: Final = f"{ROOT}.1"
SERIES_INSTANCE_UID: Final = f"{ROOT}.1.1"
SOP_INSTANCE_UID: Final = f"{ROOT}.1.1.1"

# Nobody needs it once it is stored, and as long as it is there, lookups have to leave it out.
EXPIRE_AFTER: Final = timedelta(minutes=1)

_RAW_DATA: Final = "1.2.840.10008.5.1.4.1.1.66"  # a class without pixels
_EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
_IMPLEMENTATION: Final = f"{ROOT}.2"
_META: Final[Mapping[int, tuple[str, bytes]]] = {
    0x00020001: ("OB", b"\0\1"),
    0x00020002: ("UI", _RAW_DATA.encode()),
    0x00020003: ("UI", SOP_INSTANCE_UID.encode()),
    0x00020010: ("UI", _EXPLICIT_VR_LITTLE_ENDIAN.encode()),
    0x00020012: ("UI", _IMPLEMENTATION.encode()),
}
# Neither dates nor numbers: searches by them do not find it, and need leave nothing out.
_DATASET: Final[Mapping[int, tuple[str, bytes]]] = {
    0x00080016: ("UI", _RAW_DATA.encode()),
    0x00080018: ("UI", SOP_INSTANCE_UID.encode()),
    0x00080060: ("CS", b"OT"),
    0x00100010: ("PN", b"Probe^Synthetic"),
    0x00100020: ("LO", b"DICOM-DROPBOX-PROBE"),
    0x0020000D: ("UI", STUDY_INSTANCE_UID.encode()),
    0x0020000E: ("UI", SERIES_INSTANCE_UID.encode()),
}


def _encoded(elements: Mapping[int, tuple[str, bytes]]) -> bytes:
    return b"".join(_element(tag, vr, value) for tag, (vr, value) in elements.items())


def _element(tag: int, vr: str, value: bytes) -> bytes:
    """Return an element (PS3.5 §7.1.2), its value padded to an even length."""
    value += (b"\0" if vr in ("UI", "OB") else b" ") * (len(value) % 2)
    length = struct.pack("<2xL", len(value)) if vr == "OB" else struct.pack("<H", len(value))
    return struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode() + length + value


def _part10() -> bytes:
    meta = _encoded(_META)
    group_length = _encoded({0x00020000: ("UL", struct.pack("<L", len(meta)))})
    return bytes(128) + b"DICM" + group_length + meta + _encoded(_DATASET)


CONTENT: Final = _part10()
SHA256: Final = hashlib.sha256(CONTENT).hexdigest()


def is_probe(source: Source) -> bool:
    """Say whether a file is the probe, and nothing but the probe."""
    return source.prefix == CONTENT  # shorter than a prefix may be: no more follows
