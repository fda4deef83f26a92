"""The header of what may be no DICOM file at all: a verdict, or a need for more; nothing else, and little is kept."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.part10 import PREFIX_BYTES, Header, HeaderReader, Unfit
from tests.property.part10_reading import (
    ENCAPSULATED,
    FILES,
    FOLLOWED,
    IDENTIFIED,
    ITEM,
    ITEM_END,
    NATIVE,
    PIXEL_DATA,
    SEQUENCE,
    SEQUENCE_END,
    UNDEFINED,
    Sparse,
    element,
    element_starts,
    file_of,
    fragment,
    outcome,
    read,
    read_by_pydicom,
)

# The range at hand; what a deflated dataset begins with; and what is remembered of it.
MOST_BYTES_KEPT = 2 * PREFIX_BYTES + 64 * 1024
MOST_RANGES = 4097
MOST_BYTES_OF_RANGES = PREFIX_BYTES + 64 * 1024 * 1024
# One of each transfer syntax.
SMALL = {
    str(dataset.file_meta.TransferSyntaxUID): name
    for name in FOLLOWED
    if len(FILES[name]) < 3000 and (dataset := read_by_pydicom(name))
}

PIECES = st.sampled_from([PREFIX_BYTES, PREFIX_BYTES, 300_001])
# Files are larger than what is at hand of them: zeros follow.
SIZES = st.sampled_from([0, 0, 0, 0, 1 << 21, 1 << 32])
BYTES_OF_DICOM = st.sampled_from(
    [
        IDENTIFIED,
        SEQUENCE,
        ITEM,
        ITEM_END,
        SEQUENCE_END,
        ENCAPSULATED,
        fragment(b"abcd"),
        fragment(1 << 20),
        element(PIXEL_DATA, "OW", 1 << 20),
        element(PIXEL_DATA, "OW", UNDEFINED),
        element(0x00091001, "UN", UNDEFINED),
        element(0x00091001, "UN", 0xFFFFFFFE),
        element(0x00080018, "UI", b"1.2\0"),
        element(0x00080018, "UI", b"\xff" * 64),
        element(0x0020000D, "UI", 0),
        element(0x00100020, "LO", b"x" * 2000),
        b"DICM",
        bytes(128) + b"DICM",
        b"\xff" * 16,
        bytes(16),
    ]
)
SOUP = st.lists(BYTES_OF_DICOM | st.binary(max_size=40), max_size=30).map(b"".join)


def is_read(content: bytes, piece: int = PREFIX_BYTES, size: int = 0) -> None:
    """Read it: whatever comes of it is a header or a known reason (`read` sees to that), soon and from little."""
    reading = read(content, size=max(size, len(content)), piece=piece, kept=True)
    assert reading.most_bytes_kept <= MOST_BYTES_KEPT
    assert all(need.length <= PREFIX_BYTES for need in reading.needs)
    if piece == PREFIX_BYTES:
        assert len(reading.needs) <= MOST_RANGES


@settings(max_examples=200)
@given(content=st.binary(max_size=600), piece=PIECES, size=SIZES)
def test_arbitrary_bytes(content: bytes, piece: int, size: int) -> None:
    """As a whole file, and behind what makes a file of them."""
    is_read(content, piece, size)
    is_read(bytes(128) + b"DICM" + content, piece, size)


@settings(max_examples=200)
@given(dataset=SOUP, transfer_syntax_uid=st.sampled_from([*NATIVE, "1.2.840.10008.1.2.1.99", "1.2.3"]), size=SIZES)
def test_parts_of_dicom_in_any_order(dataset: bytes, transfer_syntax_uid: str, size: int) -> None:
    """What delimits, nests and measures, where it does not belong."""
    is_read(file_of(transfer_syntax_uid, dataset), size=size)
    is_read(dataset, size=size)


@settings(max_examples=200)
@given(data=st.data(), piece=PIECES, size=SIZES)
def test_mutated_files(data: st.DataObject, piece: int, size: int) -> None:
    """Real files, with bytes changed, taken out, put in and repeated, most of them where the header is."""
    content = bytearray(FILES[data.draw(st.sampled_from(sorted(FILES)))][:200_000])
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, min(len(content), 2500)) | st.integers(0, len(content)))
        removed = data.draw(st.sampled_from([0, 1, 2, 4, 100]))
        content[at : at + removed] = data.draw(st.binary(max_size=8) | BYTES_OF_DICOM)
    is_read(bytes(content), piece, size)


@settings(max_examples=100)
@given(name=st.sampled_from(sorted(FILES)), other=st.sampled_from(sorted(FILES)), data=st.data())
def test_two_files_in_one(name: str, other: str, data: st.DataObject) -> None:
    """The beginning of one, the end of another."""
    one, two = FILES[name], FILES[other]
    content = one[: data.draw(st.integers(0, len(one)))] + two[data.draw(st.integers(0, len(two))) :]
    is_read(content[:300_000], size=len(content))


OF_SOP, OF_STUDY = IDENTIFIED[:24], IDENTIFIED[24:]


@pytest.mark.parametrize(("values", "is_known"), [(1, True), (10, True), (1000, True), (4095, True), (4200, False)])
def test_many_large_values(values: int, is_known: bool) -> None:
    """They are skipped, a range each; after so many of them, what is not known yet is left to the service."""
    large = [part for number in range(values) for part in (element(0x00090000 + number, "OB", 1 << 20), 1 << 20)]
    file = Sparse((file_of(NATIVE[1], OF_SOP), *large, OF_STUDY))
    reading = read(file, piece=PREFIX_BYTES, kept=values <= 10)
    assert isinstance(reading.outcome, Header)
    assert (reading.outcome.study_instance_uid is not None) is is_known
    assert len(reading.needs) == min(values + 1, MOST_RANGES)
    assert sum(need.length for need in reading.needs) <= MOST_BYTES_OF_RANGES
    assert reading.most_bytes_kept <= MOST_BYTES_KEPT


@pytest.mark.parametrize(("mebibytes", "is_known"), [(2, True), (63, True), (66, False)])
def test_many_small_values(mebibytes: int, is_known: bool) -> None:
    """They are read one range after the other, each twice as long as the one before, up to a MiB."""
    small = element(0x00091001, "OB", bytes(8180))
    content = file_of(NATIVE[1], OF_SOP) + small * (mebibytes << 7) + OF_STUDY
    reading = read(content, piece=PREFIX_BYTES, kept=True)
    assert isinstance(reading.outcome, Header)
    assert (reading.outcome.study_instance_uid is not None) is is_known
    assert len(reading.needs) <= mebibytes + 8
    assert sum(need.length for need in reading.needs) <= MOST_BYTES_OF_RANGES
    assert reading.most_bytes_kept <= MOST_BYTES_KEPT


def sequence_of(values: bytes) -> bytes:
    """Return a sequence of defined length, with one item."""
    return element(0x00082112, "SQ", fragment(values))


@pytest.mark.parametrize(("mebibytes", "is_seen"), [(2, True), (31, True), (34, False), (80, False)])
def test_many_small_values_in_a_sequence(mebibytes: int, is_seen: bool) -> None:
    """Half of what may be read is read for them; the rest of the sequence is passed, and what follows it is known."""
    small = element(0x00091001, "OB", bytes(8180))
    content = file_of(NATIVE[1], OF_SOP) + sequence_of(small * (mebibytes << 7)) + OF_STUDY
    reading = read(content, piece=PREFIX_BYTES, kept=True)
    assert isinstance(reading.outcome, Header)
    assert reading.outcome.study_instance_uid == "1.3"
    assert (reading.outcome.patient is not None) is is_seen
    assert sum(need.length for need in reading.needs) <= MOST_BYTES_OF_RANGES / 2 + 2 * PREFIX_BYTES
    assert reading.most_bytes_kept <= MOST_BYTES_KEPT


@pytest.mark.parametrize(("values", "is_seen"), [(2000, True), (2500, False)])
def test_many_large_values_in_a_sequence(values: int, is_seen: bool) -> None:
    """The same where each of them takes a range of its own, and others follow."""
    large = element(0x00091001, "OB", bytes(20_000))
    content = file_of(NATIVE[1], OF_SOP) + sequence_of(large * values) + large * 1500 + OF_STUDY
    reading = read(content, piece=PREFIX_BYTES)
    assert isinstance(reading.outcome, Header)
    assert reading.outcome.study_instance_uid == "1.3"
    assert (reading.outcome.patient is not None) is is_seen
    assert len(reading.needs) <= MOST_RANGES


def is_whole_only_between_elements(name: str, length: int) -> None:
    """See that a file that was cut counts as whole only where the cut cannot be told from an end."""
    content, dataset = FILES[name][:length], read_by_pydicom(name)
    assert dataset is not None
    if isinstance(outcome(content), Header):
        starts = element_starts(dataset).values()
        # Where a VR was unknown, pydicom has put in its own, whose head is shorter.
        ends = {*starts, *(start - 4 for start in starts), len(FILES[name])}
        # Some end their files with a line feed or zeros, as a cut within a tag may look.
        behind = content[max(end for end in ends if end <= length) :]
        assert behind in (b"", b"\n") or not any(behind)


@pytest.mark.parametrize("name", SMALL.values())
def test_cut_at_every_length(name: str) -> None:
    """Of small files, each length."""
    for length in range(len(FILES[name]) + 1):
        is_whole_only_between_elements(name, length)


@settings(max_examples=300)
@given(name=st.sampled_from(FOLLOWED), data=st.data())
def test_cut_anywhere(name: str, data: st.DataObject) -> None:
    """Of all files, lengths here and there."""
    is_whole_only_between_elements(name, data.draw(st.integers(0, len(FILES[name]))))


@pytest.mark.parametrize("answered", [b"", b"x"])
def test_bytes_that_nobody_asked_for(answered: bytes) -> None:
    """No bytes at all where there are some to come, others than those asked for, or any after the end."""
    reader = HeaderReader(1000)
    with pytest.raises(ValueError, match="not the bytes"):
        reader.feed(0 if not answered else 7, answered)
    ended = HeaderReader(3)
    with pytest.raises(Unfit):
        ended.feed(0, b"abc")
    with pytest.raises(ValueError, match="not the bytes"):
        ended.feed(0, b"abc")
