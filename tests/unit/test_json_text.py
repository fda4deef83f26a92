"""What is read and written in JSON is the same, whichever of the two readers and writers takes it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.dicomweb.json_text import read_json, write_json

NESTED = 900  # levels: more than orjson writes


@pytest.mark.parametrize(
    "text",
    [
        '{"0020000D":{"vr":"UI","Value":["1.2"]},"00100010":{"vr":"PN","Value":[{"Alphabetic":"Müller^J"}]}}',
        '[0,-1,1.5,0.1,1e+22,5e-324,-0.0,123456789.123456789,"1.50",true,null]',
        "[-9223372036854775808,18446744073709551615]",  # the ends of SV and UV
        '["\\u0000","\\ud83d\\ude00","\\\\"]',
        "[" * NESTED + "]" * NESTED,
    ],
)
def test_what_was_read_is_written(text: str) -> None:
    """The same numbers, and the same texts."""
    value = read_json(text.encode())
    assert value == json.loads(text)
    assert json.loads(write_json(value)) == value
    assert write_json({"a": [1, "ä"]}) == b'{"a":[1,"\xc3\xa4"]}'


@pytest.mark.parametrize("text", ["[NaN]", "[-Infinity]", "[1e400]", '["\\ud800", NaN]', '["\\ud800", -1e400]'])
def test_a_number_that_is_none_is_refused(text: str) -> None:
    """It would be written as null, and nobody could tell."""
    with pytest.raises(ValueError):  # noqa: PT011  (each reader has its own)
        read_json(text.encode())


def test_half_a_surrogate_pair_is_read_and_replaced() -> None:
    """One name that somebody stored oddly is no reason to refuse all results."""
    value = read_json(b'["\\ud800", 1.25, 7]')
    assert value == ["\ud800", 1.25, 7]
    assert write_json(value) == b'["?",1.25,7]'


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16", "utf-32"])
def test_other_codings_are_read(coding: str) -> None:
    """RFC 8259 lets a reader ignore a byte order mark."""
    assert read_json('["ä"]'.encode(coding)) == ["ä"]


@pytest.mark.parametrize("content", [b"", b"[", b"[1,]", b"[01]", b'["\x01"]', b"\xff", b"{} {}"])
def test_what_is_no_json_is_refused(content: bytes) -> None:
    """By both readers."""
    with pytest.raises(ValueError):  # noqa: PT011  (each reader has its own)
        read_json(content)


def test_what_is_nested_too_deeply_is_refused() -> None:
    """And ends nothing else."""
    depth = 100_000
    with pytest.raises(RecursionError):
        read_json(b"[" * depth + b"]" * depth)
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    with pytest.raises(RecursionError):
        write_json(value)
