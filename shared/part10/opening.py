"""How a file begins: preamble, File Meta (PS3.10 §7.1), and what stands there without them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from pydicom import uid

from .elements import BIG_ENDIAN, EXPLICIT, IMPLICIT, UNDEFINED, VRS, Encoding, NotFollowed
from .window import PREFIX_BYTES, Beyond, Unfit, Window

PREAMBLE_BYTES = 128
MAGIC = b"DICM"  # behind the preamble
_META_GROUP = 0x0002
_MEDIA_STORAGE_SOP_CLASS_UID = 0x00020002
_TRANSFER_SYNTAX_UID = 0x00020010

# Zip (with members, empty, in parts), gzip, bzip2, xz, zstd, 7z, RAR, lzip, LZ4, LZMA, compress, ARJ, cabinet.
_ARCHIVES = (
    *(b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"),
    *(b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"LZIP", b"\x04\x22\x4d\x18", b"\x5d\0\0", b"\x1f\x9d"),
    *(b"\x60\xea", b"MSCF"),
)
_TAR_AT, _TAR = 257, b"ustar"

# A dataset without preamble is known by its first elements alone.
_LOOK_BYTES = 1024
_LOOK_ELEMENTS = 8
_GUESSES = (
    (b"\x08\x00", EXPLICIT, uid.ExplicitVRLittleEndian),
    (b"\x08\x00", IMPLICIT, uid.ImplicitVRLittleEndian),
    (b"\x00\x08", BIG_ENDIAN, uid.ExplicitVRBigEndian),
)


class Form(StrEnum):
    """What stands before the dataset."""

    PART10 = "part10"
    NO_PREAMBLE = "no_preamble"  # File Meta at byte 0
    NO_META = "no_meta"  # nothing: the dataset is at byte 0, and its transfer syntax is told by looking


@dataclass(frozen=True)
class Opening:
    """What stands before the dataset, and where that is."""

    form: Form
    transfer_syntax_uid: str
    dataset_at: int
    is_dicomdir: bool = False
    names_syntax: bool = True  # whether File Meta names the transfer syntax, or there is no File Meta

    @property
    def is_deflated(self) -> bool:
        """Whether the dataset is deflated as a whole."""
        return self.transfer_syntax_uid == uid.DeflatedExplicitVRLittleEndian


def read_opening(window: Window) -> Opening:
    """Read from the file's first byte up to its dataset.

    Raises:
        Unfit: it is empty, an archive, no DICOM file, or cut short, or File Meta cannot be read.
        Beyond: not all of that is at hand.
    """
    if not window.size:
        raise Unfit("empty")
    head = window.take(0, min(window.size, _LOOK_BYTES))
    if head[PREAMBLE_BYTES : PREAMBLE_BYTES + len(MAGIC)] == MAGIC:
        return _read_meta(window, Form.PART10, PREAMBLE_BYTES + len(MAGIC))
    if head.startswith(_ARCHIVES) or head[_TAR_AT : _TAR_AT + len(_TAR)] == _TAR:
        raise Unfit("archive")
    if head[:2] == b"\x02\x00":
        return _read_meta(window, Form.NO_PREAMBLE, 0)
    for first, encoding, transfer_syntax_uid in _GUESSES:
        if head.startswith(first) and _is_dataset(head, window.size, encoding):
            return Opening(Form.NO_META, transfer_syntax_uid, 0)
    raise Unfit("not_dicom")


def _read_meta(window: Window, form: Form, at: int) -> Opening:
    """Read File Meta, whose group length may be missing or wrong: it ends where another group begins.

    If it names no transfer syntax, the file cannot be stored; the encoding is then told by looking, to find the UIDs.
    """
    values: dict[int, str] = {}
    try:
        while int.from_bytes(window.take(at, 2), "little") == _META_GROUP:
            element = window.element(at, EXPLICIT)
            if form is Form.NO_PREAMBLE and values and element.tag <= max(values):
                raise Unfit("not_dicom")
            is_uid = element.tag in (_MEDIA_STORAGE_SOP_CLASS_UID, _TRANSFER_SYNTAX_UID)
            values[element.tag] = _text(window.take(element.value_at, element.length)) if is_uid else ""
            at = element.end
        transfer_syntax_uid = values.get(_TRANSFER_SYNTAX_UID) or _guess(
            window.take(at, min(window.size - at, _LOOK_BYTES)), window.size - at
        )
    except NotFollowed:
        raise Unfit("not_dicom" if form is Form.NO_PREAMBLE and not values else "unreadable") from None
    except Beyond as beyond:
        if beyond.end > PREFIX_BYTES:
            raise Unfit("unreadable") from None
        raise
    is_dicomdir = values.get(_MEDIA_STORAGE_SOP_CLASS_UID) == uid.MediaStorageDirectoryStorage
    return Opening(form, transfer_syntax_uid, at, is_dicomdir, names_syntax=bool(values.get(_TRANSFER_SYNTAX_UID)))


def _guess(head: bytes, size: int) -> str:
    """Return a transfer syntax in whose encoding a dataset begins as its first bytes do.

    Raises:
        Unfit: there is none.
    """
    is_little = not head[1:2].strip(b"\0")  # the groups that a dataset begins with are below 0100
    for _, encoding, transfer_syntax_uid in _GUESSES:
        if is_little == (encoding is not BIG_ENDIAN) and _is_dataset(head, size, encoding):
            return transfer_syntax_uid
    raise Unfit("unreadable")


def _text(value: bytes) -> str:
    return value.rstrip(b" \0").decode("ascii", "replace")


def _is_dataset(head: bytes, size: int, encoding: Encoding) -> bool:
    """Say whether the first elements are some, with ascending tags.

    A file that was cut within them is one as soon as two are whole: it is then unfinished.
    """
    window, at, tags = Window.of(head, size), 0, list[int]()
    try:
        while at < len(head) and len(tags) < _LOOK_ELEMENTS:
            element = window.element(at, encoding)
            if not encoding.implicit and element.vr not in VRS:
                return False
            tags.append(element.tag)
            if element.length == UNDEFINED:
                break  # a sequence
            at = element.end
    except NotFollowed:
        return False
    except (Beyond, Unfit):
        if len(tags) < 2:
            return False
    return all(tag < following for tag, following in pairwise(tags))


def check_encoding(window: Window, at: int, encoding: Encoding) -> None:
    """See that a dataset which is said to be in implicit VR does not begin with an element in explicit VR.

    Raises:
        NotFollowed: it does. Its VRs, taken for lengths, would lead anywhere.
        Unfit, Beyond: as `Window.take`.
    """
    if encoding.implicit and window.take(at, 6)[4:] in VRS:
        raise NotFollowed
