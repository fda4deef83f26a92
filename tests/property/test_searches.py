"""Searches at the app: any query string is read or refused without quoting it; patterns match as they should."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from query_api.searching.attributes import SEARCHABLE, Attribute, Level, Scope
from query_api.searching.parameters import read_query
from query_api.searching.planning import Plan, plan_of
from query_api.searching.results import next_query
from query_api.searching.values import fault_of
from query_api.searching.wildcards import Pattern, fuzzy_prefix
from shared.dicomweb import Resource
from shared.problems import Refused

SCOPES = [
    Scope("studies", Resource()),
    Scope("series", Resource()),
    Scope("instances", Resource()),
    Scope("series", Resource("1.2")),
    Scope("instances", Resource("1.2", "1.3")),
]
VRS = ("AE", "AS", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "PN", "SH", "SL", "SS", "TM", "UI", "UL", "US", "")
EXTENDED = {f"0011{n:04X}": Attribute(f"0011{n:04X}", vr, Level.STUDY) for n, vr in enumerate(VRS)}
NAMES = st.one_of(
    st.sampled_from(["limit", "offset", "FuzzyMatching", "includefield", "format", "code", "PatientSex", "00400275"]),
    st.sampled_from([*SEARCHABLE, *EXTENDED, *(attribute.name for attribute in SEARCHABLE.values())]),
    st.text(max_size=12),
)
VALUES = st.one_of(
    st.text(),
    st.text("0123456789.+-*?,\\^ ", max_size=20),
    st.sampled_from(["true", "all", "plain", "20240102", "20240102-", "Doe*", "CT,MR", "1.2,1.3", "StudyTime,x"]),
)
# No upper-case letter whose lower case is several, which is none of the oracle's business.
TEXTS = st.text("abAB^= äÄé\n.", max_size=12)
PATTERNS = st.text("abAB^= äÄé\n.*?", max_size=12)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=4), st.sampled_from(SCOPES), st.booleans(), st.binary(max_size=9))
def test_any_query_is_answered_or_refused(
    pairs: list[tuple[str, str]], scope: Scope, is_known: bool, garbage: bytes
) -> None:
    """Whatever is asked for, the service gets what it takes, or the caller a reason that quotes nothing."""
    query = "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs).encode() + garbage
    plan = planned(query, scope, EXTENDED if is_known else None)
    if isinstance(plan, Refused):
        assert (plan.status, plan.code) == (400, "invalid-parameter")
        told = "".join(map(str, plan.members.values()))
        assert not any(len(value) > 8 and value in told for _, value in pairs if value.isalnum())
        return
    assert 1 <= len(plan.steps) <= 100
    assert 1 <= plan.limit <= 1000
    for step in plan.steps:
        step.query.page(plan.offset, 1).encode()
    next_query(query, 7).encode("ascii")


def planned(query: bytes, scope: Scope, extended: Mapping[str, Attribute] | None) -> Plan | Refused:
    """Return what is asked of the service, or why nothing is."""
    try:
        return plan_of(
            read_query(query, scope, extended), scope, 1000, lambda adaptation: assert_sayable(adaptation.text)
        )
    except Refused as refused:
        return refused


@given(st.sampled_from(VRS), st.text(), st.booleans())
def test_the_reason_does_not_hold_the_value(vr: str, text: str, fuzzy: bool) -> None:
    """It may be a patient's."""
    fault = fault_of(vr, text, fuzzy=fuzzy)
    assert fault is None or len(text) < 8 or text not in fault


@given(PATTERNS, TEXTS)
def test_patterns_match_as_regular_expressions_do(pattern: str, text: str) -> None:
    """A star is any text, a question mark any character, all else itself."""
    expression = "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern.rstrip(" ").lower())
    expected = re.fullmatch(expression, text.rstrip(" ").lower(), re.DOTALL) is not None
    assert Pattern("00100020", pattern).matches({"00100020": {"vr": "LO", "Value": [text]}}) is expected


@given(PATTERNS, TEXTS)
def test_what_a_name_begins_with_loses_no_match(pattern: str, text: str) -> None:
    """A name that matches the pattern has the prefix's words, one after the other, as beginnings of its words."""
    pattern = pattern.replace("=", "")
    if Pattern("00100010", pattern, is_name=True).matches({"00100010": {"vr": "PN", "Value": [{"Alphabetic": text}]}}):
        beginnings = [plainly(word) for word in re.split(r"[\s^=]+", fuzzy_prefix(pattern)) if word]
        words = [plainly(word) for word in re.split(r"[\s^=]+", text) if word]
        assert all(word.startswith(start) for word, start in zip(words, beginnings, strict=False))
        assert len(words) >= len(beginnings)


def plainly(word: str) -> str:
    return word.lower().translate({ord("ä"): "a", ord("é"): "e"})


def assert_sayable(text: str) -> None:
    """See that a Warning can hold a text."""
    assert text.isascii()
    assert text.isprintable()
    assert not set(text) & set('"\\')
