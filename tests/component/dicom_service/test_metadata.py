"""The JSON of the local DICOM service's metadata, in more detail than `tests/contract` asks for."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from tests.kit.service import (
    EXPLICIT,
    IMPLICIT,
    Sample,
    ServiceClient,
    encoded,
    pixels,
    service,
    values,
)

__all__ = ["service"]


def metadata_of(service: ServiceClient, sample: Sample) -> dict[str, Any]:
    """Return the metadata of one stored sample."""
    (metadata,) = service.get(f"{sample.path}/metadata").json()
    result: dict[str, Any] = metadata
    return result


def test_metadata_of_many_instances_is_one_array(service: ServiceClient) -> None:
    """More instances than are read at a time still make one JSON array."""
    samples = [Sample()]
    samples += [samples[0].sibling() for _ in range(45)]
    response = service.store_parts(*(sample.content for sample in samples))
    assert response.status_code == 200
    assert len(service.get(f"{samples[0].study_path}/metadata").json()) == 46


def test_values_in_the_json_model(service: ServiceClient) -> None:
    """As PS3.18 §F.2 has it: names in character sets, several tags, numbers that JSON has not, and nulls."""
    sample = Sample(
        elements={
            0x00080005: ("CS", b"\\ISO 2022 IR 87"),
            0x00080008: ("CS", b"ORIGINAL\\\\AXIAL"),
            0x00100010: ("PN", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=x"),
            0x00280009: ("AT", struct.pack("<4H", 0x0018, 0x1063, 0x0020, 0x9056)),
            0x00280106: ("SS", struct.pack("<h", -5)),
            0x00189004: ("FD", struct.pack("<2d", 1.5, float("nan"))),
        }
    )
    service.store_samples(sample)
    metadata = metadata_of(service, sample)
    assert metadata["00080005"] == {"vr": "CS", "Value": [None, "ISO 2022 IR 87"]}
    assert metadata["00080008"] == {"vr": "CS", "Value": ["ORIGINAL", None, "AXIAL"]}
    names = {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "x"}
    assert metadata["00100010"] == {"vr": "PN", "Value": [names]}
    assert metadata["00280009"] == {"vr": "AT", "Value": ["00181063", "00209056"]}
    assert metadata["00280106"] == {"vr": "SS", "Value": [-5]}
    assert metadata["00189004"] == {"vr": "FD", "Value": [1.5, "NaN"]}
    assert list(metadata) == sorted(metadata)


def test_bulk_data_and_group_lengths_are_left_out(service: ServiceClient) -> None:
    """No bulk data, unknown VR or group length, in sequences neither."""
    inner = encoded({0x00080104: ("LO", b"kept"), 0x00420011: ("OB", b"bulk")})
    item = struct.pack("<HHL", 0xFFFE, 0xE000, len(inner)) + inner
    sample = Sample(
        elements={
            0x00080000: ("UL", struct.pack("<L", 4)),
            0x00081032: ("SQ", item),
            0x00091001: ("UN", b"unknown"),
            0x00420011: ("OB", b"document"),
            0x7FE00010: ("OB", b"pixels"),
        }
    )
    service.store_samples(sample)
    metadata = metadata_of(service, sample)
    assert not {"00080000", "00091001", "00420011", "7FE00010"} & metadata.keys()
    assert values(metadata, "00081032") == [{"00080104": {"vr": "LO", "Value": ["kept"]}}]


@pytest.mark.parametrize("group", [0x7FE1, 0x8E05])
def test_private_elements_after_the_pixel_data(service: ServiceClient, group: int) -> None:
    """A file with private elements after its pixel data is stored, and its metadata has all of its attributes."""
    private = {group << 16 | 0x0010: ("LO", b"MAKER "), group << 16 | 0x1001: ("LO", b"note")}
    sample = Sample(elements={**pixels(b"abcdef" * 3, frames=3), 0x00280103: ("US", b"\0\0"), **private})
    service.store_samples(sample)
    metadata = metadata_of(service, sample)
    shown = [values(metadata, tag) for tag in ("00280103", f"{group:04X}0010", f"{group:04X}1001")]
    assert shown == [[0], ["MAKER"], ["note"]]


def test_image_attributes_are_in_the_metadata(service: ServiceClient) -> None:
    """The attributes that describe the pixels are there, explicit and implicit VR alike."""
    for syntax in (EXPLICIT, IMPLICIT):
        sample = Sample(elements=pixels(b"abcdef" * 3, frames=3), transfer_syntax=syntax)
        service.store(sample.content)
        metadata = metadata_of(service, sample)
        shown = [values(metadata, tag) for tag in ("00280002", "00280004", "00280008", "00280010", "00280011")]
        assert shown == [[1], ["MONOCHROME2"], [3], [2], [3]]
