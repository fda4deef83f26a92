"""Whatever comes as `Accept`."""

from __future__ import annotations

from itertools import groupby
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from query_api.retrieving.negotiating import Kind, negotiate
from shared.accept import media_ranges
from shared.dicomweb.media_types import media_type_of
from shared.problems import Refused

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
