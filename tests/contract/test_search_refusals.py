"""What Search (PS3.18 §10.6) refuses: queries, attributes of other levels, media types and UIDs."""

from __future__ import annotations

import pytest

from tests.contract.differences import equal, expect
from tests.contract.service import Service
from tests.contract.sources import AZURE, OPEN_SOURCE
from tests.kit.files import Sample, new_uid

pytestmark = pytest.mark.source(f"{AZURE}, Search")


@pytest.fixture(scope="module")
def one() -> Sample:
    """The names of a study; it need not be there to be refused."""
    return Sample()


@pytest.mark.source(OPEN_SOURCE)
@pytest.mark.disputed("Azure docs say that all wins over the others")
@pytest.mark.parametrize("query", ["includefield=all,PatientSex", "includefield=all&includefield=PatientSex"])
def test_all_is_alone(service: Service, query: str) -> None:
    """`includefield=all` beside others is 400."""
    expect(service.get(f"/studies?{query}"), 400)


@pytest.mark.source(OPEN_SOURCE)
@pytest.mark.parametrize(
    "query",
    [
        # not searchable at this level, or not at all
        "PatientSex=F",
        "Modality=CT",
        "SOPInstanceUID=1.2",
        # no keyword or tag of the service's forms
        "nonsense=1",
        "=1",
        "patientid=Pat-1",
        "(0010,0020)=Pat-1",
        "RequestAttributesSequence.ScheduledProcedureStepID=1",
        "00400275.00400009=1",
        # the same attribute twice
        "PatientID=a&PatientID=b",
        "PatientID=a&00100020=a",
        # blank values
        "PatientID=",
        "PatientID=%20",
        "PatientID=%00",
        "PatientID=%20%00%00",
        "ModalitiesInStudy=%00",
        "PatientName=%00&fuzzymatching=true",
        # values out of range
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
        # no fields
        "includefield=Nonsense",
        "includefield=0008103",
        "includefield=00081032.00080100",
        "includefield=",
    ],
)
def test_bad_queries(service: Service, query: str) -> None:
    """What is not understood, or not searchable at that level, is 400 in plain text."""
    response = expect(service.get(f"/studies?{query}"), 400)
    equal("media type", response.headers["Content-Type"].partition(";")[0], "text/plain")


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/series", "SOPInstanceUID=1.2"),
        ("{0.study_path}/series", "PatientID=Pat-1"),
        ("{0.study_path}/instances", "StudyDate=20240102"),
        ("{0.series_path}/instances", "Modality=CT"),
    ],
)
def test_attributes_of_other_levels(service: Service, one: Sample, path: str, query: str) -> None:
    """Attributes below the resource, and those of the levels that its path fixes, are 400."""
    expect(service.get(f"{path.format(one)}?{query}"), 400)


@pytest.mark.parametrize("accept", [None, "application/dicom"])
def test_accept_is_needed(service: Service, one: Sample, accept: str | None) -> None:
    """Without an Accept that takes DICOM JSON a search is 406."""
    expect(service.get(f"/studies?StudyInstanceUID={one.study}", accept), 406)


@pytest.mark.source(OPEN_SOURCE)
def test_uids_that_lead_nowhere(service: Service) -> None:
    """A malformed UID is 400 in the path and 204 as a filter; a study that is not there is 204."""
    expect(service.get("/studies/1.x|/series"), 400)
    expect(service.get(f"/studies/1.2/series/{'1' * 65}/instances"), 400)
    expect(service.get("/studies?StudyInstanceUID=1.x"), 204)
    expect(service.get(f"/studies/{new_uid()}/series"), 204)
