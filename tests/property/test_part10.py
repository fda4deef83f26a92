"""The header of a DICOM file: every real file we have, every way to break one, and any bytes at all."""

from __future__ import annotations

import io
import re
import warnings
import zlib
from functools import cache
from hashlib import sha256
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, FileDataset, uid
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.sequence import Sequence

from store_on_upload.part10 import PREFIX_BYTES, Header, HeaderReader, Unfit
from store_on_upload.source import Digest
from store_on_upload.verdict import REASONS

FOLDER = Path(pydicom.__file__).parent / "data" / "test_files"
FILES = {str(path.relative_to(FOLDER)): path.read_bytes() for path in sorted(FOLDER.rglob("*")) if path.is_file()}
NATIVE = (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian)
# Explicit VR is announced, implicit VR is there: pydicom guesses, we leave it to the service.
NOT_AS_ANNOUNCED = {"SC_rgb_jpeg.dcm"}
CUT_SHORT = {"MR_truncated.dcm", "rtplan_truncated.dcm"}
UID_KEYWORDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
Uids = tuple[str | None, ...]


def uids_in(header: Header) -> Uids:
    return (header.study_instance_uid, header.series_instance_uid, header.sop_instance_uid)


def read_header(prefix: bytes, size: int) -> Header:
    header = HeaderReader(size).feed(0, prefix)
    assert isinstance(header, Header)
    return header


def outcome(prefix: bytes, size: int | None = None) -> Header | str:
    """Return the header, or the reason why there is none; it is one that people are told about."""
    try:
        return read_header(prefix, len(prefix) if size is None else size)
    except Unfit as unfit:
        reason = unfit.reason
    assert reason in REASONS
    return reason


@cache
def read_by_pydicom(name: str) -> FileDataset | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return pydicom.dcmread(io.BytesIO(FILES[name]))
        except InvalidDicomError:
            return None


def uids_by_pydicom(dataset: Dataset) -> Uids:
    values = (dataset.get(keyword) for keyword in UID_KEYWORDS)
    return tuple(None if value is None else str(value) for value in values)


WHOLE = [name for name, content in FILES.items() if isinstance(outcome(content[:PREFIX_BYTES], len(content)), Header)]


def test_there_are_files() -> None:
    """The folder of pydicom's own files was found, with enough of them in it to mean something."""
    assert len(WHOLE) > 100


@pytest.mark.parametrize("name", FILES)
def test_same_uids_as_pydicom(name: str) -> None:
    """For every file that pydicom reads, the UIDs of the dataset are the ones that pydicom finds, or are missed."""
    dataset = read_by_pydicom(name)
    found = outcome(FILES[name][:PREFIX_BYTES], len(FILES[name]))
    if dataset is None:
        assert found == "not_dicom"
    elif name in CUT_SHORT:
        assert found == "unfinished"
    elif isinstance(found, Header):
        assert found.transfer_syntax_uid == dataset.file_meta.TransferSyntaxUID
        assert uids_in(found) == ((None, None, None) if name in NOT_AS_ANNOUNCED else uids_by_pydicom(dataset))
    elif found == "unreadable":
        assert "TransferSyntaxUID" not in dataset.file_meta
    else:
        assert (found, None in uids_by_pydicom(dataset)) == ("uids_missing", True)


@settings(max_examples=300)
@given(name=st.sampled_from(WHOLE), length=st.integers(0, 20_000))
def test_short_prefix(name: str, length: int) -> None:
    """From fewer bytes of a whole file the same UIDs are found, or fewer of them, never others or a wrong verdict."""
    content = FILES[name]
    header = read_header(content[:PREFIX_BYTES], len(content))
    found = outcome(content[:length], len(content))
    if isinstance(found, Header):
        assert all(less in (None, full) for less, full in zip(uids_in(found), uids_in(header), strict=True))
    else:
        assert found == ("not_dicom" if length < 132 else "unreadable")


def element_starts(dataset: FileDataset) -> set[int]:
    """Return where the top-level elements start: cut there, a file is whole and only has fewer of them."""
    starts = set()
    for tag in dataset.keys():  # noqa: SIM118  # iterating a dataset would convert what is still raw
        element = dataset.get_item(tag)
        assert element is not None
        value_at = element.value_tell if isinstance(element, RawDataElement) else element.file_tell
        implicit = dataset.file_meta.TransferSyntaxUID == uid.ImplicitVRLittleEndian
        is_long = str(element.VR) in ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
        starts.add((value_at or 0) - (12 if is_long and not implicit else 8))
    return starts


NATIVE_FILES = [
    name
    for name in WHOLE
    if name not in NOT_AS_ANNOUNCED
    and (dataset := read_by_pydicom(name))
    and dataset.file_meta.TransferSyntaxUID in NATIVE
    and len(FILES[name]) < PREFIX_BYTES
]


