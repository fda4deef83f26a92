"""Files in implicit VR, sent in explicit VR: every real one we have, each odd thing by itself, and any dataset."""

from __future__ import annotations

import io
import tracemalloc
import warnings
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import uid
from pydicom.errors import InvalidDicomError

from shared.dicomweb import InstanceOutcome, StoreReason, StoreStatus
from shared.part10 import Form, Header, Unfit
from store_on_upload.transcoding import explicit_vr, transcode
from store_on_upload.transcoding.explicit_vr import ExplicitVR, element_head
from store_on_upload.transcoding.transcode import may_be_about_implicit_vr, to_explicit_vr
from store_on_upload.verdict import REASONS
from tests.kit.files import IMPLICIT, TEST_FILES
from tests.kit.implicit_vr import Blob, element, header, read_dataset, read_file, sequence, transcoded

UNKNOWN_CREATOR = element(0x00090010, b"NOBODY KNOWS IT ")
SIEMENS = element(0x00290010, b"SIEMENS CSA HEADER")
SIGNED = element(0x00280103, b"\1\0")
UNSIGNED = element(0x00280103, b"\0\0")
SMALLEST = element(0x00280106, b"\xff\xff")
MIB = 1024 * 1024


def implicit_files() -> Iterator[str]:
    for path in sorted(TEST_FILES.rglob("*")):
        with warnings.catch_warnings(action="ignore"):
            try:
                file = pydicom.dcmread(path, stop_before_pixels=True)
            except (InvalidDicomError, OSError):
                continue
        if file.file_meta.get("TransferSyntaxUID") == IMPLICIT:
            yield str(path.relative_to(TEST_FILES))


FILES = [name for name in implicit_files() if name != "rtplan_truncated.dcm"]


def test_there_are_files() -> None:
    """Pydicom has files in implicit VR, with enough of them to mean something."""
    assert {"MR_small_implicit.dcm", "rtdose.dcm", "rtplan.dcm", "priv_SQ.dcm"} < set(FILES)


@pytest.mark.parametrize("name", FILES)
async def test_real_files_keep_every_value(name: str) -> None:
    """Pydicom reads the same dataset: elements, VRs, values, and their bytes; File Meta names the new encoding."""
    content = (TEST_FILES / name).read_bytes()
    sent = await transcoded(content, header(content, Form.PART10))
    assert read_file(sent) == read_file(content)
    meta = pydicom.dcmread(io.BytesIO(sent)).file_meta
    assert meta.TransferSyntaxUID == uid.ExplicitVRLittleEndian
    assert sent[:132] == content[:132]


async def test_a_real_file_without_file_meta() -> None:
    """A structure set that is a mere dataset gets its File Meta, and keeps every value."""
    content = (TEST_FILES / "rtstruct.dcm").read_bytes()
    sent = await transcoded(content)
    assert read_file(sent) == read_dataset(content)
    assert pydicom.dcmread(io.BytesIO(sent)).file_meta.MediaStorageSOPInstanceUID == "1.4"


async def test_file_meta_is_kept_but_for_what_has_changed() -> None:
    """The transfer syntax and who wrote the file are ours now; the rest of File Meta is as it was."""
    content = (TEST_FILES / "rtplan.dcm").read_bytes()
    sent = await transcoded(content, header(content, Form.PART10))
    old, new = (pydicom.dcmread(io.BytesIO(file)).file_meta for file in (content, sent))
    changed = {each.keyword for each in old if each.keyword not in new or new[each.keyword] != each}
    assert changed <= {
        "FileMetaInformationGroupLength",
        "TransferSyntaxUID",
        "ImplementationClassUID",
        "ImplementationVersionName",
    }
    assert new.FileMetaInformationGroupLength == header(sent, Form.PART10).dataset_at - 144


async def test_file_meta_without_a_preamble() -> None:
    """It gets its preamble, and is corrected behind it."""
    content = (TEST_FILES / "rtplan.dcm").read_bytes()[132:]
    sent = await transcoded(content, header(content, Form.NO_PREAMBLE))
    assert sent[:132] == b"\0" * 128 + b"DICM"
    assert read_file(sent) == read_file(sent[:132] + content)


