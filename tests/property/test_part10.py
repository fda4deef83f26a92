"""The header of a DICOM file: every real file we have, as a whole and in pieces."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import struct
import warnings
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import DataElement, Dataset, config, dcmread, dcmwrite, uid
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_sequence
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from shared.part10 import PREFIX_BYTES, Form, Header, Need, Patient, Unfit, read_header
from tests.kit.files import deflated
from tests.property.part10_reading import (
    CUT_SHORT,
    ENCAPSULATED,
    FILES,
    FOLLOWED,
    IDENTIFIED,
    ITEM,
    ITEM_END,
    NATIVE,
    NOT_AS_ANNOUNCED,
    SEQUENCE,
    SEQUENCE_END,
    UID_KEYWORDS,
    UNDEFINED,
    WHOLE,
    Sparse,
    element,
    element_in,
    element_starts,
    file_of,
    fragment,
    outcome,
    read,
    read_by_pydicom,
    uids_by_pydicom,
    uids_in,
)


def test_there_are_files() -> None:
    """The folder of pydicom's own files was found, with enough of them in it to mean something."""
    assert len(WHOLE) > 100
    assert len(FOLLOWED) > 100


@pytest.mark.parametrize("name", FILES)
def test_same_uids_as_pydicom(name: str) -> None:
    """For every file that pydicom reads, the UIDs of the dataset are the ones that pydicom finds, or are missed."""
    dataset = read_by_pydicom(name)
    found = outcome(FILES[name])
    if dataset is None:
        assert found in ("not_dicom", "archive") or (isinstance(found, Header) and found.form is Form.NO_META)
    elif name in CUT_SHORT:
        assert found == "unfinished"
    elif isinstance(found, Header):
        assert found.form is Form.PART10
        assert found.transfer_syntax_uid == dataset.file_meta.TransferSyntaxUID
        assert uids_in(found) == ((None, None, None) if name in NOT_AS_ANNOUNCED else uids_by_pydicom(dataset))
        assert found.is_dicomdir == ("DICOMDIR" in name)
        assert found.sop_class_uid == (None if name in NOT_AS_ANNOUNCED else dataset.get("SOPClassUID"))
    elif found == "unreadable":
        assert "TransferSyntaxUID" not in dataset.file_meta
    else:
        assert (found, None in uids_by_pydicom(dataset)) == ("uids_missing", True)


@pytest.mark.parametrize("name", FOLLOWED)
def test_same_patient_as_pydicom(name: str) -> None:
    """The bytes of both values and of the character set are those that pydicom has, nothing where there are none."""
    dataset, found = read_by_pydicom(name), outcome(FILES[name])
    assert dataset is not None
    assert isinstance(found, Header)
    if found.is_dicomdir:
        assert found.patient is None
        return
    elements = (raw_bytes(dataset, tag) for tag in (0x00100020, 0x00100030, 0x00080005))
    assert found.patient == Patient(*elements)


def raw_bytes(dataset: Dataset, tag: int) -> bytes:
    """Return an element's value as it stands in the file, in whatever state pydicom keeps it."""
    if tag not in dataset:
        return b""
    element: object = dataset.get_item(tag)
    value = element.value if isinstance(element, RawDataElement) else None
    if value is None:  # read already, as the character set is
        values = dataset[tag].value
        text = "\\".join(values) if isinstance(values, MultiValue | list) else str(values or "")
        return text.encode("ascii").ljust(len(text) + len(text) % 2)
    return bytes(value)


@pytest.mark.parametrize(
    ("content", "is_told"),
    [
        (element(0x00100020, "LO", b"P" * 1024), True),
        (element(0x00100020, "LO", b"P" * 1026), False),  # longer than any that is valid
        (element(0x00091001, "OB", b"") + element(0x00100020, "LO", b"P1"), True),
        (element(0x00100020, "SQ", UNDEFINED) + SEQUENCE_END + element(0x00100030, "DA", b""), False),
    ],
)
def test_a_patient_that_cannot_be_told(content: bytes, is_told: bool) -> None:
    """Then there is none, rather than a wrong one."""
    found = outcome(file_of(uid.ExplicitVRLittleEndian, IDENTIFIED[:24] + content + IDENTIFIED[24:]))
    assert isinstance(found, Header)
    assert (found.patient is not None) == is_told


