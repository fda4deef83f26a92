"""Search (PS3.18 §10.6): six resources, their attributes, matching, paging and fields (API v2).

Each search is confined to studies of this run: others may be there, and are nobody's business.
"""

from __future__ import annotations

import secrets
import time
from typing import Any

import pytest

from tests.contract.differences import contains, equal, expect
from tests.contract.service import Service
from tests.contract.sources import AZURE, OPEN_SOURCE
from tests.kit.dicomweb_messages import values
from tests.kit.files import FULL, Sample, new_uid

pytestmark = pytest.mark.source(f"{AZURE}, Search")

FUZZY_SECONDS = 60  # how long the index of words may lag
STUDY_DEFAULTS = {"00080020", "00080050", "00080090", "00081030", "00100010", "00100020", "00100030", "0020000D"}
SERIES_DEFAULTS = {"00080060", "00081090", "0020000E", "00400244"}


@pytest.fixture(scope="module")
def one(service: Service) -> Sample:
    """A study of one instance."""
    sample = Sample(elements=FULL)
    service.stored(sample)
    return sample


@pytest.fixture(scope="module")
def three(service: Service) -> Sample:
    """A study of two series, of CT with two instances and of SR with one."""
    first = Sample(elements=FULL)
    report = first.sibling(series=new_uid(), elements={**FULL, 0x00080060: ("CS", b"SR")})
    service.stored(first, first.sibling(elements=FULL), report)
    return first


@pytest.mark.parametrize(
    ("path", "tags"),
    [
        ("/studies?StudyInstanceUID={0.study}", STUDY_DEFAULTS),
        ("/series?StudyInstanceUID={0.study}", STUDY_DEFAULTS | SERIES_DEFAULTS),
        ("/instances?StudyInstanceUID={0.study}", STUDY_DEFAULTS | SERIES_DEFAULTS | {"00080018"}),
        ("{0.study_path}/series", SERIES_DEFAULTS | {"0020000D"}),
        ("{0.study_path}/instances", SERIES_DEFAULTS | {"0020000D", "00080018"}),
        ("{0.series_path}/instances", {"0020000D", "0020000E", "00080018"}),
    ],
)
def test_default_fields(service: Service, one: Sample, path: str, tags: set[str]) -> None:
    """The fields of v2: the defaults of the levels that a resource spans, and the UIDs of its path."""
    (found,) = service.search(path.format(one))
    equal("fields", sorted(found), sorted(tags))


def test_absent_attributes(service: Service) -> None:
    """What a study has no value for is left out."""
    sample = Sample()
    service.stored(sample)
    (found,) = service.search(sample.search_path())
    equal("fields", sorted(found), ["00080020", "00100010", "00100020", "0020000D"])


@pytest.mark.parametrize(
    "match",
    [
        "PatientID=Pat-1",
        "PatientBirthDate=19700315",
        "AccessionNumber=ACC-1",
        "StudyDate=20240102",
        "StudyDescription=Head without contrast",
        "ModalitiesInStudy=CT",
        "00080061=CT",
        "PatientName=Müller^Änne",
        "PatientID=Pat-1&AccessionNumber=ACC-1&StudyDate=20240101-20240131",
        pytest.param("PatientID=PAT-1", marks=pytest.mark.source(f"{OPEN_SOURCE}: case is ignored")),
        pytest.param("00081030=HEAD WITHOUT CONTRAST", marks=pytest.mark.source(f"{OPEN_SOURCE}: case is ignored")),
        pytest.param("PatientID=Pat-1%20%20", marks=pytest.mark.source(f"{OPEN_SOURCE}: trailing blanks are ignored")),
        pytest.param("PatientName=MULLER^ANNE", marks=pytest.mark.source(f"{OPEN_SOURCE}: accents are, in names")),
        pytest.param("00100010=Muller^Anne", marks=pytest.mark.source(f"{OPEN_SOURCE}: accents are, in names")),
        pytest.param("ReferringPhysicianName=house^gregory", marks=pytest.mark.source(OPEN_SOURCE)),
    ],
)
def test_matches(service: Service, one: Sample, match: str) -> None:
    """A value matches exactly, but for case and, in names, accents."""
    equal("studies found", len(service.search(one.search_path(match))), 1)


