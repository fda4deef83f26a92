"""Whatever comes as `Accept`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from query_api.accept import media_ranges

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
    """Commas, semicolons, quotes and backslashes in quoted values are values."""
    written = ", ".join(
        f"{kind}/{subtype}" + "".join(f"; {name}={_quoted(value)}" for name, value in parameters.items())
        for kind, subtype, parameters in members
    )
    read = [(*member.media_type.split("/"), dict(member.parameters)) for member in media_ranges([written])]
    assert read == members


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