@pytest.mark.parametrize(
    ("name", "transfer_syntax_uid"),
    [
        ("ExplVR_BigEndNoMeta.dcm", uid.ExplicitVRBigEndian),
        ("ExplVR_LitEndNoMeta.dcm", uid.ExplicitVRLittleEndian),
        ("rtstruct.dcm", uid.ImplicitVRLittleEndian),
    ],
)
def test_encoding_of_a_bare_dataset(name: str, transfer_syntax_uid: str) -> None:
    """Without File Meta, the transfer syntax is told by looking, and the UIDs are found in it."""
    found, dataset = outcome(FILES[name]), read_by_pydicom(name, force=True)
    assert isinstance(found, Header)
    assert dataset is not None
    assert (found.form, found.transfer_syntax_uid, found.dataset_at) == (Form.NO_META, transfer_syntax_uid, 0)
    assert uids_in(found) == uids_by_pydicom(dataset)
    assert found.sop_class_uid == dataset.SOPClassUID


@pytest.mark.parametrize("name", FOLLOWED)
def test_where_things_are(name: str) -> None:
    """The dataset and its Pixel Data begin where pydicom finds them, whatever lies between."""
    found, dataset = outcome(FILES[name]), read_by_pydicom(name)
    assert isinstance(found, Header)
    assert dataset is not None
    starts = element_starts(dataset)
    assert found.pixel_data_at == starts.get(0x7FE00010)
    assert found.dataset_at == min(starts.values(), default=len(FILES[name]))


@pytest.mark.parametrize("name", FILES)
def test_pieces_make_no_difference(name: str) -> None:
    """Whatever the pieces that a file comes in, it has the same header or the same reason for none."""
    content = FILES[name]
    whole = outcome(content)
    pieces = [97, 1024, 60_000] if len(content) > 3000 else [1, 7, 12, 128, 1024]
    assert [outcome(content, piece=piece) for piece in pieces] == [whole] * len(pieces)


@pytest.mark.parametrize("name", FOLLOWED)
def test_one_range_is_enough_for_a_small_file(name: str) -> None:
    """Of a file that the first range holds, no other is asked for."""
    assert read(FILES[name]).needs == [Need(0, len(FILES[name]))]


LARGE = 4 << 20
NATIVE_PIXELS = (element(0x7FE00010, "OW", LARGE), LARGE)
COMPRESSED = (ENCAPSULATED + fragment(LARGE), LARGE, SEQUENCE_END)


@pytest.mark.parametrize(
    ("transfer_syntax_uid", "pixels", "needs"),
    [(uid.ExplicitVRLittleEndian, NATIVE_PIXELS, 1), (uid.JPEG2000, COMPRESSED, 2)],
)
def test_ranges_of_a_large_file(transfer_syntax_uid: str, pixels: tuple[bytes | int, ...], needs: int) -> None:
    """The first one, and the end of a file with compressed pixels; its fragments are passed only if asked for."""
    content = Sparse((file_of(transfer_syntax_uid, IDENTIFIED), *pixels))
    reading = read(content)
    assert len(reading.needs) == needs
    assert uids_in(reading.outcome) == ("1.3", "1.4", "1.2")
    through = read(content, through_pixels=True)
    assert uids_in(through.outcome) == ("1.3", "1.4", "1.2")
    assert isinstance(through.outcome, Header)
    assert through.outcome.patient == Patient(b"", b"")


STUDY, PATIENT = element(0x0020000D, "UI", b"6.6\0"), element(0x00100020, "LO", b"P2")
PRIVATE = (element(0x7FDF1000, "OB", LARGE), LARGE)
BEFORE, AFTER = IDENTIFIED[:24], IDENTIFIED[24:]
TRAILING = (element(0xFFFCFFFC, "OB", 2 * LARGE), 2 * LARGE)
FAKE_END = element(0xFFFCFFFC, "OB", SEQUENCE_END)  # ends as a file does whose last element is its pixels
EXPLICIT, JPEG = str(uid.ExplicitVRLittleEndian), str(uid.JPEG2000)
KNOWN, UNKNOWN = ("1.3", "1.4", "1.2"), (None, None, None)


