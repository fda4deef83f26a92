"""Which representation an Accept header asks for (RFC 9110 §12.5.1, PS3.18 §8.7), by the service's rules. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless

from local.dicom_service.web.errors import not_acceptable
from shared.dicomweb.media_types import DICOM, DICOM_JSON, JSON, OCTET_STREAM, RELATED

STORED = "*"  # the transfer syntax of those who take what is stored
JPEG = "image/jpeg"
PNG = "image/png"
_DICOM_JSON_RANGES = frozenset({DICOM_JSON, JSON, "application/*", "*/*"})
# A quote that nobody closed ends with the header: so the next match begins where the last ended, in linear time.
_ITEM = re.compile(r'((?:[^",;]|"(?:[^"\\]|\\.?)*(?:"|$))*)([,;]|$)', re.DOTALL)


@dataclass(frozen=True)
class MediaRange:
    """One member of an Accept header; names are in lower case."""

    media_type: str
    parameters: dict[str, str]
    quality: float


@dataclass(frozen=True)
class Offer:
    """A representation that a resource has; the first transfer syntax is the one meant where none is named."""

    media_type: str
    multipart: bool
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True)
class Choice:
    """The representation to send."""

    media_type: str
    multipart: bool
    transfer_syntax: str


_DICOM_SYNTAXES = (str(ExplicitVRLittleEndian), STORED, str(JPEG2000Lossless))
_FRAME_SYNTAXES = (str(ExplicitVRLittleEndian), STORED)
INSTANCES = (Offer(DICOM, True, _DICOM_SYNTAXES),)
INSTANCE = (*INSTANCES, Offer(DICOM, False, _DICOM_SYNTAXES))
FRAMES = (
    Offer(OCTET_STREAM, True, _FRAME_SYNTAXES),
    Offer(OCTET_STREAM, False, _FRAME_SYNTAXES),
    Offer("image/jp2", True, (str(JPEG2000Lossless),)),
)


def require_dicom_json(headers: Iterable[str]) -> None:
    """Check that the Accept headers take DICOM JSON.

    Raises:
        ServiceError: 406, they do not, or there are none.
    """
    if not any(item.media_type in _DICOM_JSON_RANGES for item in parse(headers)):
        raise not_acceptable()


def choose(headers: Iterable[str], offers: tuple[Offer, ...]) -> Choice:
    """Return the representation that the Accept headers prefer.

    The best quality wins; among equals, one that takes any transfer syntax.

    Raises:
        ServiceError: 406, none of the offers is accepted, or there is no Accept header.
    """
    ranges = sorted(parse(headers), key=lambda item: -item.quality)
    choices = [(item.quality, choice) for item in ranges if (choice := _match(item, offers)) is not None]
    if not choices:
        raise not_acceptable("None of the accepted media types and transfer syntaxes is available.")
    best = [choice for quality, choice in choices if quality == choices[0][0]]
    return next((choice for choice in best if choice.transfer_syntax == STORED), best[0])


def choose_picture(headers: Iterable[str]) -> str:
    """Return the media type of a picture: the only one in the Accept headers, JPEG where there are none.

    Raises:
        ServiceError: 406, several are accepted, or one that is neither JPEG nor PNG; `*/*` is neither.
    """
    given = list(headers)
    if not any(text.strip() for text in given):
        return JPEG
    accepted = [item.media_type for item in parse(given)]
    if accepted not in ([JPEG], [PNG]):
        raise not_acceptable("A picture is either image/jpeg or image/png.")
    return accepted[0]


def parse(headers: Iterable[str]) -> list[MediaRange]:
    """Return the members of the Accept headers, in order, without those that are refused (q=0)."""
    members: list[list[str]] = [[]]
    for text, separator in _ITEM.findall(",".join(headers)):
        members[-1].append(text.strip())
        if separator == ",":
            members.append([])
    ranges = [_media_range(member) for member in members if member and member[0]]
    return [item for item in ranges if item.quality > 0]


def _media_range(member: list[str]) -> MediaRange:
    pairs = (text.partition("=") for text in member[1:])
    parameters = {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}
    return MediaRange(member[0].lower(), parameters, _quality(parameters.pop("q", "1")))


def _quality(text: str) -> float:
    return float(text) if re.fullmatch(r"[01](\.\d{0,3})?", text, re.ASCII) else 0.0


def _match(item: MediaRange, offers: tuple[Offer, ...]) -> Choice | None:
    if item.media_type == "*/*":
        wanted, multipart, default = offers[0].media_type, True, STORED
    elif item.media_type == RELATED:
        wanted, multipart, default = item.parameters.get("type", "").lower(), True, None
    else:
        wanted, multipart, default = item.media_type, False, None
    for offer in offers:
        if (offer.media_type, offer.multipart) == (wanted, multipart):
            syntax = item.parameters.get("transfer-syntax", default or offer.transfer_syntaxes[0])
            return Choice(wanted, multipart, syntax) if syntax in offer.transfer_syntaxes else None
    return None
