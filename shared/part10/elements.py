"""What an element begins with: tag, VR and length (PS3.5 §7.1, §7.5)."""

from __future__ import annotations

import re
from struct import Struct
from typing import NamedTuple

from pydicom import uid
from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, STANDARD_VR

UNDEFINED = 0xFFFFFFFF

ITEM = 0xFFFEE000
ITEM_END = 0xFFFEE00D
SEQUENCE_END = 0xFFFEE0DD
ITEM_GROUP = 0xFFFE

# The least that an element takes.
HEAD_BYTES = 8

VRS = frozenset(vr.encode() for vr in STANDARD_VR)
_ANY_VR = re.compile(rb"[A-Z]{2}")
# PS3.5 §7.1.2: these have two reserved bytes and a length of four.
_LONG_VRS = frozenset(vr.encode() for vr in EXPLICIT_VR_LENGTH_32)
SHORT_VRS = VRS - _LONG_VRS
# Where no VR tells of a sequence, its tag does (PS3.6 §6); "xx" stands for any even number.
SEQUENCES = frozenset(tag for tag, entry in DicomDictionary.items() if entry[0] == "SQ") | frozenset(
    int(mask.replace("xx", f"{number:02x}"), 16)
    for mask, entry in RepeatersDictionary.items()
    for number in range(0, 256, 2)
    if entry[0] == "SQ"
)


class NotFollowed(Exception):
    """The dataset cannot be followed any further, or not in so few ranges; other software may understand it."""


class Element(NamedTuple):
    """The beginning of an element; positions are those of the data it lies in, in bytes."""

    tag: int
    vr: bytes  # empty in implicit VR and for items
    length: int
    value_at: int

    @property
    def end(self) -> int:
        """Where the next one begins, if the length is defined."""
        return self.value_at + self.length


class Encoding(NamedTuple):
    """How a dataset is encoded, compressed pixels aside."""

    implicit: bool
    head: Struct  # group, number, and four bytes that are the length in implicit VR
    short: Struct
    long: Struct
    short_head: Struct  # group, number, VR and length in explicit VR


IMPLICIT = Encoding(True, Struct("<HHL"), Struct("<H"), Struct("<L"), Struct("<HH2sH"))
EXPLICIT = Encoding(False, *IMPLICIT[1:])
BIG_ENDIAN = Encoding(False, Struct(">HHL"), Struct(">H"), Struct(">L"), Struct(">HH2sH"))

_ENCODINGS: dict[str, Encoding] = {uid.ImplicitVRLittleEndian: IMPLICIT, uid.ExplicitVRBigEndian: BIG_ENDIAN}


def encoding_of(transfer_syntax_uid: str) -> Encoding:
    """Return how a transfer syntax encodes what is no pixel: all but two in explicit VR, little endian (PS3.5 §A)."""
    return _ENCODINGS.get(transfer_syntax_uid, EXPLICIT)


def is_vr(two: bytes) -> bool:
    """Say whether two bytes can be a VR; later editions of the Standard may have more than we know."""
    return two in VRS or _ANY_VR.fullmatch(two) is not None


def is_sequence(element: Element) -> bool:
    """Say whether an element of defined length holds items; a private one without a VR counts as a mere value."""
    return element.vr == b"SQ" or (element.vr in (b"", b"UN") and element.tag in SEQUENCES)


def is_long(vr: bytes) -> bool:
    """Say whether the length of an element of this VR takes four bytes, behind two reserved ones."""
    return vr in _LONG_VRS