@pytest.mark.parametrize(
    ("transfer_syntax_uid", "dataset", "uids", "is_patient_known"),
    [
        # By the walk: all that is not compressed.
        (EXPLICIT, (BEFORE, PATIENT, AFTER), KNOWN, True),
        (EXPLICIT, (IDENTIFIED, STUDY), UNKNOWN, False),
        (EXPLICIT, (IDENTIFIED, element(0x00080018, "UI", b"6.6\0")), UNKNOWN, False),
        (EXPLICIT, (IDENTIFIED, element(0x00080016, "UI", b"6.6\0")), UNKNOWN, False),
        (EXPLICIT, (AFTER, BEFORE), UNKNOWN, False),
        (EXPLICIT, (BEFORE, element(0x00280010, "US", b"\1\0"), AFTER), UNKNOWN, False),
        (EXPLICIT, (IDENTIFIED, *PRIVATE, STUDY), UNKNOWN, False),
        (EXPLICIT, (IDENTIFIED, *PRIVATE, *NATIVE_PIXELS, STUDY), UNKNOWN, False),
        (
            EXPLICIT,
            (IDENTIFIED, element(0x00400275, "SQ", UNDEFINED), ITEM, STUDY, ITEM_END, SEQUENCE_END),
            KNOWN,
            True,
        ),
        # A patient's id that is repeated leaves the UIDs as they are.
        (EXPLICIT, (BEFORE, PATIENT, PATIENT, AFTER), KNOWN, False),
        (EXPLICIT, (BEFORE, PATIENT, AFTER, *NATIVE_PIXELS, PATIENT), KNOWN, False),
        (EXPLICIT, (BEFORE, PATIENT, AFTER, element(0x00080005, "CS", b"ISO_IR 6")), KNOWN, False),
        # What other software may pass in another way.
        (EXPLICIT, (IDENTIFIED, element(0x00291001, "ZZ", b"")), KNOWN, False),
        (EXPLICIT, (IDENTIFIED, b"no element at all"), KNOWN, False),
        # Delimiters and items where none belong: other software may end there, or leave a sequence.
        (EXPLICIT, (IDENTIFIED, SEQUENCE_END), KNOWN, False),
        (EXPLICIT, (IDENTIFIED, ITEM_END), KNOWN, False),
        (EXPLICIT, (IDENTIFIED, ITEM[:4], bytes(4)), KNOWN, False),
        (EXPLICIT, (BEFORE, SEQUENCE, ITEM, SEQUENCE_END, ITEM_END, SEQUENCE_END, AFTER), KNOWN, False),
        (EXPLICIT, (BEFORE, SEQUENCE, ITEM, ITEM[:4], bytes(4), ITEM_END, SEQUENCE_END, AFTER), KNOWN, False),
        # Pixels inside of a sequence are in fragments, which are no items with elements.
        (
            EXPLICIT,
            (BEFORE, SEQUENCE, ITEM, ENCAPSULATED, fragment(b"abcd"), SEQUENCE_END, ITEM_END, SEQUENCE_END, AFTER),
            KNOWN,
            True,
        ),
        # Behind compressed pixels: by the walk if they are near, at the end of the file, or else not at all.
        (JPEG, (IDENTIFIED, ENCAPSULATED, fragment(b"abcd"), SEQUENCE_END, STUDY), UNKNOWN, False),
        (JPEG, (IDENTIFIED, *COMPRESSED, STUDY), UNKNOWN, False),
        (JPEG, (IDENTIFIED, *COMPRESSED, PATIENT), KNOWN, False),
        (JPEG, (IDENTIFIED, *COMPRESSED, element(0xFFFCFFFC, "OB", bytes(100_000)), STUDY), UNKNOWN, False),
        (JPEG, (IDENTIFIED, *COMPRESSED, STUDY, *TRAILING), UNKNOWN, False),
        (JPEG, (IDENTIFIED, *COMPRESSED), KNOWN, False),
        (JPEG, (IDENTIFIED, *COMPRESSED, STUDY, FAKE_END), KNOWN, False),
    ],
)
def test_an_identifying_element_twice_or_out_of_order(
    transfer_syntax_uid: str, dataset: tuple[bytes | int, ...], uids: tuple[str | None, ...], is_patient_known: bool
) -> None:
    """Which of its values counts, other software may see otherwise: it counts as unknown."""
    found = outcome(Sparse((file_of(transfer_syntax_uid, b""), *dataset)))
    assert uids_in(found) == uids
    assert isinstance(found, Header)
    assert (found.sop_class_uid is not None) is (uids == KNOWN)
    assert (found.patient is not None) is is_patient_known


