"""What callers take → what the service is asked for, and what they get."""

from __future__ import annotations

from typing import get_args

import pytest

from query_api.retrieving.negotiating import Form, Kind, negotiate, not_acceptable
from shared.accept import media_ranges
from shared.dicomweb.media_types import FRAMES, INSTANCES
from shared.problems import Refused

DICOM = "application/dicom"
OCTETS = "application/octet-stream"
DICOM_JSON = "application/dicom+json"
EXPLICIT = "1.2.840.10008.1.2.1"
J2K = "1.2.840.10008.1.2.4.90"
JPEG = "1.2.840.10008.1.2.4.50"
RLE = "1.2.840.10008.1.2.5"
BROWSER = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
PAGE = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"

S, M = False, True


def related(media_type: str, syntax: str) -> str:
    return f'multipart/related; type="{media_type}"; transfer-syntax={syntax}'


def first(kind: Kind, *accept: str) -> Form:
    return negotiate(kind, media_ranges(accept))[0]


@pytest.mark.parametrize("accept", [(), ("*/*",), ("",), (PAGE,), ("text/html, *; q=.2, */*; q=.2",)])
@pytest.mark.parametrize(
    ("kind", "asked", "media_type", "is_multipart"),
    [
        ("instances", INSTANCES, DICOM, M),
        ("instance", INSTANCES, DICOM, S),
        ("frames", FRAMES, OCTETS, M),
        ("frame", FRAMES, OCTETS, M),
        ("metadata", DICOM_JSON, DICOM_JSON, S),
    ],
)
def test_who_takes_anything_gets_what_is_usual(
    kind: Kind, asked: str, media_type: str, is_multipart: bool, accept: tuple[str, ...]
) -> None:
    """An instance as a file, which viewers that ask so rely on; all the rest as PS3.18 has it."""
    assert first(kind, *accept) == Form(asked, media_type, is_multipart)


@pytest.mark.parametrize(
    ("kind", "accept", "expected"),
    [
        # dicomweb-client (npm): quoted, without a transfer syntax.
        ("frame", f'multipart/related; type="{OCTETS}"', Form(FRAMES, OCTETS, M)),
        # wado-image-loader, OHIF 2: without quotes, as stored.
        ("frame", f"multipart/related; type={OCTETS}; transfer-syntax=*", Form(FRAMES, OCTETS, M)),
        # OHIF 3: quoted both.
        ("frames", f'multipart/related; type="{OCTETS}"; transfer-syntax="*"', Form(FRAMES, OCTETS, M)),
        # dwv, and dicomweb-client for studies, series and instances.
        ("instance", 'multipart/related; type="application/dicom"', Form(INSTANCES, DICOM, M)),
        ("instance", 'multipart/related; type="application/dicom"; transfer-syntax=*', Form(INSTANCES, DICOM, M)),
        ("instances", 'multipart/related; type="application/dicom"', Form(INSTANCES, DICOM, M)),
        ("instance", "application/dicom", Form(INSTANCES, DICOM, S)),
        ("instance", "application/dicom; transfer-syntax=*", Form(INSTANCES, DICOM, S)),
        ("metadata", DICOM_JSON, Form(DICOM_JSON, DICOM_JSON, S)),
        ("metadata", "application/json", Form(DICOM_JSON, "application/json", S)),
        (
            "metadata",
            'multipart/related; type="application/dicom+xml", application/*;q=0.1',
            Form(DICOM_JSON, DICOM_JSON, S),
        ),
        # A study with one instance may come as a file.
        ("instances", "application/dicom", Form(INSTANCES, DICOM, S, is_of_one=True)),
        ("instances", "application/*", Form(INSTANCES, DICOM, S, is_of_one=True)),
        # Wildcards.
        ("instances", "multipart/*", Form(INSTANCES, DICOM, M)),
        ("instance", "multipart/related", Form(INSTANCES, DICOM, M)),
        ("instance", 'multipart/related; type="*/*"', Form(INSTANCES, DICOM, M)),
        ("instance", "application/*", Form(INSTANCES, DICOM, S)),
        ("frame", "application/*", Form(FRAMES, OCTETS, S)),
        ("frame", OCTETS, Form(FRAMES, OCTETS, S)),
        ("frames", 'multipart/related; type="application/*"', Form(FRAMES, OCTETS, M)),
        # Transfer syntaxes: one that the service makes, and one that it must have.
        ("instance", f"application/dicom; transfer-syntax={EXPLICIT}", Form(related(DICOM, EXPLICIT), DICOM, S)),
        ("instances", related(DICOM, J2K), Form(related(DICOM, J2K), DICOM, M)),
        ("instance", f"application/dicom; transfer-syntax={RLE}", Form(INSTANCES, DICOM, S, frozenset({RLE}))),
        ("instances", related(DICOM, RLE), Form(INSTANCES, DICOM, M, frozenset({RLE}), is_of_one=True)),
        ("frames", related(OCTETS, EXPLICIT), Form(related(OCTETS, EXPLICIT), OCTETS, M)),
        ("frames", related(OCTETS, J2K), Form(FRAMES, OCTETS, M, frozenset({J2K}))),
        # Compressed frames by their media type.
        ("frames", related("image/jpeg", JPEG), Form(FRAMES, "image/jpeg", M, frozenset({JPEG}))),
        ("frame", "image/dicom-rle", Form(FRAMES, "image/dicom-rle", S, frozenset({RLE}))),
        (
            "frames",
            'multipart/related; type="image/x-dicom-rle"',
            Form(FRAMES, "image/x-dicom-rle", M, frozenset({RLE})),
        ),
        (
            "frame",
            f'multipart/related; type="image/dicom-rle; transfer-syntax={RLE}"',
            Form(FRAMES, "image/dicom-rle", M, frozenset({RLE})),
        ),
        # Pictures, as browsers and viewers ask for them.
        ("picture", "*/*", Form("image/jpeg", "image/jpeg", S)),
        ("picture", BROWSER, Form("image/jpeg", "image/jpeg", S)),
        ("picture", "image/png", Form("image/png", "image/png", S)),
        ("picture", "image/jpeg;q=0.5, image/png", Form("image/png", "image/png", S)),
        ("picture", "image/jpeg;q=0, image/*", Form("image/png", "image/png", S)),
        ("picture", 'multipart/related; type="image/jpeg"', Form("image/jpeg", "image/jpeg", M)),
        ("picture", 'multipart/related; type="image/png"', Form("image/png", "image/png", M)),
    ],
)
def test_each_form_becomes_one_that_the_service_knows(kind: Kind, accept: str, expected: Form) -> None:
    """And the caller gets the media type that was asked for."""
    assert first(kind, accept) == expected