@pytest.mark.parametrize(
    "match",
    [
        "PatientID=Pat-2",
        "StudyDate=20240103",
        "ModalitiesInStudy=MR",
        pytest.param("ModalitiesInStudy=CT\\MR", marks=pytest.mark.source(f"{OPEN_SOURCE}: no lists")),
        pytest.param("PatientName=M*", marks=pytest.mark.source(f"{OPEN_SOURCE}: no wildcards")),
        pytest.param("PatientID=Pat-?", marks=pytest.mark.source(f"{OPEN_SOURCE}: no wildcards")),
        pytest.param("PatientID=*", marks=pytest.mark.source(f"{OPEN_SOURCE}: no wildcards")),
        pytest.param("PatientID=Pát-1", marks=pytest.mark.source(f"{OPEN_SOURCE}: accents count outside names")),
        pytest.param("StudyDescription=Head", marks=pytest.mark.source(f"{OPEN_SOURCE}: whole values")),
    ],
)
def test_does_not_match(service: Service, one: Sample, match: str) -> None:
    """No match is 204 without a body; wildcards are taken literally."""
    equal("body", expect(service.get(one.search_path(match)), 204).content, b"")


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
def test_date_ranges(service: Service, one: Sample, dates: str, found: int) -> None:
    """Ranges include their ends and may be open at one side."""
    equal("studies found", len(service.search(one.search_path(f"StudyDate={dates}"))), found)


def fuzzily_found(service: Service, query: str) -> int:
    """Return how many studies a fuzzy search finds, once it finds any or the index has had its time."""
    deadline = time.monotonic() + FUZZY_SECONDS
    while not (found := len(service.search(f"{query}&fuzzymatching=true"))) and time.monotonic() < deadline:
        time.sleep(2)
    return found


@pytest.mark.parametrize(
    "match",
    [
        "PatientName=mul",
        "PatientName=ann",
        "ReferringPhysicianName=greg",
        pytest.param("PatientName=mul ann", marks=pytest.mark.source(f"{OPEN_SOURCE}: consecutive words")),
    ],
)
def test_fuzzy_matching(service: Service, one: Sample, match: str) -> None:
    """With fuzzymatching any word of a name may begin with the value, some time after the store."""
    equal("studies found", fuzzily_found(service, one.search_path(match)), 1)


@pytest.mark.parametrize(
    "match",
    [
        "PatientName=nne",
        "PatientID=Pat",
        pytest.param("PatientName=ann mul", marks=pytest.mark.source(f"{OPEN_SOURCE}: consecutive words")),
    ],
)
def test_no_fuzzy_match(service: Service, one: Sample, match: str) -> None:
    """Neither the end of a word matches, nor words in another order, nor what is no name, once the study is found."""
    equal("studies found by the beginning of a name", fuzzily_found(service, one.search_path("PatientName=mul")), 1)
    expect(service.get(one.search_path(f"{match}&fuzzymatching=true")), 204)


def test_fuzzy_matching_is_asked_for(service: Service, one: Sample) -> None:
    """Without fuzzymatching, or with false, the beginning of a word does not match."""
    expect(service.get(one.search_path("ReferringPhysicianName=greg")), 204)
    expect(service.get(one.search_path("ReferringPhysicianName=greg&fuzzymatching=false")), 204)


@pytest.mark.parametrize("path", ["/series", "/instances", "{0.study_path}/series", "{0.study_path}/instances"])
def test_attributes_of_series(service: Service, one: Sample, path: str) -> None:
    """Attributes of the series match where a resource has series below its path."""
    query = (
        f"SeriesInstanceUID={one.series}&Modality=CT&PerformedProcedureStepStartDate=20240101-20240131"
        "&ManufacturerModelName=Scanner 3000"
    )
    equal("found", len(service.search(f"{path.format(one)}?{query}")), 1)


@pytest.mark.parametrize("path", ["/instances", "{0.study_path}/instances", "{0.series_path}/instances"])
def test_attributes_of_instances(service: Service, one: Sample, path: str) -> None:
    """SOPInstanceUID matches where a resource has instances below its path."""
    equal("found", len(service.search(f"{path.format(one)}?SOPInstanceUID={one.sop}")), 1)


def test_series_of_a_study(service: Service, three: Sample) -> None:
    """Each series is found once, the study's instances all."""
    equal("series", len(service.search(f"{three.study_path}/series")), 2)
    equal("instances", len(service.search(f"{three.study_path}/instances")), 3)
    equal("instances of a series", len(service.search(f"{three.series_path}/instances")), 2)


def test_modality_of_any_series(service: Service, three: Sample) -> None:
    """ModalitiesInStudy matches if one series has the modality, and shows those of all."""
    (found,) = service.search(three.search_path("ModalitiesInStudy=SR"))
    equal("modalities", sorted(values(found, "00080061")), ["CT", "SR"])