Encode = Callable[..., bytes]  # a tag, its VR, a value, and the length that it says it has
# The transfer syntax, that of a sequence's items, and the sequence's VR.
ENCODINGS = {
    "explicit": (EXPLICIT, EXPLICIT, "SQ"),
    "big endian": (uid.ExplicitVRBigEndian, uid.ExplicitVRBigEndian, "SQ"),
    "implicit": (uid.ImplicitVRLittleEndian, uid.ImplicitVRLittleEndian, "SQ"),
    "UN": (EXPLICIT, uid.ImplicitVRLittleEndian, "UN"),
}
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_INNER = 0x00409096  # Real World Value Mapping Sequence


def value_in(encode: Encode, length: int | None = None) -> bytes:
    return encode(0x00081155, "UI", b"9.9\0", length)


def deep(encode: Encode, depth: int) -> bytes:
    """Return an item, with sequences of defined length inside of each other."""
    item = encode(_ITEM, "", value_in(encode))
    for _ in range(depth):
        item = encode(_ITEM, "", encode(_INNER, "SQ", item))
    return item


WELL_NESTED: dict[str, Callable[[Encode], bytes]] = {
    "nothing": lambda encode: b"",
    "an empty item": lambda encode: encode(_ITEM, "", b""),
    "two items": lambda encode: encode(_ITEM, "", value_in(encode)) * 2,
    "many sequences inside": lambda encode: deep(encode, 30),
    "an empty sequence inside": lambda encode: encode(_ITEM, "", encode(_INNER, "SQ", b"") + value_in(encode)),
    "undefined lengths inside": lambda encode: encode(
        _ITEM,
        "",
        encode(_INNER, "SQ", b"", UNDEFINED)
        + encode(_ITEM, "", value_in(encode), UNDEFINED)
        + encode(_ITEM_END, "", b"")
        + encode(_SEQUENCE_END, "", b""),
    ),
    "an item of undefined length": lambda encode: (
        encode(_ITEM, "", value_in(encode), UNDEFINED) + encode(_ITEM_END, "", b"")
    ),
    "an unknown value inside": lambda encode: encode(_ITEM, "", encode(0x00091001, "UN", b"\xfe\xff\xdd\xe0")),
}
BADLY_NESTED: dict[str, Callable[[Encode], bytes]] = {
    "a value longer than its item": lambda encode: encode(_ITEM, "", value_in(encode, 6)),
    "a value longer than the file": lambda encode: encode(_ITEM, "", value_in(encode, 0xFFF0)),
    "a long value longer than its item": lambda encode: encode(_ITEM, "", encode(0x00091001, "OB", b"", 2)),
    "a long value longer than the file": lambda encode: encode(_ITEM, "", encode(0x00091001, "OB", b"", 0xFFFFFFF0)),
    "an item longer than its sequence": lambda encode: encode(_ITEM, "", value_in(encode), 32),
    "a sequence longer than its item": lambda encode: encode(_ITEM, "", encode(_INNER, "SQ", b"", 8)) + deep(encode, 0),
    "a sequence longer than the file": lambda encode: encode(_ITEM, "", encode(_INNER, "SQ", b"", 0xFFFFFFF0)),
    "bytes left in an item": lambda encode: encode(_ITEM, "", value_in(encode) + bytes(4)),
    "bytes left in a sequence": lambda encode: deep(encode, 1) + bytes(4),
    "an item's delimiter in an item": lambda encode: encode(
        _ITEM, "", value_in(encode) + encode(_ITEM_END, "", b"") + value_in(encode)
    ),
    "a sequence's delimiter in an item": lambda encode: encode(_ITEM, "", encode(_SEQUENCE_END, "", b"")),
    "a sequence's delimiter in a sequence": lambda encode: deep(encode, 0) + encode(_SEQUENCE_END, "", b""),
    "an item's delimiter in a sequence": lambda encode: deep(encode, 0) + encode(_ITEM_END, "", b""),
    "an item in an item": lambda encode: encode(_ITEM, "", deep(encode, 0)),
    "no delimiter of a sequence": lambda encode: encode(_ITEM, "", encode(_INNER, "SQ", b"", UNDEFINED)),
    "no delimiter of an item": lambda encode: encode(_ITEM, "", value_in(encode), UNDEFINED),
    "a value between items": lambda encode: deep(encode, 0) + value_in(encode),
    "zeros in an item": lambda encode: encode(_ITEM, "", bytes(8)),
    "too many sequences inside": lambda encode: deep(encode, 40),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("outer_length", ["defined", "undefined"])
@pytest.mark.parametrize("kind", [*WELL_NESTED, *BADLY_NESTED])
def test_nesting(kind: str, outer_length: str, encoding: str) -> None:
    """A sequence of which other software may see the end elsewhere leaves it unknown whose the file is, and no more."""
    transfer_syntax_uid, of_items, vr = ENCODINGS[encoding]
    encode, inside = partial(element_in, transfer_syntax_uid), partial(element_in, of_items)
    content = (WELL_NESTED | BADLY_NESTED)[kind](inside)
    if outer_length == "defined":
        sequence = encode(0x00082112, vr, content)
    else:
        content = inside(_ITEM, "", inside(_INNER, "SQ", content))
        sequence = encode(0x00082112, vr, content, UNDEFINED) + inside(_SEQUENCE_END, "", b"")
    tags = (0x00080016, 0x00080018, 0x0020000D, 0x0020000E)
    uids = [encode(tag, "UI", f"1.{number}\0".encode()) for number, tag in enumerate(tags, 1)]
    content = file_of(transfer_syntax_uid, b"".join((*uids[:2], sequence, *uids[2:])))
    found = outcome(content)
    assert uids_in(found) == KNOWN
    assert isinstance(found, Header)
    assert found.sop_class_uid == "1.1"
    assert (found.patient is not None) is (kind in WELL_NESTED)
    assert outcome(content, piece=50) == found


@pytest.mark.parametrize(
    ("behind", "uids", "is_patient_known"),
    [
        ((), KNOWN, True),
        ((FAKE_END,), KNOWN, True),
        ((STUDY, FAKE_END), UNKNOWN, False),
        ((PATIENT, FAKE_END), KNOWN, False),
    ],
)
def test_what_is_hidden_behind_compressed_pixels(
    behind: tuple[bytes, ...], uids: tuple[str | None, ...], is_patient_known: bool
) -> None:
    """It is found if each fragment is passed."""
    content = Sparse((file_of(JPEG, IDENTIFIED), *COMPRESSED, *behind))
    found = read(content, through_pixels=True).outcome
    assert uids_in(found) == uids
    assert isinstance(found, Header)
    assert (found.patient is not None) is is_patient_known


@pytest.mark.parametrize("padding", [1000, 2 * PREFIX_BYTES])
def test_a_second_study_in_a_deflated_file(padding: int) -> None:
    """It is seen in the first MiB; of a longer dataset, whose patient it is counts as unknown."""
    dataset = IDENTIFIED + element(0x00291001, "OB", bytes(padding)) + STUDY
    found = outcome(file_of(uid.DeflatedExplicitVRLittleEndian, deflated(dataset)))
    assert uids_in(found) == (UNKNOWN if padding < PREFIX_BYTES else KNOWN)
    assert isinstance(found, Header)
    assert found.patient is None


async def test_driver_fetches_what_is_needed() -> None:
    """The driver asks for each range once, and gives the header that the reader gives."""
    content = Sparse((file_of(uid.JPEG2000, IDENTIFIED + ENCAPSULATED + fragment(1 << 24)), 1 << 24, SEQUENCE_END))
    asked = []

    async def fetch(offset: int, length: int) -> bytes:
        asked.append(Need(offset, length))
        return content[offset : offset + length]

    reading = read(content)
    assert await read_header(content[0:PREFIX_BYTES], len(content), fetch) == reading.outcome
    assert asked == reading.needs[1:]
    assert asked


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(bz2.compress(IDENTIFIED), id="bzip2"),
        pytest.param(gzip.compress(IDENTIFIED), id="gzip"),
        pytest.param(lzma.compress(IDENTIFIED), id="xz"),
        pytest.param(b"PK\x03\x04" + bytes(200), id="zip"),
        pytest.param(b"7z\xbc\xaf\x27\x1c" + bytes(200), id="7z"),
        pytest.param(b"Rar!\x1a\x07" + bytes(200), id="rar"),
        pytest.param(b"\x28\xb5\x2f\xfd" + bytes(200), id="zstd"),
        pytest.param(lzma.compress(IDENTIFIED, lzma.FORMAT_ALONE), id="lzma"),
        pytest.param(b"LZIP\x01" + bytes(200), id="lzip"),
        pytest.param(b"\x04\x22\x4d\x18" + bytes(200), id="lz4"),
        pytest.param(b"\x1f\x9d\x90" + bytes(200), id="compress"),
        pytest.param(b"\x60\xea" + bytes(200), id="arj"),
        pytest.param(b"MSCF" + bytes(200), id="cab"),
    ],
)
def test_archives(content: bytes) -> None:
    """An archive of any common kind is called one."""
    assert outcome(content) == "archive"


