"""The local DICOM service searches: six resources, their attributes, matching, paging and fields (API v2)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.component.dicom_service_support import Sample, ServiceClient, new_uid, running, service, values

__all__ = ["service"]

STUDY_DEFAULTS = {"00080020", "00080050", "00080090", "00081030", "00100010", "00100020", "00100030", "0020000D"}
SERIES_DEFAULTS = {"00080060", "00081090", "0020000E", "00400244"}
FULL = {
    0x00080050: ("SH", b"ACC-1"),
    0x00080090: ("PN", b"House^Gregory"),
    0x00081030: ("LO", b"Head without contrast"),
    0x00081090: ("LO", b"Scanner 3000"),
    0x00100010: ("PN", "Müller^Änne=x^y".encode("latin-1")),
    0x00100020: ("LO", b"Pat-1"),
    0x00100030: ("DA", b"19700315"),
    0x00100040: ("CS", b"F"),
    0x00200013: ("IS", b"4"),
    0x00400244: ("DA", b"20240103"),
    0x00080005: ("CS", b"ISO_IR 100"),
    0x00200011: ("IS", b"2"),
}


def full(**options: Any) -> Sample:
    """Return a sample with a value for every indexed attribute."""
    elements = {**FULL, 0x00080060: ("CS", b"CT"), **options.pop("elements", {})}
    return Sample(elements=elements, **options)


@pytest.fixture(scope="module")
def one(service: ServiceClient) -> Sample:
    """A stored study of one instance."""
    sample = full()
    service.store_samples(sample)
    return sample


def of(sample: Sample, query: str = "") -> str:
    """Return a search for the sample's study and more."""
    return f"/studies?StudyInstanceUID={sample.study}" + (f"&{query}" if query else "")


def test_default_fields_of_each_resource(service: ServiceClient, one: Sample) -> None:
    """The defaults of v2 by level, with those of the levels that the resource spans and the UIDs of its path."""
    by_study, study, series = f"StudyInstanceUID={one.study}", {"0020000D"}, {"0020000E"}
    expected = {
        f"/studies?{by_study}": STUDY_DEFAULTS,
        f"/series?{by_study}": STUDY_DEFAULTS | SERIES_DEFAULTS,
        f"/instances?{by_study}": STUDY_DEFAULTS | SERIES_DEFAULTS | {"00080018"},
        f"{one.study_path}/series": SERIES_DEFAULTS | study,
        f"{one.study_path}/instances": SERIES_DEFAULTS | study | {"00080018"},
        f"{one.series_path}/instances": study | series | {"00080018"},
    }
    for path, tags in expected.items():
        (found,) = service.search(path)
        assert found.keys() == tags, path
        assert list(found) == sorted(found)


def test_absent_attributes_are_left_out(service: ServiceClient) -> None:
    """What a study has no value for does not show, not even as null."""
    sample = Sample()
    service.store_samples(sample)
    (found,) = service.search(of(sample))
    assert found.keys() == {"00080020", "00100010", "00100020", "0020000D"}


def test_no_modalities(service: ServiceClient) -> None:
    """A study whose series have no modality shows none."""
    sample = Sample(elements={0x00080060: None})
    service.store_samples(sample)
    (found,) = service.search(of(sample, "includefield=ModalitiesInStudy"))
    assert "00080061" not in found


def test_attributes_of_another_vr_are_not_indexed(service: ServiceClient) -> None:
    """An attribute that a file gives another VR than the dictionary is in the metadata, but not found."""
    sample = full(elements={0x00080020: ("LO", b"in spring"), 0x00081030: ("SH", b"Head")})
    service.store_samples(sample)
    (metadata,) = service.get(f"{sample.path}/metadata").json()
    assert (values(metadata, "00080020"), values(metadata, "00081030")) == (["in spring"], ["Head"])
    (found,) = service.search(of(sample))
    assert not {"00080020", "00081030"} & found.keys()
    assert service.search(of(sample, "StudyDescription=Head")) == []


@pytest.mark.parametrize(
    "match",
    [
        "PatientName=müller^änne=x^y",
        "PatientName=MULLER^ANNE=X^Y",
        "00100010=Muller^Anne=x^y",
        "PatientID=PAT-1",
        "PatientID=Pat-1%20%20",
        "PatientBirthDate=19700315",
        "AccessionNumber=acc-1",
        "ReferringPhysicianName=house^gregory",
        "StudyDate=20240102",
        "00081030=HEAD WITHOUT CONTRAST",
        "ModalitiesInStudy=ct",
        "00080061=CT",
        "PatientID=Pat-1&AccessionNumber=ACC-1&StudyDate=20240101-20240131",
    ],
)
def test_exact_matching_finds(service: ServiceClient, one: Sample, match: str) -> None:
    """Matching ignores case and trailing blanks; of names it ignores accents too; keys are keywords or tags."""
    assert len(service.search(of(one, match))) == 1


