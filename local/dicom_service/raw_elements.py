"""Elements as pydicom found them in a file: bytes, before any conversion."""

from __future__ import annotations

from typing import cast

from pydicom import Dataset
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.tag import BaseTag

SPECIFIC_CHARACTER_SET = BaseTag(0x00080005)


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


def _raw_again(element: DataElement) -> RawDataElement:
    """Undo what pydicom does to SpecificCharacterSet, the one attribute that it converts as it reads."""
    names = [element.value] if isinstance(element.value, str) else list(element.value or ())
    value = "\\".join(names).encode("latin-1", "replace")
    return RawDataElement(element.tag, "CS", len(value), value, element.file_tell or 0, False, True)
