"""The local DICOM service searches: what of it `tests/contract` does not see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.files import FULL
from tests.kit.service import Sample, ServiceClient, running, service, values

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


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("mul", 1),
        ("Änn", 1),
        ("ann", 1),
        ("Müller Än", 1),
        ("mü^än", 1),
        ("än mü", 0),
        ("nne", 0),
        ("mul x", 0),
        ("anne x y", 1),
        ("mu*", 0),
    ],
)
def test_fuzzy_matching(service: ServiceClient, one: Sample, words: str, found: int) -> None:
    """With fuzzymatching, consecutive words begin with the given ones; carets and equals signs part words."""
    assert len(service.search(one.search_path(f"PatientName={words}&FuzzyMatching=TRUE"))) == found


class TestPaging:
    """Pages over a service with a known content."""

    @pytest.fixture(scope="class")
    @staticmethod
    def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServiceClient, list[Sample]]]:
        """A service with 210 studies, in the order of their creation."""
        samples = [Sample() for _ in range(210)]
        folder: Path = tmp_path_factory.mktemp("archive")
        with running(folder) as root:
            client = ServiceClient(root)
            with client.http:
                assert client.store_parts(*(sample.content for sample in samples)).status_code == 200
                yield client, samples

    def test_limits(self, archive: tuple[ServiceClient, list[Sample]]) -> None:
        """100 results unless told otherwise, at most 200."""
        client, _ = archive
        sizes = [len(client.search(f"/studies{query}")) for query in ("", "?limit=1", "?LIMIT=200")]
        assert sizes == [100, 1, 200]

    def test_newest_first_over_pages(self, archive: tuple[ServiceClient, list[Sample]]) -> None:
        """Pages follow each other without gap or overlap, the newest first; past the end is 204."""
        client, samples = archive
        newest_first = [sample.study for sample in reversed(samples)]
        for level in ("studies", "series", "instances"):
            pages = [client.search(f"/{level}?limit=80&offset={offset}") for offset in (0, 80, 160)]
            assert [values(found, "0020000D")[0] for page in pages for found in page] == newest_first
            assert client.get(f"/{level}?offset=210").status_code == 204

    def test_later_instance_does_not_move_a_study(self, archive: tuple[ServiceClient, list[Sample]]) -> None:
        """A study stays where it was first stored, while its new instance is the newest one."""
        client, samples = archive
        late = samples[0].sibling()
        client.store_samples(late)
        assert values(client.search("/studies?limit=1")[0], "0020000D") == [samples[-1].study]
        assert values(client.search("/instances?limit=1")[0], "00080018") == [late.sop]