@pytest.mark.parametrize(
    "match",
    [
        "PatientName=Müller",
        "PatientName=M*",
        "PatientID=Pat-?",
        "PatientID=*",
        "PatientID=Pát-1",
        "StudyDescription=Head",
        "ModalitiesInStudy=MR",
        "ModalitiesInStudy=CT\\MR",
        "StudyDate=20240103",
    ],
)
def test_exact_matching_does_not_find(service: ServiceClient, one: Sample, match: str) -> None:
    """Wildcards and lists are taken literally, parts do not match, and accents count outside names: 204."""
    response = service.get(of(one, match))
    assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize(
    ("dates", "found"),
    [
        ("20240102-20240102", 1),
        ("20240101-", 1),
        ("-20240102", 1),
        ("20240103-", 0),
        ("-20240101", 0),
        ("20231201-20231231", 0),
    ],
)
def test_date_ranges(service: ServiceClient, one: Sample, dates: str, found: int) -> None:
    """Ranges include their ends and may be open at one side."""
    assert len(service.search(of(one, f"StudyDate={dates}"))) == found


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
    assert len(service.search(of(one, f"PatientName={words}&FuzzyMatching=TRUE"))) == found


def test_fuzzy_matching_concerns_names_only(service: ServiceClient, one: Sample) -> None:
    """Other attributes are still matched exactly."""
    assert len(service.search(of(one, "ReferringPhysicianName=greg&fuzzymatching=true"))) == 1
    assert service.search(of(one, "PatientID=Pat&fuzzymatching=true")) == []
    assert service.search(of(one, "ReferringPhysicianName=greg&fuzzymatching=false")) == []


@pytest.mark.parametrize(
    "query",
    [
        "PatientSex=F",
        "Modality=CT",
        "SOPInstanceUID=1.2",
        "patientid=Pat-1",
        "(0010,0020)=Pat-1",
        "RequestAttributesSequence.ScheduledProcedureStepID=1",
        "00400275.00400009=1",
        "nonsense=1",
        "=1",
        "PatientID=",
        "PatientID=%00",
        "PatientID=%20%00%00",
        "ModalitiesInStudy=%00",
        "PatientName=%00&fuzzymatching=true",
        "PatientID=%20",
        "PatientID=a&PatientID=b",
        "PatientID=a&00100020=a",
        "limit=0",
        "limit=201",
        "limit=-1",
        "limit=ten",
        "limit=",
        "offset=-1",
        "offset=x",
        "fuzzymatching=yes",
        "PatientName=a%22b&fuzzymatching=true",
        "StudyDate=2024",
        "StudyDate=20240231",
        "StudyDate=2024-01-02",
        "StudyDate=-",
        "StudyDate=20240103-20240102",
        "StudyDate=20240102-x",
        "PatientID=%3Cscript",
        "PatientID=<script",
        "includefield=all&includefield=PatientSex",
        "includefield=all,PatientSex",
        "includefield=Nonsense",
        "includefield=0008103",
        "includefield=00081032.00080100",
        "includefield=",
    ],
)
def test_bad_queries(service: ServiceClient, query: str) -> None:
    """What is not understood or not searchable at that level is 400, in a sentence that quotes no value."""
    response = service.get(f"/studies?{query}")
    assert response.status_code == 400
    assert response.headers["Content-Type"].startswith("text/plain")
    assert "script" not in response.text


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        ("/series", "SOPInstanceUID=1.2"),
        ("{0.study_path}/series", "PatientID=Pat-1"),
        ("{0.study_path}/instances", "StudyDate=20240102"),
        ("{0.series_path}/instances", "Modality=CT"),
    ],
)
def test_attributes_of_other_levels_are_refused(service: ServiceClient, one: Sample, path: str, refused: str) -> None:
    """Each resource knows the attributes of the levels that it spans, below those that its path fixes."""
    assert service.get(f"{path.format(one)}?{refused}").status_code == 400