@settings(max_examples=300)
@given(name=st.sampled_from(NATIVE_FILES), cut=st.integers(1, 1 << 30))
def test_cut_file_is_unfinished(name: str, cut: int) -> None:
    """A native file that ends early is found out wherever it ends, but between two elements: there it looks whole."""
    content, dataset = FILES[name], read_by_pydicom(name)
    assert dataset is not None
    starts = element_starts(dataset)
    length = min(starts) + 1 + cut % (len(content) - min(starts) - 1)
    found = outcome(content[:length])
    if length in starts:
        assert isinstance(found, Header) or found == "uids_missing"
    else:
        assert found == "unfinished"


@pytest.mark.parametrize("name", [name for name in NATIVE_FILES if "PixelData" in (read_by_pydicom(name) or ())])
def test_cut_pixel_data(name: str) -> None:
    """A file that lacks the last byte, or all but the first byte, of its pixels is unfinished."""
    dataset = read_by_pydicom(name)
    assert dataset is not None
    element = dataset.get_item("PixelData")
    assert element is not None
    value_at = (element.value_tell if isinstance(element, RawDataElement) else element.file_tell) or 0
    assert [outcome(FILES[name][:length]) for length in (value_at + 1, value_at + len(element.value or b"") - 1)] == [
        "unfinished",
        "unfinished",
    ]


MUTATIONS = st.lists(
    st.tuples(st.one_of(st.integers(128, 1200), st.integers(0, 1 << 20)), st.binary(max_size=6), st.integers(0, 6)),
    max_size=5,
)


@settings(max_examples=500)
@given(name=st.sampled_from(WHOLE), mutations=MUTATIONS, length=st.none() | st.integers(0, 4000))
def test_broken_files(name: str, mutations: list[tuple[int, bytes, int]], length: int | None) -> None:
    """A real file with bytes changed, inserted, removed or cut off has a header or a reason, whatever was hit."""
    content = bytearray(FILES[name][:20_000])
    for at, inserted, removed in mutations:
        content[at % len(content) : at % len(content) + removed] = inserted
        content = content or bytearray(1)
    broken = bytes(content[:length])
    for size in (len(broken), len(broken) + 1, 1 << 32):
        outcome(broken, size)


ELEMENTS = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"\x08\x00\x18\x00UI\x04\x001.2\x00",
                b"\x20\x00\x0d\x00UI\x04\x001.2\x00",
                b"\x20\x00\x0e\x00UI\x04\x001.2\x00",
                b"\x08\x00\x05\x00SQ\x00\x00\xff\xff\xff\xff",
                b"\x08\x00\x05\x00UN\x00\x00\xff\xff\xff\xff",
                b"\x08\x00\x05\x00\xff\xff\xff\xff",
                b"\xfe\xff\x00\xe0\xff\xff\xff\xff",
                b"\xfe\xff\x00\xe0\x00\x00\x00\x00",
                b"\xfe\xff\x0d\xe0\x00\x00\x00\x00",
                b"\xfe\xff\xdd\xe0\x00\x00\x00\x00",
                b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff",
            ]
        ),
        st.binary(max_size=10),
    ),
    max_size=40,
).map(b"".join)
SYNTAXES = st.sampled_from([*NATIVE, uid.DeflatedExplicitVRLittleEndian, uid.JPEG2000, "", "1.2"])


def file_of(transfer_syntax_uid: str, dataset: bytes) -> bytes:
    value = transfer_syntax_uid.encode() + b"\0" * (len(transfer_syntax_uid) % 2)
    meta = b"\x02\x00\x10\x00UI" + len(value).to_bytes(2, "little") + value
    return bytes(128) + b"DICM" + meta + dataset


@settings(max_examples=400)
@given(transfer_syntax_uid=SYNTAXES, dataset=ELEMENTS, deflated=st.booleans(), more=st.sampled_from([0, 1, 1 << 40]))
def test_any_dataset(transfer_syntax_uid: str, dataset: bytes, deflated: bool, more: int) -> None:
    """Any bytes behind File Meta, near-misses of sequences included, have a header or a reason."""
    if deflated:
        compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        dataset = compressor.compress(dataset) + compressor.flush()
    content = file_of(transfer_syntax_uid, dataset)
    outcome(content, len(content) + more)


@given(content=st.binary(max_size=300), magic=st.booleans(), more=st.integers(0, 1 << 33))
def test_any_bytes(content: bytes, magic: bool, more: int) -> None:
    """Any bytes at all have a header or a reason."""
    if magic:
        content = bytes(128) + b"DICM" + content
    outcome(content, len(content) + more)


