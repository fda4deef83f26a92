"""A dataset in any native encoding → Explicit VR Little Endian (PS3.5 §A.2), every value's bytes kept but their order.

pydicom would take the values apart and put them together again, and could not with those that are invalid.
"""

from __future__ import annotations

from collections.abc import Container
from typing import BinaryIO

import numpy as np
from pydicom import Dataset, Sequence, charset
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.tag import BaseTag

from local.dicom_service.instances.part10 import NotPart10, Part10
from local.dicom_service.instances.raw_elements import elements_of, is_signed, sequence_items, value_bytes, vr_of

_WORD_BYTES = {
    **dict.fromkeys(("AT", "OW", "SS", "US"), 2),
    **dict.fromkeys(("FL", "OF", "OL", "SL", "UL"), 4),
    **dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), 8),
}


def convert(instance: Part10, groups: Container[int] | None = None) -> Dataset:
    """Return a dataset as it was read, its elements not yet converted to values, in Explicit VR Little Endian.

    Only that of some groups, if they are given. Private elements without VR become UN.

    Raises:
        NotPart10: a sequence cannot be read.
    """
    try:
        return _converted(instance.dataset, instance, is_signed(instance.dataset), groups)
    except Exception:  # pydicom raises what its parsing happens to trip over
        raise NotPart10 from None


def write(file: BinaryIO, preamble: bytes, meta: FileMetaDataset, dataset: Dataset) -> None:
    """Write a Part 10 file; `meta` names the transfer syntax, and has its group length set."""
    meta.FileMetaInformationGroupLength = 0
    file.write(preamble.ljust(128, b"\0") + b"DICM")
    output = DicomFileLike(file)
    output.is_implicit_VR, output.is_little_endian = False, True
    write_file_meta_info(output, meta, enforce_standard=False)
    write_dataset(output, dataset)


def _converted(dataset: Dataset, instance: Part10, signed: bool, groups: Container[int] | None = None) -> Dataset:
    signed = signed or is_signed(dataset)
    converted = Dataset()
    for tag, element in elements_of(dataset):
        if groups is not None and tag.group not in groups:
            continue
        vr = (element.VR if element is not None else None) or vr_of(element, signed)
        if vr == "SQ":
            items = [_converted(item, instance, signed) for item in sequence_items(dataset, tag, instance.metered)]
            converted[tag] = DataElement(tag, "SQ", Sequence(items))
        elif isinstance(element, RawDataElement):
            converted[tag] = _raw(tag, vr, value_bytes(element, instance.file), element.is_little_endian)
        elif element is not None:
            converted[tag] = element
    converted.set_original_encoding(False, True, charset.default_encoding)
    return converted


def _raw(tag: BaseTag, vr: str, value: bytes, is_little_endian: bool) -> RawDataElement:
    word_bytes = _WORD_BYTES.get(vr, 1)
    if not is_little_endian and len(value) % word_bytes == 0:
        value = np.frombuffer(value, f"u{word_bytes}").byteswap().tobytes()
    return RawDataElement(tag, vr, len(value), value, 0, False, True)