def test_attributes_of_each_level_are_searchable(service: ServiceClient, one: Sample) -> None:
    """Series and instance attributes match at the resources that know them."""
    series_match = (
        f"SeriesInstanceUID={one.series}&Modality=ct&PerformedProcedureStepStartDate=20240101-20240131"
        "&ManufacturerModelName=scanner 3000"
    )
    for path in ("/series", "/instances", f"{one.study_path}/series", f"{one.study_path}/instances"):
        assert len(service.search(f"{path}?{series_match}")) == 1
    for path in ("/instances", f"{one.study_path}/instances", f"{one.series_path}/instances"):
        assert len(service.search(f"{path}?SOPInstanceUID={one.sop}")) == 1
    assert len(service.search(f"/instances?{series_match}&PatientID=Pat-1&SOPInstanceUID={one.sop}")) == 1


def test_modality_of_any_series(service: ServiceClient) -> None:
    """ModalitiesInStudy matches if one of the study's series has the modality, and shows all of them."""
    first = full()
    second = full(study=first.study, elements={0x00080060: ("CS", b"SR")})
    service.store_samples(first, second)
    (found,) = service.search(of(first, "ModalitiesInStudy=SR"))
    assert sorted(values(found, "00080061")) == ["CT", "SR"]
    assert len(service.search(f"/series?StudyInstanceUID={first.study}&ModalitiesInStudy=SR")) == 2


def test_computed_fields(service: ServiceClient) -> None:
    """The numbers of instances and the modalities are counted where they are asked for."""
    first = full()
    service.store_samples(first, full(study=first.study, series=first.series), full(study=first.study))
    fields = "includefield=NumberOfStudyRelatedInstances,NumberOfSeriesRelatedInstances&includefield=00080061"
    (study,) = service.search(of(first, fields))
    assert (values(study, "00201208"), values(study, "00080061")) == ([3], ["CT"])
    assert "00201209" not in study
    found = service.search(f"{first.study_path}/series?includefield=NumberOfSeriesRelatedInstances")
    assert sorted(values(series, "00201209")[0] for series in found) == [1, 2]


def test_included_fields_come_from_the_newest_instance(service: ServiceClient) -> None:
    """Attributes outside the index, private ones included, are read from the newest instance."""
    first = full(elements={0x00100040: ("CS", b"M"), 0x00091001: ("LO", b"old")})
    second = first.sibling(elements={**FULL, 0x00100040: ("CS", b"F"), 0x00091001: ("LO", b"new")})
    service.store_samples(first, second)
    (found,) = service.search(of(first, "includefield=PatientSex,00091001&includefield=00204000"))
    assert (values(found, "00100040"), values(found, "00091001")) == (["F"], ["new"])
    assert "00204000" not in found


def test_include_all(service: ServiceClient, one: Sample) -> None:
    """includefield=all is its own set: with PatientSex, and by an oddity without ManufacturerModelName."""
    (found,) = service.search(f"/instances?StudyInstanceUID={one.study}&includefield=all")
    assert values(found, "00100040") == ["F"]
    assert values(found, "00200013") == [4]
    assert values(found, "00200011") == [2]
    assert "00081090" not in found
    (by_model,) = service.search(f"{one.study_path}/series?includefield=ALL&ManufacturerModelName=Scanner 3000")
    assert values(by_model, "00081090") == ["Scanner 3000"]


def test_encoded_comma_and_range(service: ServiceClient, one: Sample) -> None:
    """The query of a well-known viewer: an encoded comma in includefield, and a date range."""
    query = "limit=101&offset=0&fuzzymatching=false&includefield=00081030%2C00080060&StudyDate=20240101-20240131"
    (found,) = service.search(of(one, query))
    assert values(found, "00080060") == ["CT"]


@pytest.mark.parametrize("accept", [None, "text/html", "application/dicom"])
def test_accept_is_needed(service: ServiceClient, accept: str | None) -> None:
    """Without an Accept that takes DICOM JSON a search is 406."""
    assert service.get("/studies", accept).status_code == 406


def test_uids_in_path_and_filter(service: ServiceClient) -> None:
    """A malformed UID is 400 in the path but only matches nothing as a filter; an unknown study is 204."""
    assert service.get("/studies/1.x/series").status_code == 400
    assert service.get(f"/studies/1.2/series/{'1' * 65}/instances").status_code == 400
    assert service.get("/studies?StudyInstanceUID=1.x").status_code == 204
    assert service.get(f"/studies/{new_uid()}/series").status_code == 204


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