IMPLICIT_UIDS = [(0x0008, 0x0018, 4, b"1.2\0"), (0x0020, 0x000D, 4, b"1.3\0"), (0x0020, 0x000E, 4, b"1.4\0")]
NAMELESS = element(0x00080005, "CS", b"") + element(0x00080060, "CS", b"CT")


def without_syntax(dataset: bytes) -> bytes:
    """Put a dataset into a Part 10 file whose File Meta names no transfer syntax."""
    return bytes(128) + b"DICM" + element(0x00020012, "UI", b"1.9\0") + dataset


@pytest.mark.parametrize(
    ("dataset", "reason"),
    [
        (NAMELESS, "uids_missing"),
        (element(0x00100010, "PN", b"A^") + element(0x00100020, "LO", b"P1"), "uids_missing"),
        (struct.pack("<HHI2s", 0x0008, 0x0060, 2, b"CT"), "uids_missing"),
        (struct.pack(">HH2sH2s", 0x0008, 0x0060, b"CS", 2, b"CT"), "uids_missing"),
        (IDENTIFIED, "unreadable"),
        (b"".join(struct.pack("<HHI4s", *named) for named in IMPLICIT_UIDS), "unreadable"),
        (b"".join(struct.pack(">HH2sH4s", *named[:2], b"UI", *named[2:]) for named in IMPLICIT_UIDS), "unreadable"),
        (b"no dataset at all", "unreadable"),
    ],
)
def test_without_a_transfer_syntax(dataset: bytes, reason: str) -> None:
    """Where the UIDs are missing as well, they are the reason, for exporting the file again would not help."""
    assert outcome(without_syntax(dataset)) == reason


