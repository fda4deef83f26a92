"""The local DICOM service searches: what of it `tests/contract` does not see."""

from __future__ import annotations

import pytest

from tests.kit.files import FULL
from tests.kit.service import Sample, ServiceClient, service, values

__all__ = ["service"]


@pytest.fixture(scope="module")
def one(service: ServiceClient) -> Sample:
    """A stored study of one instance."""
    sample = Sample(elements={**FULL, 0x00100010: ("PN", "Müller^Änne=x^y".encode("latin-1"))})
    service.store_samples(sample)
    return sample


def test_no_modalities(service: ServiceClient) -> None:
    """A study whose series have no modality shows none."""
    sample = Sample(elements={0x00080060: None})
    service.store_samples(sample)
    (found,) = service.search(sample.search_path("includefield=ModalitiesInStudy"))
    assert "00080061" not in found


def test_attributes_of_another_vr_are_not_indexed(service: ServiceClient) -> None:
    """An attribute that a file gives another VR than the dictionary is in the metadata, but not found."""
    sample = Sample(elements={**FULL, 0x00080020: ("LO", b"in spring"), 0x00081030: ("SH", b"Head")})
    service.store_samples(sample)
    (metadata,) = service.get(f"{sample.path}/metadata").json()
    assert (values(metadata, "00080020"), values(metadata, "00081030")) == (["in spring"], ["Head"])
    (found,) = service.search(sample.search_path())
    assert not {"00080020", "00081030"} & found.keys()
    assert service.search(sample.search_path("StudyDescription=Head")) == []
