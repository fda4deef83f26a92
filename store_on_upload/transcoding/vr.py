"""Which VR an element of a dataset in implicit VR has (PS3.5 §A.1, PS3.6; private ones as pydicom knows them)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from pydicom.datadict import dictionary_VR, private_dictionary_VR

from shared.part10.elements import UNDEFINED

US_OR_SS = b"US or SS"  # PixelRepresentation decides

_UNKNOWN = b"UN"
_LONGEST_CREATOR = 64


def vr_of(tag: int, length: int, creators: Mapping[int, str]) -> bytes:
    """Return the VR of an element, or `US_OR_SS`.

    Args:
        tag: of the element.
        length: of its value, in bytes, or `UNDEFINED`.
        creators: the private creators of its dataset, by their tags.
    """
    if not _is_private(tag):
        vr = _public_vr(tag)
    elif _is_creator(tag):
        vr = b"LO"
    else:
        vr = _private_vr(tag, creators.get(tag & 0xFFFF0000 | (tag & 0xFFFF) >> 8))
    if length == UNDEFINED and (vr == _UNKNOWN or _is_private(tag)):
        return b"SQ"  # nothing else has no length, encapsulated pixel data apart (PS3.5 §6.2.2)
    if vr == b"US or OW":  # LUT Data: of one entry US, as one word is
        return b"US" if length == 2 else b"OW"
    return vr


def creator_of(tag: int, value: bytes) -> str | None:
    """Return the private creator that an element names, None for any other element (PS3.5 §7.8.1)."""
    if not _is_creator(tag) or len(value) > _LONGEST_CREATOR:
        return None
    return value.decode("ascii", "replace").rstrip(" \0")


def _is_private(tag: int) -> bool:
    return bool(tag >> 16 & 1) and tag & 0xFFFF != 0


def _is_creator(tag: int) -> bool:
    return _is_private(tag) and 0x10 <= tag & 0xFFFF <= 0xFF


@lru_cache(maxsize=8192)
def _public_vr(tag: int) -> bytes:
    if tag & 0xFFFF == 0:
        return b"UL"  # a group length
    try:
        return _resolved(dictionary_VR(tag))
    except KeyError:
        return _UNKNOWN


@lru_cache(maxsize=8192)
def _private_vr(tag: int, creator: str | None) -> bytes:
    if creator is None:
        return _UNKNOWN
    try:
        return _resolved(private_dictionary_VR(tag, creator))
    except KeyError:
        return _UNKNOWN


def _resolved(vr: str) -> bytes:
    """Take OW where it may be: in implicit VR these are words (PS3.5 §A.1), which explicit VR takes too (§A.2)."""
    if vr in ("US or SS", "US or OW"):
        return vr.encode()
    return vr.encode() if len(vr) == 2 else b"OW"
