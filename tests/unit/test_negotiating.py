"""The Accept header: how it is read, which forms the service is asked for, and which form the caller gets."""

from __future__ import annotations

from itertools import groupby
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api.retrieving.negotiating import Form, Kind, negotiate, not_acceptable
from shared.accept import ANYTHING, MOST_RANGES, MediaRange, media_ranges, quality_of
from shared.dicomweb.media_types import FRAMES, INSTANCES, media_type_of
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
def test_the_usual_form_for_a_caller_that_accepts_anything(
    kind: Kind, asked: str, media_type: str, is_multipart: bool, accept: tuple[str, ...]
) -> None:
    """An instance comes as a file, which viewers rely on; the rest as in PS3.18."""
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
def test_the_first_form_that_the_service_is_asked_for(kind: Kind, accept: str, expected: Form) -> None:
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
def test_a_refusal_lists_forms_that_are_accepted(kind: Kind) -> None:
    acceptable = not_acceptable(kind).members["acceptable"]
    assert isinstance(acceptable, list)
    assert all(negotiate(kind, media_ranges([one])) for one in acceptable)
    for accept in (
        "text/html",
        "nonsense",
        "*/*;q=0",
        "video/*",
        'multipart/related; type="text/plain"',
        "multipart/mixed",
    ):
        with pytest.raises(Refused) as refusal:
            negotiate(kind, media_ranges([accept]))
        assert (refusal.value.status, refusal.value.code) == (406, "not-acceptable")
        assert refusal.value.members["acceptable"] == acceptable


@pytest.mark.parametrize(
    ("kind", "accept"),
    [
        *(("frames", accept) for accept in (OCTETS, "application/*", "image/jpeg")),  # several never come as one
        ("frame", related("image/jpeg", RLE)),
        ("instance", "application/dicom; transfer-syntax=nonsense"),
        ("instance", f"application/dicom;q=0, {INSTANCES};q=0, */*"),
        ("metadata", 'multipart/related; type="application/dicom+xml"'),
        ("picture", f'multipart/related; type="{OCTETS}"'),
    ],
)
def test_forms_that_do_not_exist_are_refused(kind: Kind, accept: str) -> None:
    with pytest.raises(Refused):
        negotiate(kind, media_ranges([accept]))


def test_no_form_follows_one_that_is_always_available() -> None:
    """A study's only instance as a file, for example, would cost a search for their number."""
    assert len(negotiate("instances", media_ranges(["*/*"]))) == 1
    assert len(negotiate("instances", media_ranges(["application/dicom, */*"]))) == 2


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], [ANYTHING]),
        ([""], [ANYTHING]),
        ([" , "], [ANYTHING]),
        (["*"], [ANYTHING]),
        (["Application/DICOM"], [MediaRange("application/dicom", {})]),
        (["image/png;q=0.5, image/jpeg"], [MediaRange("image/jpeg", {}), MediaRange("image/png", {}, 0.5)]),
        (["image/png", "image/jpeg"], [MediaRange("image/png", {}), MediaRange("image/jpeg", {})]),
        (["text/html, *; q=.2"], [MediaRange("text/html", {}), MediaRange("*/*", {}, 0.2)]),
        (["image/*;q=0"], [MediaRange("image/*", {}, 0.0)]),
        (
            ['multipart/related; TYPE="application/dicom"; transfer-syntax=*'],
            [MediaRange("multipart/related", {"type": "application/dicom", "transfer-syntax": "*"})],
        ),
        (['a/b; c="d, e; f"; g=h'], [MediaRange("a/b", {"c": "d, e; f", "g": "h"})]),
        ([r'a/b; c="d\"e"'], [MediaRange("a/b", {"c": 'd"e'})]),
        (['a/b; c="d, e/f'], [MediaRange("a/b", {"c": "d, e/f"})]),
        (["a/b; q=1.5; c=1; c=2"], [MediaRange("a/b", {"c": "1"}, 1.0)]),
        (["a/b;;c;=;d=1"], [MediaRange("a/b", {"": "", "d": "1"})]),
    ],
)
def test_ranges_come_best_first(headers: list[str], expected: list[MediaRange]) -> None:
    """With their parameters, whatever their case and quotes, from one header or several."""
    assert media_ranges(headers) == expected


