"""What a caller takes → what the service is asked for, and what becomes of its answer (PS3.18 §8.7), without I/O.

The service knows few forms, and takes no wildcard for what it means. All that has a marked end is asked for as
multipart, also where the caller gets a single part: so an answer that was cut short is seen to be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from query_api.refusals import refused
from shared.accept import ANYTHING, MediaRange, media_ranges
from shared.dicomweb.media_types import (
    DICOM,
    DICOM_JSON,
    FRAMES,
    INSTANCES,
    JSON,
    OCTET_STREAM,
    RELATED,
    RENDERED,
    format_media_type,
)
from shared.problems import Refused

Kind = Literal["instances", "instance", "frames", "frame", "metadata", "picture"]

_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)

STORED: Final = "*"  # the transfer syntax of those who take what is stored
_EXPLICIT = "1.2.840.10008.1.2.1"
_JPEG_2000 = "1.2.840.10008.1.2.4.90"

# What the service makes of one instance, or of frames, that it has stored otherwise.
_TRANSCODED: Final[Mapping[str, frozenset[str]]] = {
    DICOM: frozenset({_EXPLICIT, _JPEG_2000}),
    OCTET_STREAM: frozenset({_EXPLICIT}),
}

# The media types of compressed frames, each with the transfer syntaxes that it stands for (PS3.18 Table 8.7.3-5), and
# names of older editions. The service calls such frames octets and tells their transfer syntax.
_COMPRESSED: Final[Mapping[str, frozenset[str]]] = {
    "image/jpeg": frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70)),
    "image/jls": frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (80, 81)),
    "image/x-jls": frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (80, 81)),
    "image/dicom-rle": frozenset({"1.2.840.10008.1.2.5"}),
    "image/x-dicom-rle": frozenset({"1.2.840.10008.1.2.5"}),
    "image/jpx": frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (92, 93)),
    "image/jphc": frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (201, 202, 203)),
    "image/jxl": frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (110, 111, 112)),
    # The service makes this one of others, too: it comes after what is stored.
    "image/jp2": frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (90, 91)),
}

_SINGLE, _MULTI = False, True

# What there is of each kind, as media type and whether as multipart; the first is meant by a wildcard.
_OFFERS: Final[Mapping[Kind, Sequence[tuple[str, bool]]]] = {
    "instances": ((DICOM, _MULTI), (DICOM, _SINGLE)),
    "instance": ((DICOM, _SINGLE), (DICOM, _MULTI)),
    "frames": ((OCTET_STREAM, _MULTI), *((media_type, _MULTI) for media_type in _COMPRESSED)),
    "frame": (
        (OCTET_STREAM, _MULTI),
        (OCTET_STREAM, _SINGLE),
        *((media_type, _MULTI) for media_type in _COMPRESSED),
        *((media_type, _SINGLE) for media_type in _COMPRESSED),
    ),
    "metadata": ((DICOM_JSON, _SINGLE), (JSON, _SINGLE)),
    "picture": (*((name, _SINGLE) for name in RENDERED), *((name, _MULTI) for name in RENDERED)),
}

# What can always be had.
_ACCEPTABLE: Final[Mapping[Kind, Sequence[str]]] = {
    "instances": (INSTANCES,),
    "instance": (f"{DICOM}; transfer-syntax=*", INSTANCES),
    "frames": (FRAMES,),
    "frame": (FRAMES, f"{OCTET_STREAM}; transfer-syntax=*"),
    "metadata": (DICOM_JSON, JSON),
    "picture": RENDERED,
}


@dataclass(frozen=True)
class Form:
    """One way to meet a caller.

    Args:
        accept: what the service is asked for.
        media_type: what the caller gets, by itself or in parts.
        is_multipart: whether in parts.
        syntaxes: the form is right if the content comes in one of these transfer syntaxes; in any, if None.
        is_of_one: the form is right only where the resource is one instance.
    """

    accept: str
    media_type: str
    is_multipart: bool
    syntaxes: frozenset[str] | None = None
    is_of_one: bool = False

    @property
    def is_certain(self) -> bool:
        """Whether it can be had of whatever there is: as it is stored, in any number."""
        return self.syntaxes is None and not self.is_of_one and self.accept in (INSTANCES, FRAMES)

    def fits(self, transfer_syntax: str | None) -> bool:
        """Say whether content in this transfer syntax may be given in this form."""
        return self.syntaxes is None or transfer_syntax in self.syntaxes


def negotiate(kind: Kind, ranges: Sequence[MediaRange]) -> list[Form]:
    """Return the forms that meet a caller, the most welcome first: each is to be tried until one is there.

    Args:
        kind: what is retrieved.
        ranges: what the caller takes, best first.

    Raises:
        Refused: there is none.
    """
    refusals = [(member, frozenset(_forms(kind, member))) for member in ranges if member.quality == 0]

    def is_refused(form: Form, member: MediaRange) -> bool:
        return any(form in forms and _precision(one) > _precision(member) for one, forms in refusals)

    welcome = [member for member in ranges if member.quality > 0]
    forms = [form for member in welcome for form in _forms(kind, member) if not is_refused(form, member)]
    if not forms:
        raise not_acceptable(kind)
    return _up_to_certain(dict.fromkeys(forms))


def media_types_of(kind: Kind) -> list[str]:
    """Return what an answer's media type may be, the usual one first."""
    offered = [RELATED if is_multipart else media_type for media_type, is_multipart in _OFFERS[kind]]
    return list(dict.fromkeys(offered))