def test_computed_fields(service: Service, three: Sample) -> None:
    """The numbers of instances and the modalities are computed where they are asked for."""
    (study,) = service.search(three.search_path("includefield=NumberOfStudyRelatedInstances,ModalitiesInStudy"))
    equal("instances of the study", values(study, "00201208"), [3])
    equal("modalities", sorted(values(study, "00080061")), ["CT", "SR"])
    found = service.search(f"{three.study_path}/series?includefield=NumberOfSeriesRelatedInstances")
    equal("instances of the series", sorted(values(series, "00201209")[0] for series in found), [1, 2])


@pytest.mark.source(OPEN_SOURCE)
def test_included_fields(service: Service) -> None:
    """What is not indexed, private attributes too, is read from the newest instance; what is absent is left out."""
    first = Sample(elements={0x00100040: ("CS", b"M"), 0x00091001: ("LO", b"old")})
    service.stored(first, first.sibling(elements={0x00100040: ("CS", b"F"), 0x00091001: ("LO", b"new")}))
    (found,) = service.search(first.search_path("includefield=PatientSex,00091001&includefield=00204000"))
    equal("PatientSex, private", (values(found, "00100040"), values(found, "00091001")), (["F"], ["new"]))
    equal("ImageComments", found.get("00204000"), None)


def test_include_all(service: Service, one: Sample) -> None:
    """`includefield=all` adds what is not indexed."""
    (found,) = service.search(f"/instances?StudyInstanceUID={one.study}&includefield=all")
    contains("fields", found, "00100040", "00200011", "00200013", "00080060")


@pytest.mark.source(f"{OPEN_SOURCE}'s source")
def test_all_lacks_the_model(service: Service, one: Sample) -> None:
    """ManufacturerModelName is by an oddity not in `includefield=all`, but shown where it is searched for."""
    (found,) = service.search(f"/instances?StudyInstanceUID={one.study}&includefield=all")
    equal("ManufacturerModelName", found.get("00081090"), None)
    (found,) = service.search(f"{one.study_path}/series?includefield=ALL&ManufacturerModelName=Scanner 3000")
    equal("ManufacturerModelName once searched for", values(found, "00081090"), ["Scanner 3000"])


@pytest.mark.source(OPEN_SOURCE)
def test_encoded_comma(service: Service, one: Sample) -> None:
    """The query of a well-known viewer: an encoded comma in includefield, and a date range."""
    query = "limit=101&offset=0&fuzzymatching=false&includefield=00081030%2C00080060&StudyDate=20240101-20240131"
    (found,) = service.search(one.search_path(query))
    contains("fields", found, "00080060")


@pytest.fixture(scope="module")
def archive(service: Service) -> tuple[str, list[Sample]]:
    """A search that finds five studies, and they, in the order of their creation."""
    patient = f"contract-{secrets.token_hex(6)}"
    samples = [Sample(elements={0x00100020: ("LO", patient.encode())}) for _ in range(5)]
    service.stored(*samples)
    return f"PatientID={patient}", samples


@pytest.mark.source(OPEN_SOURCE)
@pytest.mark.parametrize("level", ["studies", "series", "instances"])
def test_pages(service: Service, archive: tuple[str, list[Sample]], level: str) -> None:
    """Pages follow each other without gap or overlap, the newest first; past the end is 204."""
    query, samples = archive
    pages = [service.search(f"/{level}?{query}&limit=2&offset={offset}") for offset in (0, 2, 4)]
    expected = [samples[3:], samples[1:3], samples[:1]]
    equal("studies by page", [studies(page) for page in pages], [sorted(s.study for s in page) for page in expected])
    expect(service.get(f"/{level}?{query}&offset=5"), 204)


def test_large_pages(service: Service) -> None:
    """A page may have 200 results; what is left is on the next."""
    first = Sample()
    samples = [first, *(first.sibling() for _ in range(204))]
    expect(service.store_parts(*samples), 200)
    pages = [service.search(f"{first.study_path}/instances?limit=200&offset={offset}") for offset in (0, 200)]
    equal("results by page", [len(page) for page in pages], [200, 5])
    found = {values(instance, "00080018")[0] for page in pages for instance in page}
    equal("each is found", found == {sample.sop for sample in samples}, True)


@pytest.mark.source(OPEN_SOURCE)
def test_later_instances(service: Service) -> None:
    """A later instance does not move its study to the front."""
    patient = f"contract-{secrets.token_hex(6)}"
    elements = {0x00100020: ("LO", patient.encode())}
    old, new = Sample(elements=dict(elements)), Sample(elements=dict(elements))
    service.stored(old, new, old.sibling(elements=dict(elements)))
    equal("the first study", studies(service.search(f"/studies?PatientID={patient}&limit=1")), [new.study])


def studies(results: list[dict[str, Any]]) -> list[str]:
    """Return the study of each result, sorted."""
    return sorted(values(found, "0020000D")[0] for found in results)
