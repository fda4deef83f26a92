"""A JSON array, read as it comes: wherever it is split, the same objects; what is no such array is told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.dicomweb.json_array import JSONArrayParser, MalformedArray

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.lists(st.dictionaries(st.text(), VALUES, max_size=4), max_size=5)


def parsed(content: bytes, cuts: Sequence[int]) -> list[dict[str, Any]]:
    """Return the objects of an array that comes in pieces."""
    parser = JSONArrayParser()
    edges = [0, *sorted(cut % (len(content) + 1) for cut in cuts), len(content)]
    pieces = (content[start:end] for start, end in pairwise(edges))
    found = [one for piece in pieces for one in parser.feed(piece)]
    return found + list(parser.close())


@given(objects=OBJECTS, cuts=st.lists(st.integers(0, 10_000), max_size=8), indent=st.sampled_from([None, 1]))
def test_wherever_it_is_split(objects: list[dict[str, Any]], cuts: list[int], indent: int | None) -> None:
    """In the middle of a character, a string or a number: the objects are those of the whole."""
    content = json.dumps(objects, indent=indent, ensure_ascii=False).encode("utf-8", "replace")
    assert parsed(content, cuts) == json.loads(content)


@given(objects=OBJECTS.filter(len), data=st.data())
def test_cut_short(objects: list[dict[str, Any]], data: st.DataObject) -> None:
    """An array that lacks its end is never taken for a whole one."""
    content = json.dumps(objects).encode()
    with pytest.raises(MalformedArray):
        parsed(content[: data.draw(st.integers(0, len(content) - 1))], [])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"null",
        b"[1]",
        b'["a"]',
        b"[{}",
        b"[{},]",
        b"[,{}]",
        b"[{}{}]",
        b"[{}]]",
        b"[{}] x",
        b"\xff[",
        b"[{]",
    ],
)
def test_no_array_of_objects(content: bytes) -> None:
    """Whatever else it is, in one piece or byte by byte."""
    for cuts in ([], list(range(len(content)))):
        with pytest.raises(MalformedArray):
            parsed(content, cuts)


def test_nested_too_deeply() -> None:
    """What would overrun the stack is no array of ours."""
    with pytest.raises(MalformedArray):
        parsed(b'[{"a":' * 100_000, [])