@pytest.mark.parametrize("garbage", ["nonsense", "*/png", "a/b/c", "/", "a/", ";q=1", "a/b;q=high", "a/b;q=-1", '"'])
def test_what_cannot_be_read_is_left_out(garbage: str) -> None:
    """And the rest still counts."""
    assert media_ranges([garbage]) == []
    assert media_ranges(["image/png", garbage]) == [MediaRange("image/png", {})]


@pytest.mark.parametrize(
    ("accept", "quality"),
    [
        ("image/png", 1.0),
        ("*/*;q=0.1", 0.1),
        ("image/*;q=0.2, */*", 0.2),
        ("*/*, image/png;q=0", 0.0),
        ("image/png;q=0.3, image/*;q=0.9", 0.3),
        ("image/jpeg", 0.0),
        ("nonsense", 0.0),
    ],
)
def test_the_most_specific_range_says_how_welcome_a_type_is(accept: str, quality: float) -> None:
    """As RFC 9110 has it."""
    assert quality_of("image/png", media_ranges([accept])) == quality


def test_equal_ranges_count_once() -> None:
    """A range that is repeated is read once, and its first place counts."""
    accept = ",".join(["image/png; a=1;b=2", 'IMAGE/png;b="2";a=1', "*/*;q=0", "image/png;q=0.5"] * 2000)
    same = MediaRange("image/png", {"a": "1", "b": "2"})
    assert media_ranges([accept]) == [same, MediaRange("image/png", {}, 0.5), MediaRange("*/*", {}, 0.0)]


def test_ranges_have_a_limit() -> None:
    """The limit counts the different ranges of all headers together, and the refusal has no part of a header."""
    most = [f"canary/{number}" for number in range(MOST_RANGES)]
    assert len(media_ranges([",".join(most), ",".join(most)])) == MOST_RANGES == 32
    for headers in ([",".join(most), "canary/more"], [",".join(f"canary/a;b={one}" for one in range(3000))]):
        with pytest.raises(Refused) as refused:
            media_ranges(headers)
        assert (refused.value.status, refused.value.code) == (400, "invalid-request")
        assert "32" in str(refused.value.members["detail"])
        assert "canary" not in f"{refused.value} {refused.value.title} {refused.value.members}"


_TOKENS = st.text("abcdefghij-+.0123456789", min_size=1)
_VALUES = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]))
_MEMBERS = st.tuples(_TOKENS, _TOKENS, st.dictionaries(_TOKENS.map("x".__add__), _VALUES, max_size=3))


@given(st.lists(st.text(st.sampled_from('a/*;,="\\q.01 \t\n\u00e9')) | st.text(), max_size=3))
def test_no_header_is_too_odd_to_be_read(headers: list[str]) -> None:
    """What comes out is in order."""
    qualities = [member.quality for member in media_ranges(headers)]
    assert qualities == sorted(qualities, reverse=True)
    assert all(0.0 <= quality <= 1.0 for quality in qualities)


@given(st.lists(_MEMBERS, min_size=1, max_size=4))
def test_what_is_written_by_the_rules_is_read_as_it_was_meant(members: list[tuple[str, str, dict[str, str]]]) -> None:
    """Commas, semicolons, quotes and backslashes in quoted values are values; equal ranges count once."""
    written = ", ".join(
        f"{kind}/{subtype}" + "".join(f"; {name}={_quoted(value)}" for name, value in parameters.items())
        for kind, subtype, parameters in members
    )
    read = [(*member.media_type.split("/"), dict(member.parameters)) for member in media_ranges([written])]
    assert read == [one for at, one in enumerate(members) if one not in members[:at]]


_WORDS = st.sampled_from(
    [
        *("multipart/related", "multipart/*", "application/*", "application/dicom", "image/*", "image/jp2", "*/*"),
        *('; type="application/octet-stream"', "; type=image/jpeg", ' ; type="a;b,c"', "; transfer-syntax=", "*"),
        *("1.2.3", "1.2.840.10008.1.2.1", ",", ", ", "; q=0", ";q=0.5", '"', "application/json"),
    ]
)


@given(st.sampled_from(get_args(Kind)), st.lists(_WORDS, max_size=12).map("".join))
def test_whatever_is_taken_is_met_or_refused(kind: Kind, header: str) -> None:
    """By few requests, each for one form that can be written down."""
    try:
        asked = [form.accept for form in negotiate(kind, media_ranges([header]))]
    except Refused:
        asked = []
    assert len(list(groupby(asked))) <= 9
    assert all(media_type_of(accept)[0] for accept in asked)


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