ODD = {
    "an empty dataset": b"",
    "empty values": element(0x00100010, b"") + element(0x00280103, b"") + element(0x00400555, b""),
    "odd lengths": element(0x00100010, b"Doe") + element(0x00200013, b"1"),
    "bytes that are no text": element(0x00080005, b"ISO_IR 192") + element(0x00100010, b"\xff\xfe\x80^\xc3\x28"),
    "a character set that does not exist": element(0x00080005, b"NO SUCH ") + element(0x00100010, b"\xe4\xf6"),
    "a character set in an item": sequence(
        0x00081140, element(0x00080005, b"ISO 2022 IR 87") + element(0x00100010, b"\x1b$B;3ED\x1b(B")
    ),
    "numbers that are none": element(0x00200013, b"one ") + element(0x00101030, b"1,5 "),
    "an empty sequence": sequence(0x00081140) + sequence(0x00081199, defined=False),
    "an empty item": sequence(0x00081140, b"") + sequence(0x00081199, b"", defined=False),
    "sequences of defined length": sequence(0x0040A730, sequence(0x0040A730, element(0x0040A160, b"Text"))),
    "sequences of undefined length": sequence(
        0x0040A730, sequence(0x0040A730, element(0x0040A160, b"Text"), defined=False), b"", defined=False
    ),
    "defined in undefined": sequence(0x0040A730, sequence(0x0040A730, element(0x0040A160, b"Text")), defined=False),
    "undefined in defined": sequence(0x0040A730, sequence(0x0040A730, b"", element(0x0040A160, b"T "), defined=False)),
    "private, known": SIEMENS + element(0x00291008, b"IMAGE NUM 4 ") + element(0x00291010, b"\0\1\2\3"),
    "private, known, in another block": element(0x002900A0, b"SIEMENS CSA HEADER") + element(0x0029A008, b"IMAGE "),
    "private, unknown": UNKNOWN_CREATOR + element(0x00091001, b"\1\2\3\4"),
    "private, without a creator": element(0x00091001, b"\1\2\3\4") + element(0x00090001, b"\5\6"),
    "private, known outside and not in the item": SIEMENS + sequence(0x300A0002, element(0x00291008, b"NUM ")),
    "a private sequence": UNKNOWN_CREATOR + sequence(0x00091002, element(0x00100010, b"Doe "), defined=False),
    "a private sequence of unknown VR": UNKNOWN_CREATOR + sequence(0x00091002, element(0x00100010, b"Doe ")),
    "a tag that no dictionary has": element(0x00080002, b"\1\2"),
    "repeating groups": element(0x60020010, b"\2\0") + element(0x60023000, b"\1\2\3\4") + element(0x50020005, b"\1\0"),
    "signed pixels": SIGNED + SMALLEST + element(0x00281101, b"\0\1\0\0\x10\0"),
    "unsigned pixels": UNSIGNED + SMALLEST,
    "no word on the sign": SMALLEST,
    "signed pixels of an icon": UNSIGNED + sequence(0x00880200, SIGNED + SMALLEST) + sequence(0x00880200, SMALLEST),
    "signed, said behind": sequence(0x00081140, SMALLEST) + element(0x00189810, b"\xff\xff") + SIGNED,
    "a table of one entry": element(0x00283002, b"\1\0\0\0\x10\0") + element(0x00283006, b"\1\2"),
    "a table of two entries": element(0x00283002, b"\2\0\0\0\x10\0") + element(0x00283006, b"\1\2\3\4"),
    "a waveform": sequence(0x54000100, element(0x54001004, b"\x08\0") + element(0x54001010, b"\1\2\3\4")),
    "pixels of 8 bits": element(0x00280100, b"\x08\0") + element(0x7FE00010, b"\1\2\3\4"),
    "pixels of 16 bits": element(0x00280100, b"\x10\0") + element(0x7FE00010, b"\1\2\3\4"),
    "what follows the pixels": element(0x7FE00010, b"\1\2") + element(0xFFFCFFFC, b"\0" * 100),
    "signatures behind the pixels": element(0x7FE00010, b"\1\2") + sequence(0xFFFAFFFA, element(0x04000005, b"\1\0")),
    "the longest text": element(0x00281055, b"1" * 65_534),
    "long values of long VRs": element(0x00420011, b"%PDF" * 20_000) + element(0x00080120, b"http" * 20_000),
}


