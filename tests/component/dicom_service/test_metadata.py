"""The JSON of the local DICOM service's metadata, in more detail than `tests/contract` asks for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kit.service import (
    Sample,
    ServiceClient,
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


@pytest.mark.parametrize("group", [0x7FE1, 0x8E05])
def test_private_elements_after_the_pixel_data(service: ServiceClient, group: int) -> None:
    """A file with private elements after its pixel data is stored, and its metadata has all of its attributes."""
    private = {group << 16 | 0x0010: ("LO", b"MAKER "), group << 16 | 0x1001: ("LO", b"note")}
    sample = Sample(elements={**pixels(b"abcdef" * 3, frames=3), 0x00280103: ("US", b"\0\0"), **private})
    service.store_samples(sample)
    metadata = metadata_of(service, sample)
    shown = [values(metadata, tag) for tag in ("00280103", f"{group:04X}0010", f"{group:04X}1001")]
    assert shown == [[0], ["MAKER"], ["note"]]
