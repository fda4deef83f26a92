"""What a file lacks to be one of PS3.10, put in front of its own bytes (PS3.10 §7.1).

A receipt whose `changes` name `part10` is about a file that was sent like this.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

from pydicom.uid import ExplicitVRLittleEndian

from shared.part10 import PREAMBLE_BYTES, Form, Header, Unfit
from shared.part10.elements import is_long
from shared.part10.opening import MAGIC

from .explicit_vr import element_head

Elements = dict[int, tuple[bytes, bytes]]  # tag → VR and value

PREAMBLE = bytes(PREAMBLE_BYTES) + MAGIC

# What writes these files, by a UID of ours (PS3.5 §B.2).
IMPLEMENTATION_CLASS_UID = "2.25.299076686888173368500795102176510599814"

_GROUP_LENGTH = 0x00020000
_VERSION = 0x00020001
_SOP_CLASS_UID = 0x00020002
_SOP_INSTANCE_UID = 0x00020003
_TRANSFER_SYNTAX_UID = 0x00020010
_IMPLEMENTATION_CLASS_UID = 0x00020012
_IMPLEMENTATION_VERSION_NAME = 0x00020013


def missing_head(header: Header) -> bytes:
    """Return what must precede the file's own bytes: nothing, a preamble, or File Meta as well.

    Raises:
        Unfit: File Meta needs the SOP Class or the SOP Instance UID, and it was not found.
    """
    match header.form:
        case Form.PART10:
            return b""
        case Form.NO_PREAMBLE:
            return PREAMBLE
        case Form.NO_META:
            return PREAMBLE + _new_meta(header)


def explicit_vr_head(header: Header, head: bytes) -> bytes:
    """Return what precedes the dataset once it is in Explicit VR Little Endian.

    Args:
        header: of the file as it is.
        head: its own bytes in front of its dataset; all of File Meta but the transfer syntax, and who wrote the file,
            is kept.

    Raises:
        Unfit: as for `missing_head`.
    """
    explicit = replace(header, transfer_syntax_uid=ExplicitVRLittleEndian)
    preamble_bytes = len(PREAMBLE) if header.form is Form.PART10 else 0
    own_meta = head[preamble_bytes:]
    return missing_head(explicit) + head[:preamble_bytes] + (_corrected_meta(explicit, own_meta) if own_meta else b"")


def _new_meta(header: Header) -> bytes:
    if not header.sop_class_uid or not header.sop_instance_uid:
        raise Unfit("uids_missing")
    return _meta(
        {
            _VERSION: (b"OB", b"\0\1"),
            _SOP_CLASS_UID: _uid(header.sop_class_uid),
            _SOP_INSTANCE_UID: _uid(header.sop_instance_uid),
            _TRANSFER_SYNTAX_UID: _uid(header.transfer_syntax_uid),
            _IMPLEMENTATION_CLASS_UID: _uid(IMPLEMENTATION_CLASS_UID),
        }
    )


def _corrected_meta(header: Header, meta: bytes) -> bytes:
    elements = dict(_elements(meta))
    elements[_TRANSFER_SYNTAX_UID] = _uid(header.transfer_syntax_uid)
    elements[_IMPLEMENTATION_CLASS_UID] = _uid(IMPLEMENTATION_CLASS_UID)
    elements.pop(_IMPLEMENTATION_VERSION_NAME, None)  # of the one who wrote the file before
    elements.pop(_GROUP_LENGTH, None)
    return _meta(elements)


def _meta(elements: Elements) -> bytes:
    encoded = b"".join(element_head(tag, vr, len(value)) + value for tag, (vr, value) in sorted(elements.items()))
    return element_head(_GROUP_LENGTH, b"UL", 4) + struct.pack("<L", len(encoded)) + encoded


def _elements(meta: bytes) -> Iterator[tuple[int, tuple[bytes, bytes]]]:
    """Yield tag, VR and value of each element of File Meta, which has been read before."""
    at = 0
    while at < len(meta):
        group, element, vr, length = struct.unpack_from("<HH2sH", meta, at)
        at += 8
        if is_long(vr):
            [length] = struct.unpack_from("<L", meta, at)
            at += 4
        yield group << 16 | element, (vr, meta[at : at + length])
        at += length


def _uid(uid: str) -> tuple[bytes, bytes]:
    return b"UI", uid.encode("ascii") + b"\0" * (len(uid) % 2)