@pytest.mark.parametrize("value", [b"..", b"1/2\0", b"1_2\0", b"1.2\xe9", b"1" * 66])
def test_uids_that_no_service_takes(value: bytes) -> None:
    """A UID of dots alone, of other characters or of more than 64 is as good as missing."""
    dataset = IDENTIFIED[:24] + element(0x0020000D, "UI", value) + IDENTIFIED[36:]
    assert outcome(file_of(uid.ExplicitVRLittleEndian, dataset)) == "uids_missing"


async def test_driver_gives_the_reason() -> None:
    """The driver raises what the reader raises."""

    async def fetch(offset: int, length: int) -> bytes:
        raise AssertionError

    with pytest.raises(Unfit, match="empty"):
        await read_header(b"", 0, fetch)


UIDS = st.from_regex(r"[A-Za-z0-9.-]{1,64}", fullmatch=True).filter(lambda uid: bool(uid.strip(".")))


@settings(max_examples=60)
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
        dcmwrite(buffer, dataset, enforce_file_format=True)
    content = buffer.getvalue()
    found = outcome(content)
    assert uids_in(found) == uids
    assert outcome(content, piece=50) == found
    assert outcome(content[:-3]) == "unfinished"


VALUES = (
    ("SOPInstanceUID", "9.9"),
    ("StudyInstanceUID", "9.8"),
    ("PatientID", "Somebody else"),
    ("ImageComments", "x" * 300),
    ("Rows", 512),
    ("EncapsulatedDocument", b"\xfe\xff\xdd\xe0" * 20),
)
SEQUENCES = ("SourceImageSequence", "ReferencedSeriesSequence", "SharedFunctionalGroupsSequence")


