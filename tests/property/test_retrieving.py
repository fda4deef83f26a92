"""What goes by in chunks, however it is cut: links, delimiters, ends, parts."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api.retrieving.links import LinkRewriter, with_own_links
from query_api.retrieving.opening import Opened
from query_api.retrieving.repackaging import (
    JPEG_ENDING,
    JSON_ENDING,
    PNG_ENDING,
    DelimiterWatch,
    passed,
    relabelled,
    unwrapped,
    whole,
)
from shared.dicomweb import InvalidResponse
from tests.kit.dicomweb_messages import multipart_body

OLD, NEW = "https://h.example/v2", "https://us.example/a/b/c/api"
JPEG = "1.2.840.10008.1.2.4.50"

_PIECES = st.sampled_from(
    [
        OLD,
        OLD.upper(),
        OLD[:-1],
        "https:",
        "https://h.example/v",
        '"',
        "\\",
        "x",
        "/",
        "?",
        "é",
    ]
)
_BODIES = st.lists(st.binary(max_size=40) | st.sampled_from([b"--frontier", b"\r\n--fron", b"\r\n", b"--"]), max_size=4)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Cut data at some places."""
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(edges)]


_PLACES = st.lists(st.integers(0, 10_000), max_size=12)


def collected(
    package: Callable[[Opened], AsyncGenerator[bytes]], chunks: list[bytes], *, boundary: str | None = "frontier"
) -> bytes:
    """Return what becomes of a body."""

    async def run() -> bytes:
        async def body() -> AsyncGenerator[bytes]:
            for chunk in chunks:
                yield chunk

        opened = Opened("retrieve", {}, "application/octet-stream", JPEG, boundary, b"", body())
        return b"".join([chunk async for chunk in package(opened)])

    return asyncio.run(run())


def ignore(count: int) -> None:
    """Count nothing."""


@given(st.lists(st.lists(_PIECES, max_size=4).map("".join)), st.booleans(), _PLACES)
def test_links_lead_to_us_wherever_the_chunks_are_cut(texts: list[str], is_escaped: bool, places: list[int]) -> None:
    """Whatever the case of the address; texts that only mention it stay, and so does an address that it begins."""
    sent = json.dumps([texts, {"BulkDataURI": OLD}])
    rewriter = LinkRewriter(OLD, NEW)

    def package(opened: Opened) -> AsyncGenerator[bytes]:
        return with_own_links(opened.chunks, rewriter)

    got = collected(package, cut((sent.replace("/", r"\/") if is_escaped else sent).encode(), places))
    assert json.loads(got) == [list(map(_ours, texts)), {"BulkDataURI": NEW}]
    assert (rb"\/" in got) is is_escaped


def _ours(text: str) -> str:
    is_link = text.lower().startswith(OLD) and text[len(OLD) : len(OLD) + 1] in ("", "/", "?")
    return NEW + text[len(OLD) :] if is_link else text


@given(st.binary(max_size=300), st.integers(1, 7))
def test_little_is_held_back(data: bytes, size: int) -> None:
    """Less than one address."""
    rewriter = LinkRewriter(OLD, NEW)
    given_out = sum(len(rewriter.feed(data[at : at + size])) for at in range(0, len(data), size))
    assert len(data) - given_out < len(OLD) + 8


def message(bodies: list[bytes]) -> bytes:
    return multipart_body(*((f"application/octet-stream; transfer-syntax={JPEG}", body) for body in bodies))


_CLEAN = _BODIES.map(lambda pieces: b"".join(pieces).replace(b"--frontier", b""))


@given(st.lists(_CLEAN, min_size=1, max_size=4), _PLACES, st.booleans())
def test_parts_are_counted_and_a_missing_end_is_seen(bodies: list[bytes], places: list[int], is_cut: bool) -> None:
    """Wherever the chunks are cut, and wherever the message."""
    sent = message(bodies)
    if is_cut:
        sent = sent[: len(sent) - 4 - places[0] % 30 if places else -4]
    watch = DelimiterWatch(b"frontier")
    for chunk in cut(sent, places):
        watch.feed(chunk)
    assert watch.is_closed is not is_cut
    assert is_cut or watch.parts == len(bodies)


@given(st.lists(_CLEAN, min_size=1, max_size=3), _PLACES)
def test_a_message_passes_byte_for_byte(bodies: list[bytes], places: list[int]) -> None:
    """And one without its end raises after all of it has passed."""
    sent, counts = message(bodies), [0]
    assert collected(lambda opened: passed(opened, counts.append), cut(sent, places)) == sent
    assert counts[-1] == len(bodies)
    with pytest.raises(InvalidResponse):
        collected(lambda opened: passed(opened, ignore), cut(sent.replace(b"--frontier--", b""), places))


@given(st.binary(max_size=2000), _PLACES)
def test_what_comes_after_the_end_says_nothing(epilogue: bytes, places: list[int]) -> None:
    """However long it is, and whatever it has."""
    sent, counts = message([b"1", b"2"]) + b"\r\n--frontier\r\n" + epilogue, [0]
    assert collected(lambda opened: passed(opened, counts.append), cut(sent, places)) == sent
    assert counts[-1] == 2


@given(_CLEAN, _PLACES)
def test_the_only_part_comes_out_of_its_message(body: bytes, places: list[int]) -> None:
    """As it is; a second one raises, and so does a missing end."""
    one = message([body])
    assert collected(lambda opened: unwrapped(opened, ignore), cut(one, places)) == body
    for wrong in (message([body, body]), one.replace(b"\r\n--frontier--", b"")):
        with pytest.raises(InvalidResponse):
            collected(lambda opened: unwrapped(opened, ignore), cut(wrong, places))


@given(st.lists(_CLEAN, min_size=1, max_size=3), _PLACES)
def test_parts_are_called_otherwise(bodies: list[bytes], places: list[int]) -> None:
    """Each with its transfer syntax."""
    got = collected(lambda opened: relabelled(opened, ignore, "image/jpeg"), cut(message(bodies), places))
    heads = (f"image/jpeg; transfer-syntax={JPEG}" for _ in bodies)
    assert got == b"\r\n" + multipart_body(*zip(heads, bodies, strict=True))


def test_parts_in_several_transfer_syntaxes_are_not_called_by_one_name() -> None:
    """What is no JPEG does not become one."""
    mixed = multipart_body((f"a/b; transfer-syntax={JPEG}", b"1"), ("a/b; transfer-syntax=1.2", b"2"))
    with pytest.raises(InvalidResponse):
        collected(lambda opened: relabelled(opened, ignore, "image/jpeg"), [mixed])


@pytest.mark.parametrize(
    ("ending", "content"),
    [
        (JPEG_ENDING, b"\xff\xd8" + bytes(100) + b"\xff\xd9"),
        (PNG_ENDING, b"\x89PNG" + bytes(100) + b"\0\0\0\0IEND\xaeB`\x82"),
        (JSON_ENDING, b'[{"00080018":{"vr":"UI"}}]'),
        (JSON_ENDING, b'[ {"00080018":{"vr":"UI"}}\r\n]\n'),
        (JSON_ENDING, b"[]"),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_content_ends_as_its_kind_does(ending: re.Pattern[bytes], content: bytes, size: int) -> None:
    """Else its last bytes are not given."""
    chunks = [content[at : at + size] for at in range(0, len(content), size)]
    assert collected(lambda opened: whole(opened, ending), chunks, boundary=None) == content
    with pytest.raises(InvalidResponse):
        collected(lambda opened: whole(opened, ending), [content.rstrip()[:-1]], boundary=None)