IDENTIFIED = b"\x08\x00\x18\x00UI\x04\x001.2\x00\x20\x00\x0d\x00UI\x04\x001.3\x00\x20\x00\x0e\x00UI\x04\x001.4\x00"
SEQUENCE, UNKNOWN = b"\x08\x00\x05\x00SQ\0\0\xff\xff\xff\xff", b"\x08\x00\x05\x00UN\0\0\xff\xff\xff\xff"
ITEM, ITEM_END, SEQUENCE_END = (
    b"\xfe\xff\x00\xe0\xff\xff\xff\xff",
    b"\xfe\xff\x0d\xe0\0\0\0\0",
    b"\xfe\xff\xdd\xe0\0\0\0\0",
)


def test_implicit_items_in_an_explicit_file() -> None:
    """An element of VR UN and undefined length holds items in implicit VR, whatever surrounds it (PS3.5 §6.2.2)."""
    implicit = b"\x08\x00\x18\x00\x04\0\0\x009.9\0"
    dataset = UNKNOWN + ITEM + implicit + ITEM_END + SEQUENCE_END + IDENTIFIED
    found = outcome(file_of(uid.ExplicitVRLittleEndian, dataset))
    assert isinstance(found, Header)
    assert uids_in(found) == ("1.3", "1.4", "1.2")


@pytest.mark.parametrize(
    ("transfer_syntax_uid", "opening"),
    [(uid.ExplicitVRLittleEndian, SEQUENCE + ITEM), (uid.ImplicitVRLittleEndian, SEQUENCE[:4] + SEQUENCE[8:] + ITEM)],
)
def test_bottomless_nesting(transfer_syntax_uid: str, opening: bytes) -> None:
    """Sequences nested without end are not followed to the end: the service may judge."""
    found = outcome(file_of(transfer_syntax_uid, opening * 20_000 + IDENTIFIED))
    assert isinstance(found, Header)
    assert uids_in(found) == (None, None, None)


UIDS = st.from_regex(re.compile(r"[0-9.]{0,63}[0-9]", re.ASCII), fullmatch=True)


@given(
    uids=st.tuples(UIDS, UIDS, UIDS),
    transfer_syntax_uid=st.sampled_from([*NATIVE, uid.DeflatedExplicitVRLittleEndian]),
    depth=st.integers(0, 6),
    undefined=st.booleans(),
    pixels=st.integers(0, 3000),
)
def test_files_that_we_make(
    uids: tuple[str, str, str], transfer_syntax_uid: str, depth: int, undefined: bool, pixels: int
) -> None:
    """What pydicom writes is read back, through nested sequences of either length, whose own UIDs do not count."""
    dataset = Dataset()
    for _ in range(depth):
        item = dataset
        item.is_undefined_length_sequence_item = undefined
        item.StudyInstanceUID = item.SOPInstanceUID = "9.9"
        dataset = Dataset()
        dataset.ReferencedStudySequence = Sequence([item, Dataset()])
        dataset["ReferencedStudySequence"].is_undefined_length = undefined
    dataset.SOPClassUID = uid.CTImageStorage
    dataset.PixelData = bytes(pixels // 2 * 2)
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.UID(transfer_syntax_uid)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a UID of pydicom's taste is stricter than the service
        for keyword, value in zip(UID_KEYWORDS, uids, strict=True):
            setattr(dataset, keyword, value)
        dataset.file_meta.MediaStorageSOPInstanceUID = uid.UID("1.1")
        pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    content = buffer.getvalue()
    found = outcome(content)
    assert isinstance(found, Header)
    assert uids_in(found) == uids
    assert outcome(content[:-3]) == "unfinished"


@given(content=st.binary(max_size=400), cuts=st.lists(st.integers(0, 400), max_size=6))
def test_digest(content: bytes, cuts: list[int]) -> None:
    """A content's hash and size do not depend on the chunks that it comes in."""
    digest = Digest()
    edges = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    for start, end in pairwise(edges):
        digest.update(content[start:end])
    assert (digest.size, digest.sha256) == (len(content), sha256(content).hexdigest())


@pytest.mark.parametrize("name", ["MR_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm"])
@pytest.mark.parametrize("padding", [b"\n", b"\r\n", *(bytes(length) for length in (2, 6, 8, 9, 16, 17, 20, 4096))])
def test_what_senders_put_behind_the_end(name: str, padding: bytes) -> None:
    """A line break or zeros after the last element do not make a whole file an unfinished one."""
    assert isinstance(outcome(FILES[name] + padding), Header)


@pytest.mark.parametrize("extra", [0, 1, 7, 100, 5000])
def test_a_deflated_file_that_inflates_past_the_limit_is_whole(extra: int) -> None:
    """Where the output stops at the limit, nothing can be said about the end; the file is not called unfinished."""
    dataset = pydicom.dcmread(BytesIO(FILES["image_dfl.dcm"]))
    dataset.PixelData = bytes(PREFIX_BYTES + extra)
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    assert isinstance(outcome(file.getvalue()), Header)