@pytest.mark.parametrize("name", ODD)
async def test_odd_datasets_keep_every_value(name: str) -> None:
    """Pydicom reads the same elements, VRs, values and bytes."""
    sent = await transcoded(ODD[name])
    assert read_file(sent) == read_dataset(ODD[name])


@pytest.mark.parametrize("padding", [b"\0", b"\0" * 7, b"\0" * 100, b"\n", b"\r\n", b"\0" * (2 * MIB)])
async def test_what_is_no_element_is_left_out(padding: bytes) -> None:
    """Zeros and line breaks behind the last element are not sent."""
    dataset = element(0x7FE00010, b"\1\2")
    assert await transcoded(dataset + padding, header(b"")) == await transcoded(dataset)


async def test_group_lengths_are_left_out() -> None:
    """They are retired, and would be wrong."""
    dataset = element(0x00100010, b"Doe ") + sequence(0x00081140, element(0x00100020, b"ID"))
    lengths = element(0x00100000, b"\x0c\0\0\0")
    sent = await transcoded(lengths + element(0x00100010, b"Doe ") + sequence(0x00081140, element(0x00100020, b"ID")))
    assert sent == await transcoded(dataset)


REFUSED = {
    "too_long_for_explicit_vr": [
        element(0x30040058, b"1.5\\" * 20_000),
        sequence(0x30040050, element(0x30040058, b"1.5\\" * 20_000)),
        sequence(0x30040050, element(0x30040058, b"1.5\\" * 20_000), defined=False),
        element(0x00281055, b"1" * 65_535),
        SIEMENS + element(0x00291008, b"1" * 65_536),
    ],
    "unfinished": [
        element(0x00100010, b"Doe", 4),
        element(0x00100010, b"Doe ")[:7],
        element(0x7FE00010, b"\1\2", 2 * MIB),
        sequence(0x0040A730, b"", defined=False)[:-8],
        sequence(0x0040A730, b"", defined=False)[:-4],
    ],
    "unreadable": [
        element(0x7FE00010, b"\1\2", 0xFFFFFFFF),
        element(0x00100010, element(0xFFFEE000, b""), 0xFFFFFFFF),
        element(0x0040A730, element(0x0040A730, b""), 0xFFFFFFFF),
        element(0x0040A730, element(0xFFFEE000, b"", 2)) + element(0x00880140, b""),
        element(0x0040A730, element(0xFFFEE000, element(0x0040A160, b"Text", 5))) + b"\0\0",
        element(0xFFFEE00D, b""),
        element(0xFFFEE000, b"") * 2,
        element(0x0040A730, element(0xFFFEE000, b"") + element(0xFFFEE0DD, b"")) + element(0x00880140, b""),
        bytes(16) + element(0x00100010, b"Doe "),
    ],
}


@pytest.mark.parametrize(("reason", "dataset"), [(reason, each) for reason in REFUSED for each in REFUSED[reason]])
async def test_what_cannot_be_sent_is_refused_by_its_reason(reason: str, dataset: bytes) -> None:
    """Too long for explicit VR, cut short, or no dataset at all: each has its reason, and the reason a text."""
    with pytest.raises(Unfit) as unfit:
        await transcoded(dataset)
    assert unfit.value.reason == reason
    assert reason in REASONS


async def test_a_sequence_that_never_stops_nesting_is_refused() -> None:
    """Without coming near the limits of Python's stack."""
    dataset = b""
    for _ in range(2000):
        dataset = sequence(0x0040A730, dataset, defined=False)
    with pytest.raises(Unfit, match="unreadable"):
        await transcoded(dataset)


def test_no_cut_of_a_file_passes_for_the_whole() -> None:
    """Cut anywhere but between two elements, a file is refused."""
    dataset = ODD["undefined in defined"] + SIEMENS + element(0x00291010, b"\1\2\3\4")
    boundaries = {0, len(ODD["undefined in defined"]), len(dataset) - 12, len(dataset)}
    for length in set(range(len(dataset))) - boundaries:
        with pytest.raises(Unfit):
            feed_all(dataset[:length], len(dataset))


