"""Wildcards in searches, which the service does not know."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest

from query_api.searching.wildcards import Pattern, fuzzy_prefix, matches_all
from shared.dicomweb.search import Row


def text(*values: object) -> Row:
    return {"00100020": {"vr": "LO", "Value": list(values)}}


def name(**groups: str) -> Row:
    return {"00100020": {"vr": "PN", "Value": [groups]}}


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        ("A*", "ABC", True),
        ("a*", "ABC", True),
        ("*C", "ABC", True),
        ("*B*", "ABC", True),
        ("A?C", "ABC", True),
        ("A?", "ABC", False),
        ("?*", "", False),
        ("*", "", True),
        ("A*C*E", "ABCDE", True),
        ("A*C*E", "ABCDEF", False),
        ("A*", "BA", False),
        ("A?  ", "AB", True),
        ("A?", "AB \0", True),
        ("*.*", "A.B", True),
        ("[A]*", "A", False),
        ("*ä", "GRÜSSÄ", True),
        ("*a", "ä", False),
        ("A*B", "A\nB", True),
        ("*" * 40 + "X", "A" * 10_000, False),
        ("*A" * 40 + "X", "A" * 2_000, False),
    ],
)
def test_texts(pattern: str, value: str, matches: bool) -> None:
    """The whole value, whatever its case, trailing blanks left out; of hostile patterns too it is soon known."""
    assert Pattern("00100020", pattern).matches(text(value)) is matches


@pytest.mark.parametrize("pattern", ["*" * 64, "*a" * 60 + "b", f"*{'a' * 100}b", f"*{'a?' * 60}b", "?*" * 90])
def test_the_steps_of_a_match_grow_with_the_value_alone(pattern: str) -> None:
    """Not with the value times the pattern."""
    steps = 0

    def count(_frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal steps
        steps += event == "line"
        return count

    pattern_of_text, row = Pattern("00100020", pattern), text("a" * 10_000)
    before = sys.gettrace()
    sys.settrace(count)
    try:
        pattern_of_text.matches(row)
    finally:
        sys.settrace(before)
    assert 0 < steps < 50_000


@pytest.mark.parametrize(
    ("pattern", "row", "matches"),
    [
        ("mull*", name(Alphabetic="Müller^Änne"), True),
        ("Müll*", name(Alphabetic="MULLER^Anne"), True),
        ("*^anne", name(Alphabetic="Müller^Änne"), True),
        ("*anne*", name(Alphabetic="Müller^Änne"), True),
        ("anne*", name(Alphabetic="Müller^Änne"), False),
        ("山*", name(Alphabetic="Yamada^Tarou", Ideographic="山田^太郎"), True),
        ("やま*", name(Alphabetic="Yamada^Tarou", Ideographic="山田^太郎", Phonetic="やまだ^たろう"), True),
        ("yamada*=山*", name(Alphabetic="Yamada^Tarou", Ideographic="山田^太郎"), True),
        ("Yamada^Tarou", name(Alphabetic="Yamada^Tarou", Ideographic="山田^太郎"), True),
        ("x*", name(Alphabetic="Yamada^Tarou", Ideographic="山田^太郎"), False),
        ("x*", name(), False),
        ("*^Jane", name(Alphabetic="Doe^Jane^^^"), True),
        ("Doe^Jan?", name(Alphabetic="Doe^Jane ^^"), True),
        ("D?e^^", name(Alphabetic="Doe"), True),
        ("D?e^^", name(Alphabetic="Doe^Jane"), False),
        ("김^희?", name(Alphabetic="Kim^Heejung", Phonetic="김^희중"), True),
        ("기*", name(Alphabetic="Kim^Heejung", Phonetic="김^희중"), False),
    ],
)
def test_names(pattern: str, row: Row, matches: bool) -> None:
    """Any component group of a name may match; accents do not matter, nor does what is empty at the end."""
    assert Pattern("00100020", pattern, is_name=True).matches(row) is matches


def test_any_of_several_values_may_match() -> None:
    """And an attribute that is absent has the empty value."""
    assert Pattern("00100020", "M*").matches(text("CT", None, "MR"))
    assert not Pattern("00100020", "X*").matches(text("CT", None, "MR"))
    for row in ({}, {"00100020": {"vr": "LO"}}, text(None)):
        assert not Pattern("00100020", "?*").matches(row)


@pytest.mark.parametrize(
    ("pattern", "prefix"),
    [
        *(("Doe*", "Doe"), ("Doe^J*", "Doe^J"), ("Doe^^J*", "Doe^^J"), ("van der B*", "van der B"), ("Do?*", "Do")),
        *(
            ("O'Br*", "O"),
            ("Doe^O'Br*", "Doe^O"),
            ("Doe^*", "Doe"),
            ("Müll*", "Müll"),
            ("山*", "山"),
            ("D=山*", "D=山"),
        ),
        *(("*oe*", ""), ("?oe", ""), ("^J*", ""), ("_*", ""), ("'s*", "")),
    ],
)
def test_words_that_the_service_can_look_for(pattern: str, prefix: str) -> None:
    """Whatever matches the pattern begins with them, by any way to cut a name into words."""
    assert fuzzy_prefix(pattern) == prefix


@pytest.mark.parametrize(
    ("value", "universal"), [("*", True), ("***", True), ("", False), ("*?", False), ("a*", False)]
)
def test_universal_matching(value: str, universal: bool) -> None:
    """Stars alone match everything."""
    assert matches_all(value) is universal