def random_dataset(chance: random.Random, depth: int, *, implicit: bool) -> Dataset:
    """Return a dataset with sequences in each other, of either length, and in UN, which holds implicit VR."""
    dataset = Dataset()
    dataset.is_undefined_length_sequence_item = chance.random() < 0.5
    for keyword, value in chance.sample(VALUES, chance.randrange(4)):
        setattr(dataset, keyword, value)
    if chance.random() < 0.3:
        dataset.add_new(0x00091001, "UN", chance.randbytes(2 * chance.randrange(20)))
    for keyword in chance.sample(SEQUENCES, chance.randrange(3)) if depth else ():
        in_un = not implicit and chance.random() < 0.3
        items = [random_dataset(chance, depth - 1, implicit=implicit or in_un) for _ in range(chance.randrange(4))]
        setattr(dataset, keyword, Sequence(items))
        sequence = dataset[keyword]
        if in_un:
            buffer = DicomBytesIO()
            buffer.is_implicit_VR = buffer.is_little_endian = True
            write_sequence(buffer, sequence, ["ascii"])
            dataset[keyword] = DataElement(sequence.tag, "UN", buffer.getvalue())
        else:
            sequence.is_undefined_length = chance.random() < 0.5
    return dataset


@settings(max_examples=200)
@given(seed=st.integers(0, 1 << 32), transfer_syntax_uid=st.sampled_from(NATIVE))
def test_random_nesting(seed: int, transfer_syntax_uid: str) -> None:
    """However pydicom nests what it writes, the UIDs and the patient are the ones that it reads."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setattr(config, "replace_un_with_known_vr", False)
        implicit = transfer_syntax_uid == uid.ImplicitVRLittleEndian
        dataset = random_dataset(random.Random(seed), 3, implicit=implicit)
        for keyword, value in zip(UID_KEYWORDS, KNOWN, strict=True):
            setattr(dataset, keyword, value)
        dataset.PatientID = "P1"
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = uid.UID(transfer_syntax_uid)
        buffer = io.BytesIO()
        dcmwrite(buffer, dataset)
    found = outcome(buffer.getvalue())
    assert isinstance(found, Header)
    assert uids_in(found) == uids_by_pydicom(dcmread(buffer, force=True))
    assert found.patient == Patient(b"P1", b"")


PIXELS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "native": (uid.ExplicitVRLittleEndian, lambda value: element(0x7FE00010, "OW", value)),
    "encapsulated": (uid.JPEGBaseline8Bit, lambda value: ENCAPSULATED + fragment(value) + SEQUENCE_END),
}


@pytest.mark.parametrize("kind", PIXELS)
@pytest.mark.parametrize("length", [64, 2 * PREFIX_BYTES])
def test_a_zero_behind_the_pixels(kind: str, length: int) -> None:
    """A single one is padding there, since no element that can follow begins so; elsewhere it may begin one."""
    transfer_syntax_uid, pixels = PIXELS[kind]
    content = file_of(transfer_syntax_uid, IDENTIFIED + pixels(bytes(length)))
    assert isinstance(outcome(content + b"\0"), Header)
    assert outcome(file_of(transfer_syntax_uid, IDENTIFIED) + b"\0") == "unfinished"


def test_implicit_items_in_an_explicit_file() -> None:
    """An element of VR UN and undefined length holds items in implicit VR, whatever surrounds it (PS3.5 §6.2.2)."""
    implicit = b"\x08\x00\x18\x00\x04\0\0\x009.9\0"
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + implicit + b"\xfe\xff\x0d\xe0\0\0\0\0"
    dataset = element(0x00080005, "UN", 0xFFFFFFFF) + item + SEQUENCE_END + IDENTIFIED
    assert uids_in(outcome(file_of(uid.ExplicitVRLittleEndian, dataset))) == ("1.3", "1.4", "1.2")