async def test_large_values_are_streamed_and_the_rest_is_held() -> None:
    """Pixels of 3 MiB, what comes before, between and behind: nothing is lost, and pixels are not read ahead."""
    pixels = bytes(range(256)) * (3 * MIB // 256)
    dataset = b"".join(
        [
            SIGNED + SMALLEST,
            element(0x00420011, b"%PDF" * MIB),
            element(0x7FE00010, pixels),
            sequence(0xFFFAFFFA, element(0x04000005, b"\1\0"), defined=False),
            element(0xFFFCFFFC, b"\0" * 100),
        ]
    )
    blob = Blob(dataset)
    body = await blob.body()
    assert blob.bytes_read < 3 * MIB
    sent = [b"".join([chunk async for chunk in body]) for _ in range(2)]
    assert sent[0] == sent[1]
    assert len(sent[0]) == body.length
    assert read_file(sent[0]) == read_dataset(dataset)


async def test_an_element_longer_than_the_window_is_held_nevertheless() -> None:
    """A sequence of 5 MiB outside of pixel data needs a larger window, and keeps every value."""
    item = element(0x0040A160, b"Text" * 5000)
    dataset = (
        element(0x00100010, b"Doe ") + sequence(0x0040A730, *[item] * 260, defined=False) + element(0x00880140, b"")
    )
    assert read_file(await transcoded(dataset)) == read_dataset(dataset)


@pytest.mark.parametrize("items", [1, 100])
async def test_what_would_have_to_be_held_is_bounded(items: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset with more than the limit beside its large values is refused, in one element or in many."""
    for module in (explicit_vr, transcode):
        monkeypatch.setattr(module, "MAX_BYTES", 2 * MIB)
    dataset = sequence(0x0040A730, element(0x0040A160, b"1" * (3 * MIB // 100)) * (100 // items)) * items
    with pytest.raises(Unfit, match="too_large_for_explicit_vr"):
        await transcoded(dataset)


async def test_memory_does_not_grow_with_the_file() -> None:
    """Of 200 MiB no more than some MiB are in memory, from the first read to the last byte sent."""
    head = element(0x00100010, b"Doe ") + element(0x7FE00010, b"", 200 * MIB)
    size = len(head) + 200 * MIB
    zeros = bytes(MIB)

    async def read(offset: int, length: int) -> bytes:
        return (head[offset : offset + length] + zeros)[: min(length, size - offset)]

    async def chunks_from(offset: int) -> AsyncGenerator[bytes]:
        for _ in range((size - offset) // MIB):
            yield zeros

    tracemalloc.start()
    try:
        body = await to_explicit_vr(header(b""), size, read, chunks_from)
        sent = 0
        async for chunk in body:
            sent += len(chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sent == body.length > 200 * MIB
    assert peak < 8 * MIB


async def test_a_body_that_is_left_early_closes_its_source() -> None:
    """The stream of the source does not stay open when the service refuses before the end."""
    closed = []

    async def chunks_from(offset: int) -> AsyncGenerator[bytes]:
        try:
            while True:
                yield bytes(MIB)
        finally:
            closed.append(offset)

    blob = Blob(element(0x7FE00010, bytes(4 * MIB)))
    body = await to_explicit_vr(header(b""), len(blob.content), blob.read, chunks_from)
    stream = aiter(body)
    for _ in range(3):
        await anext(stream)
    await stream.aclose()
    assert closed == [8]


def feed_all(dataset: bytes, window_bytes: int) -> bytes:
    """Write a dataset from windows of a size; a window that is too small for its first element is doubled."""
    writer = ExplicitVR(len(dataset), b"")
    at, length = 0, window_bytes
    while at < len(dataset):
        next_at = writer.feed(dataset[at : at + length], at)
        at, length = next_at, window_bytes if next_at > at else 2 * length
    writer.finish()
    [content] = writer.pieces()
    assert isinstance(content, memoryview)
    return bytes(content)


Model = dict[int, Any]  # tag → value, or a sequence: whether its lengths are defined, and its items

VRS = {
    0x00080005: b"CS",
    0x00080018: b"UI",
    0x00100010: b"PN",
    0x00420010: b"ST",
    0x00080002: b"UN",
    0x00091001: b"UN",
    0x00290010: b"LO",
    0x60003000: b"OW",
    0x7FE00010: b"OW",
    0x00080120: b"UR",
}
US_OR_SS = (0x00189810, 0x00280106)
PRIVATE = {0x00291008: b"CS", 0x00291010: b"OB"}
LEAVES = {tag: st.binary(max_size=12) for tag in (*VRS, *US_OR_SS, *PRIVATE)}
LEAVES |= {0x00280103: st.sampled_from([b"\0\0", b"\1\0"]), 0x00290010: st.just(b"SIEMENS CSA HEADER")}


def models(items: st.SearchStrategy[Model]) -> st.SearchStrategy[Model]:
    """Return datasets with items of such a kind."""
    sequences = st.tuples(st.booleans(), st.lists(items, max_size=3))
    return st.fixed_dictionaries({}, optional=LEAVES | dict.fromkeys((0x00081140, 0x0040A730, 0x00880200), sequences))


MODELS = st.recursive(st.fixed_dictionaries({}, optional=LEAVES), models, max_leaves=8)


def implicit(model: Model) -> bytes:
    return b"".join(
        element(tag, value) if isinstance(value, bytes) else sequence(tag, *map(implicit, value[1]), defined=value[0])
        for tag, value in sorted(model.items())
    )


def explicit(model: Model, signed: bool = False) -> bytes:
    """Write a dataset as it should be, by a table of VRs."""
    signed = any(model.get(0x00280103, bytes([signed])))
    vrs = {**VRS, 0x00280103: b"US", **dict.fromkeys(US_OR_SS, b"SS" if signed else b"US")}
    vrs |= PRIVATE if 0x00290010 in model else dict.fromkeys(PRIVATE, b"UN")
    parts = []
    for tag, value in sorted(model.items()):
        if isinstance(value, bytes):
            parts.append(element_head(tag, vrs[tag], len(value)) + value)
        else:
            content = sequence(tag, *(explicit(item, signed) for item in value[1]), defined=value[0])
            parts.append(element_head(tag, b"SQ", int.from_bytes(content[4:8], "little")) + content[8:])
    return b"".join(parts)


@settings(max_examples=200, deadline=None)
@given(MODELS, st.integers(1, 64))
def test_any_dataset_in_any_windows(model: Model, window_bytes: int) -> None:
    """Whatever it has, and however the file is cut into windows, what is written is the same dataset."""
    assert feed_all(implicit(model), window_bytes) == explicit(model)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_dataset_or_unfit(dataset: bytes) -> None:
    """Nothing else is raised, and every reason has a text."""
    reason = "unfinished"
    try:
        feed_all(dataset, 64)
    except Unfit as unfit:
        reason = unfit.reason
    assert reason in REASONS


IMPLICIT_HEADER = header(b"")
EXPLICIT_HEADER = Header(Form.PART10, uid.ExplicitVRLittleEndian, 400, None, None, None, None)


@pytest.mark.parametrize(
    ("of", "status", "reason", "attributes", "expected"),
    [
        (IMPLICIT_HEADER, StoreStatus.FAILED, StoreReason.INVALID, (), True),
        (IMPLICIT_HEADER, StoreStatus.FAILED, 0xC122, (), True),
        (IMPLICIT_HEADER, StoreStatus.FAILED, StoreReason.INVALID, ("00100020",), False),
        (IMPLICIT_HEADER, StoreStatus.FAILED, StoreReason.ALREADY_STORED, (), False),
        (IMPLICIT_HEADER, StoreStatus.FAILED, StoreReason.OTHER_STUDY, (), False),
        (IMPLICIT_HEADER, StoreStatus.FAILED, StoreReason.PROCESSING_FAILURE, (), False),
        (IMPLICIT_HEADER, StoreStatus.FAILED, None, (), False),
        (IMPLICIT_HEADER, StoreStatus.WARNED, StoreReason.IMPLICIT_VR, (), False),
        (EXPLICIT_HEADER, StoreStatus.FAILED, StoreReason.INVALID, (), False),
    ],
)
def test_which_refusals_may_be_about_implicit_vr(
    of: Header, status: StoreStatus, reason: int | None, attributes: tuple[str, ...], expected: bool
) -> None:
    """Only "invalid" without a word on attributes, and "cannot understand", of a file in implicit VR."""
    outcome = InstanceOutcome(status, "1.4", None, reason, attributes)
    assert may_be_about_implicit_vr(of, outcome) is expected
