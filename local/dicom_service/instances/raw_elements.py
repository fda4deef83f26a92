"""Elements as pydicom found them in a file: bytes, before any conversion."""

from __future__ import annotations

from typing import BinaryIO, cast

from pydicom import Dataset, charset
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.filereader import read_sequence
from pydicom.tag import BaseTag
from pydicom.valuerep import VR

from local.dicom_service.instances.metered import CutShort, MeteredFile

SPECIFIC_CHARACTER_SET = BaseTag(0x00080005)
_PIXEL_REPRESENTATION = BaseTag(0x00280103)
_UNDEFINED_LENGTH = 0xFFFFFFFF
_LONGEST_SHORT = 0xFFFE
_STANDARD_VRS = frozenset(str(vr) for vr in VR if len(vr) == 2)


def element_at(dataset: Dataset, tag: BaseTag) -> RawDataElement | DataElement | None:
    """Return an element as it is: raw, or a sequence that pydicom had to read to find its end."""
    # pydicom's annotations leave the raw kind out.
    element = cast("RawDataElement | DataElement | None", dataset.get_item(tag, keep_deferred=True))
    if tag == SPECIFIC_CHARACTER_SET and isinstance(element, DataElement):
        return _raw_again(element)
    return element


def raw_element(dataset: Dataset, tag: BaseTag) -> RawDataElement | None:
    """Return an element's bytes, None where there is no such element or it is a sequence."""
    element = element_at(dataset, tag)
    return element if isinstance(element, RawDataElement) else None


def elements_of(dataset: Dataset) -> list[tuple[BaseTag, RawDataElement | DataElement | None]]:
    """Return all elements as `element_at` does, in the order of their tags."""
    # All at once: reading a sequence makes pydicom convert other elements of the dataset.
    return [(tag, element_at(dataset, tag)) for tag in sorted(dataset.keys())]


def value_bytes(element: RawDataElement, file: BinaryIO | MeteredFile) -> bytes:
    """Return the bytes of a value; `file` has those that pydicom put off reading.

    Raises:
        CutShort: they are fewer than the element has by its length.
    """
    value = element.value
    if value is None and element.length:
        file.seek(element.value_tell)
        value = file.read(element.length)
    if element.length not in (len(value or b""), _UNDEFINED_LENGTH):
        raise CutShort
    return value or b""


def sequence_items(dataset: Dataset, tag: BaseTag, file: MeteredFile) -> list[Dataset]:
    """Return the items of a sequence, within the bounds of the file that the dataset was read from.

    Raises:
        Exception: it cannot be read, or not within the bounds.
    """
    element = element_at(dataset, tag)
    if not isinstance(element, RawDataElement):
        return list(element.value or ()) if element is not None and element.VR == "SQ" else []
    if element.VR == "UN" and element.length > _LONGEST_SHORT:
        return []  # what cannot have had a VR with a short length may well be unknown
    value = value_bytes(element, file)
    encoding = [charset.default_encoding]  # the values stay bytes
    content = cast(BinaryIO, file.inside(value))
    return list(read_sequence(content, element.is_implicit_VR, element.is_little_endian, len(value), encoding))


def vr_of(element: RawDataElement | DataElement | None, signed: bool) -> str:
    """Return an element's VR: the file's, or the dictionary's where the file has none."""
    if element is None:
        return "UN"
    if element.VR is None or (element.VR == "UN" and isinstance(element, RawDataElement)):
        # Unknown to the file is not unknown to the dictionary (PS3.5 §6.2.2).
        return "UN" if element.tag.is_private else _dictionary_vr(element.tag, signed)
    return element.VR if element.VR in _STANDARD_VRS else "UN"


def is_signed(dataset: Dataset) -> bool:
    """Tell whether the pixels are signed, and with them what has the VR `US or SS`."""
    element = raw_element(dataset, _PIXEL_REPRESENTATION)
    return element is not None and element.value in (b"\1\0", b"\0\1")


def _dictionary_vr(tag: BaseTag, signed: bool) -> str:
    try:
        vr = dictionary_VR(tag)
    except KeyError:
        return "UN"
    if vr == "US or SS":  # as the pixels are (PS3.5 §A.1)
        return "SS" if signed else "US"
    return vr if vr in _STANDARD_VRS else "OW"


def _raw_again(element: DataElement) -> RawDataElement:
    """Undo what pydicom does to SpecificCharacterSet, the one attribute that it converts as it reads."""
    names = [element.value] if isinstance(element.value, str) else list(element.value or ())
    value = "\\".join(names).encode("latin-1", "replace")
    return RawDataElement(element.tag, "CS", len(value), value, element.file_tell or 0, False, True)
