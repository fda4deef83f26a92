"""The multipart parser: any cutting, any bytes, any end."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from shared.dicomweb.media_types import media_type_of
from shared.dicomweb.multipart import (
    MAX_HEADER_BYTES,
    MAX_PADDING_BYTES,
    Event,
    MalformedMultipart,
    MultipartParser,
    PartBegin,
    PartData,
    PartEnd,
    boundary_of,
    closing_delimiter,
    part_head,
)

BOUNDARY = b"B-1"
DELIMITER = b"\r\n--" + BOUNDARY
# What a parser may stumble over, so that random messages are near-misses and not noise.
PIECES = st.sampled_from(
    [
        DELIMITER,
        DELIMITER[2:],
        BOUNDARY,
        *(DELIMITER[:end] for end in range(1, len(DELIMITER))),
        b"--",
        b"\n",
        b" ",
        b"\t",
        b"\r\n\r\n",
        b"Content-Type: application/dicom",
        b":",
        b" " * MAX_PADDING_BYTES,
        b"x" * (MAX_HEADER_BYTES - 3),
        b"\x00\xff",
    ]
)
NEAR_MISSES = st.lists(PIECES, max_size=12).map(b"".join)
ANYTHING = st.one_of(
    st.binary(max_size=200),
    NEAR_MISSES,
    NEAR_MISSES.map(lambda content: part_head(BOUNDARY, "a/b") + content),
    NEAR_MISSES.map(lambda content: part_head(BOUNDARY, "a/b") + content + closing_delimiter(BOUNDARY)),
)
BODIES = st.one_of(st.binary(max_size=300), NEAR_MISSES).filter(lambda body: b"--" + BOUNDARY not in body)
BOUNDARIES = st.text("abcXYZ019'()+_,-./:=?", min_size=1, max_size=70)
Outcome = tuple[list[Event], str | None]


def pieces_of(content: bytes, cuts: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(content) + 1) for cut in cuts), len(content)]
    return [content[start:end] for start, end in pairwise(edges)]


def parse(chunks: Iterable[bytes], boundary: bytes = BOUNDARY) -> Outcome:
    """Return the events, the data of each part in one, and the error at the end."""
    parser = MultipartParser(boundary)
    events: list[Event] = []
    try:
        for chunk in chunks:
            for event in parser.feed(chunk):
                if isinstance(event, PartData) and events and isinstance(last := events[-1], PartData):
                    events[-1] = PartData(last.data + event.data)
                else:
                    events.append(event)
        parser.close()
    except MalformedMultipart as error:
        return events, str(error)
    return events, None


def bodies_in(events: Iterable[Event]) -> list[bytes]:
    bodies: list[bytes] = []
    for event in events:
        if isinstance(event, PartBegin):
            bodies.append(b"")
        elif isinstance(event, PartData):
            bodies[-1] += event.data
    return bodies


def written(bodies: Iterable[bytes], boundary: bytes = BOUNDARY) -> bytes:
    return b"".join(part_head(boundary, "application/dicom") + body for body in bodies) + closing_delimiter(boundary)


@settings(max_examples=400)
@given(content=ANYTHING, cuts=st.lists(st.integers(0, 1 << 20), max_size=8))
def test_cutting_changes_nothing(content: bytes, cuts: list[int]) -> None:
    """Whole, byte by byte and cut anywhere, a message gives the same events and the same error."""
    whole = parse([content])
    assert parse(pieces_of(content, cuts)) == whole
    if len(content) < 2000:
        assert parse(bytes([byte]) for byte in content) == whole


@settings(max_examples=400)
@given(content=ANYTHING)
def test_events_are_in_order(content: bytes) -> None:
    """Whatever the bytes, a part begins, has data and ends, and only the last one may stay open."""
    events, error = parse([content])
    shape = "".join({PartBegin: "b", PartData: "d", PartEnd: "e"}[type(event)] for event in events)
    *parts, rest = shape.split("e")
    assert all(part in ("b", "bd") for part in parts)
    assert rest == "" or (error and rest in ("b", "bd"))


@given(bodies=st.lists(BODIES, max_size=4), boundary=BOUNDARIES, cuts=st.lists(st.integers(0, 1 << 20), max_size=8))
def test_round_trip(bodies: list[bytes], boundary: str, cuts: list[int]) -> None:
    """What is written as a message is read as the same parts."""
    raw = boundary.encode()
    assume(not any(b"--" + raw in body for body in bodies))
    events, error = parse(pieces_of(written(bodies, raw), cuts), raw)
    assert (bodies_in(events), error) == (bodies, None)
    assert all(
        event.headers == {"content-type": "application/dicom"} for event in events if isinstance(event, PartBegin)
    )


@given(bodies=st.lists(BODIES, max_size=3), cut=st.integers(0, 1 << 20))
def test_every_cut_end_is_noticed(bodies: list[bytes], cut: int) -> None:
    """A message that ends anywhere before its closing delimiter is an error at close."""
    message = written(bodies).removesuffix(b"\r\n")
    events, error = parse([message[: cut % len(message)]])
    assert error == "the multipart message ends before its closing delimiter"
    read = bodies_in(events)
    assert all(body.startswith(begun) for body, begun in zip(bodies, read, strict=False))
    assert sum(isinstance(event, PartEnd) for event in events) <= len(bodies)


@given(bodies=st.lists(BODIES, max_size=2), epilogue=st.binary(max_size=300), preamble=st.binary(max_size=300))
def test_preamble_and_epilogue(bodies: list[bytes], preamble: bytes, epilogue: bytes) -> None:
    """What stands around the message is passed over, even if it looks like more of it."""
    assume(DELIMITER not in b"\r\n" + preamble)
    events, error = parse([preamble + written(bodies) + epilogue])
    assert (bodies_in(events), error) == (bodies, None)


@given(body=st.binary(max_size=5000), cuts=st.lists(st.integers(0, 1 << 20), max_size=8))
def test_little_is_kept_back(body: bytes, cuts: list[int]) -> None:
    """Between two chunks no more than a delimiter's length of a part's bytes is kept."""
    assume(DELIMITER[2:] not in body)
    parser = MultipartParser(BOUNDARY)
    list(parser.feed(part_head(BOUNDARY, "a/b")))
    fed = given_out = 0
    for chunk in pieces_of(body, cuts):
        fed += len(chunk)
        given_out += sum(len(event.data) for event in parser.feed(chunk) if isinstance(event, PartData))
        assert fed - given_out <= len(DELIMITER) + 2


@given(
    content_type=st.one_of(
        st.text(max_size=60),
        st.lists(
            st.sampled_from(
                ["multipart/related", ";", " boundary", "*", "*0", "=", '"', "a", "b'c'd", "\\", "%41", ","]
            ),
            max_size=12,
        ).map("".join),
    )
)
def test_any_content_type(content_type: str) -> None:
    """Whatever stands in a Content-Type, it gives a boundary or MalformedMultipart, and parameters are text."""
    media_type, parameters = media_type_of(content_type)
    assert media_type.count("/") == 1
    assert all(isinstance(text, str) for text in (*parameters, *parameters.values()))
    with suppress(MalformedMultipart):
        assert boundary_of(content_type)


@given(boundary=BOUNDARIES, quoted=st.booleans())
def test_boundaries(boundary: str, quoted: bool) -> None:
    """Every boundary of RFC 2046 is found, quoted, and unquoted where its characters allow."""
    assume(quoted or not set(boundary) & set("()<>@,;:\\\"/[]?='"))
    value = f'"{boundary}"' if quoted else boundary
    assert boundary_of(f'Multipart/Related; type="application/dicom"; BOUNDARY={value}; x=y') == boundary.encode()


@pytest.mark.parametrize("padding", [b"", b" ", b" \t", b" " * MAX_PADDING_BYTES])
@pytest.mark.parametrize("at_once", [True, False])
def test_padding_after_a_boundary(padding: bytes, at_once: bool) -> None:
    """Blanks between a boundary and its line break are no part of anything (RFC 2046 §5.1.1)."""
    message = b"--" + BOUNDARY + padding + b"\r\n\r\nbody" + DELIMITER + padding + b"\r\n\r\n" + DELIMITER + b"--"
    events, error = parse([message] if at_once else [bytes([byte]) for byte in message])
    assert (bodies_in(events), error) == ([b"body", b""], None)