def not_acceptable(kind: Kind) -> Refused:
    """Return the refusal that names what can be had instead."""
    return refused("not-acceptable", members={"acceptable": list(_ACCEPTABLE[kind])})


def _up_to_certain(forms: Iterable[Form]) -> list[Form]:
    tried = []
    for form in forms:
        tried.append(form)
        if form.is_certain:
            break
    return tried


def _precision(member: MediaRange) -> tuple[int, int]:
    return -member.media_type.count("*"), len(member.parameters)


def _forms(kind: Kind, member: MediaRange) -> Iterator[Form]:
    for content, is_multipart in _contents(member):
        for media_type, is_offered_as_multipart in _OFFERS[kind]:
            if content.covers(media_type) and is_multipart in (None, is_offered_as_multipart):
                yield from _forms_of(kind, media_type, is_offered_as_multipart, _syntax(content))


def _contents(member: MediaRange) -> Iterator[tuple[MediaRange, bool | None]]:
    """Yield the range of the content itself, and whether it is to come in parts; None: either."""
    if member.media_type == ANYTHING.media_type:
        yield member, None
    elif member.media_type in (RELATED, "multipart/*"):
        # Some put the transfer syntax into the quoted type.
        for content in media_ranges([member.parameters.get("type", "")])[:1]:
            yield MediaRange(content.media_type, {**content.parameters, **member.parameters}), _MULTI
    else:
        yield member, _SINGLE


def _syntax(content: MediaRange) -> str:
    return content.parameters.get("transfer-syntax", STORED) or STORED


def _forms_of(kind: Kind, media_type: str, is_multipart: bool, syntax: str) -> Iterator[Form]:
    if kind == "metadata":
        yield Form(DICOM_JSON, media_type, is_multipart)
    elif kind == "picture":
        yield Form(media_type, media_type, is_multipart)
    elif syntax == STORED or _UID.fullmatch(syntax):
        yield from _forms_in(kind, media_type, is_multipart, syntax)


def _forms_in(kind: Kind, media_type: str, is_multipart: bool, syntax: str) -> Iterator[Form]:
    stored = INSTANCES if media_type == DICOM else FRAMES
    is_of_one = kind == "instances" and not is_multipart
    if media_type in _COMPRESSED:
        syntaxes = _COMPRESSED[media_type]
        if syntax == STORED or syntax in syntaxes:
            yield Form(stored, media_type, is_multipart, syntaxes if syntax == STORED else frozenset({syntax}))
        if media_type == "image/jp2" and syntax in (STORED, _JPEG_2000):
            yield Form(_in_parts(media_type, _JPEG_2000), media_type, is_multipart)
    elif syntax == STORED:
        yield Form(stored, media_type, is_multipart, None, is_of_one)
    elif syntax in _TRANSCODED[media_type]:
        yield Form(_in_parts(media_type, syntax), media_type, is_multipart, None, is_of_one)
    else:
        yield Form(stored, media_type, is_multipart, frozenset({syntax}), kind == "instances")


def _in_parts(media_type: str, syntax: str) -> str:
    return format_media_type(RELATED, {"type": media_type, "transfer-syntax": syntax})
