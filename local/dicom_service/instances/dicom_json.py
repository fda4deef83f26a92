"""A dataset as pydicom read it → the DICOM JSON Model (PS3.18 §F.2), with the rules that its elements break.

Bulk data and group lengths are left out, as the service does. So are the private attributes of implicit VR files:
their VR is not known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydicom import Dataset, charset
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag

from local.dicom_service.instances import element_values
from local.dicom_service.instances.element_values import BULK_VRS, Encoding
from local.dicom_service.instances.metered import CutShort, MeteredFile, TooMuch
from local.dicom_service.instances.part10 import NotPart10, Part10
from local.dicom_service.instances.raw_elements import (
    SPECIFIC_CHARACTER_SET,
    elements_of,
    is_signed,
    raw_element,
    sequence_items,
    value_bytes,
    vr_of,
)

Attributes = dict[str, Any]


@dataclass
class JSONDataset:
    """The attributes of a dataset, and the broken rules by tag: its own and those inside its sequences."""

    attributes: Attributes
    broken: dict[str, str] = field(default_factory=dict)
    broken_inside: dict[str, str] = field(default_factory=dict)


def convert(instance: Part10) -> JSONDataset:
    """Convert the dataset of an open file, sequences included.

    Raises:
        NotPart10: a sequence cannot be read, or there is too much to convert.
    """
    result = JSONDataset({})
    converter = _Converter(instance.metered, result.broken_inside)
    try:
        result.attributes = converter.convert(instance.dataset, [charset.default_encoding], result.broken)
    except (CutShort, TooMuch):
        raise NotPart10 from None
    return result


class _Converter:
    def __init__(self, file: MeteredFile, broken_inside: dict[str, str]) -> None:
        self._file = file
        self._broken_inside = broken_inside

    def convert(self, dataset: Dataset, inherited: list[str], broken: dict[str, str]) -> Attributes:
        character_sets = _character_sets(dataset) or inherited
        attributes: Attributes = {}
        elements = elements_of(dataset)
        signed = is_signed(dataset)
        for tag, element in elements:
            vr = vr_of(element, signed)
            if vr == "SQ":
                attributes[f"{tag:08X}"] = self._sequence(self._items(dataset, tag), character_sets)
            elif vr not in BULK_VRS and tag.element != 0 and isinstance(element, RawDataElement):
                values = self._values(element, vr, character_sets)
                attributes[f"{tag:08X}"] = {"vr": vr, "Value": values.json} if values.json else {"vr": vr}
                if values.broken_rule is not None:
                    broken.setdefault(f"{tag:08X}", values.broken_rule)
        return attributes

    def _sequence(self, items: list[Dataset], character_sets: list[str]) -> Attributes:
        converted = [self.convert(item, character_sets, self._broken_inside) for item in items]
        return {"vr": "SQ", "Value": converted} if converted else {"vr": "SQ"}

    def _values(self, element: RawDataElement, vr: str, character_sets: list[str]) -> element_values.Values:
        encoding = Encoding(character_sets, element.is_little_endian)
        data = value_bytes(element, self._file)
        self._file.count_values(element_values.number_of_values(vr, data))
        return element_values.read(vr, data, encoding)

    def _items(self, dataset: Dataset, tag: BaseTag) -> list[Dataset]:
        try:
            return sequence_items(dataset, tag, self._file)
        except Exception:  # pydicom raises what its parsing happens to trip over
            raise NotPart10 from None


def _character_sets(dataset: Dataset) -> list[str]:
    element = raw_element(dataset, SPECIFIC_CHARACTER_SET)
    if element is None or not element.value:
        return []
    names = element.value.decode("latin-1").strip("\0 ").split("\\")
    return charset.convert_encodings([name.strip() for name in names])
