"""Elements as pydicom found them in a file: bytes, before any conversion."""

from __future__ import annotations

from typing import cast

from pydicom import Dataset
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.tag import BaseTag


def element_at(dataset: Dataset, tag: BaseTag) -> RawDataElement | DataElement | None:
    """Return an element as it is: raw, or a sequence that pydicom had to read to find its end."""
    # pydicom's annotations leave the raw kind out.
    return cast("RawDataElement | DataElement | None", dataset.get_item(tag, keep_deferred=True))


def raw_element(dataset: Dataset, tag: BaseTag) -> RawDataElement | None:
    """Return an element's bytes, None where there is no such element or it is a sequence."""
    element = element_at(dataset, tag)
    return element if isinstance(element, RawDataElement) else None