def test_several_forms_are_tried_in_the_order_of_their_worth() -> None:
    """PyPI's dicomweb-client lists what it can read; one of them is what is stored."""
    accept = ", ".join([related("image/jpeg", JPEG), related("image/dicom-rle", RLE), related(OCTETS, EXPLICIT)])
    forms = negotiate("frames", media_ranges([accept]))
    assert [form.accept for form in forms] == [FRAMES, FRAMES, related(OCTETS, EXPLICIT)]
    assert [form.fits(RLE) for form in forms] == [False, True, True]
    worth = negotiate("frames", media_ranges([f"{related('image/jpeg', JPEG)};q=0.1", related(OCTETS, EXPLICIT)]))
    assert [form.media_type for form in worth] == [OCTETS, "image/jpeg"]


def test_the_stored_form_comes_before_one_that_must_be_made() -> None:
    """Of any compressed form, JPEG 2000 is the one that the service makes."""
    forms = negotiate("frame", media_ranges(["image/*"]))
    assert [form.accept for form in forms] == [FRAMES] * (len(forms) - 1) + [related("image/jp2", J2K)]


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize(
    "accept", ["text/html", "nonsense", "*/*;q=0", "video/*", 'multipart/related; type="text/plain"', "multipart/mixed"]
)
def test_what_cannot_be_met_names_what_can(kind: Kind, accept: str) -> None:
    """And what it names is met."""
    with pytest.raises(Refused) as refusal:
        negotiate(kind, media_ranges([accept]))
    assert (refusal.value.status, refusal.value.code) == (406, "not-acceptable")
    acceptable = not_acceptable(kind).members["acceptable"]
    assert refusal.value.members["acceptable"] == acceptable
    assert isinstance(acceptable, list)
    assert all(negotiate(kind, media_ranges([one])) for one in acceptable)


@pytest.mark.parametrize(
    ("kind", "accept"),
    [
        ("frames", OCTETS),  # several never come as one
        ("frames", "application/*"),
        ("frames", "image/jpeg"),
        ("frame", related("image/jpeg", RLE)),
        ("instance", "application/dicom; transfer-syntax=nonsense"),
        ("instance", f"application/dicom;q=0, {INSTANCES};q=0, */*"),
        ("metadata", 'multipart/related; type="application/dicom+xml"'),
        ("picture", f'multipart/related; type="{OCTETS}"'),
    ],
)
def test_what_there_is_not(kind: Kind, accept: str) -> None:
    """Is not made up."""
    with pytest.raises(Refused):
        negotiate(kind, media_ranges([accept]))


def test_nothing_is_kept_in_reserve_behind_what_is_always_there() -> None:
    """Whatever else would do: of a study's only instance, say, whose number would have to be found out."""
    assert len(negotiate("instances", media_ranges(["*/*"]))) == 1
    assert len(negotiate("instances", media_ranges(["application/dicom, */*"]))) == 2
