"""What is asked of the service for a search that it does not take as it stands."""

from __future__ import annotations

import pytest

from query_api.lookup import Adaptation
from query_api.searching.adaptations import ADAPTATIONS
from query_api.searching.attributes import ALL_FIELDS, Attribute, Level, Scope
from query_api.searching.parameters import read_query
from query_api.searching.planning import Plan, plan_of
from query_api.searching.wildcards import Pattern
from shared.dicomweb import Resource
from shared.dicomweb.search import Kind
from shared.problems import Refused

COMPUTED = {"includefield=00080061", "includefield=00201208"}
EXTENDED = {"00080030": Attribute("00080030", "TM", Level.STUDY)}


def planned(query: str, kind: Kind = "studies", parent: Resource | None = None) -> tuple[Plan, list[Adaptation]]:
    """Return the plan, and what the caller is told."""
    told: list[Adaptation] = []
    scope = Scope(kind, parent or Resource())
    return plan_of(read_query(query.encode(), scope, EXTENDED), scope, 1000, told.append), told


def sent(query: str) -> list[str]:
    """Return the query strings that the service gets, but for what is always asked for."""
    plan, _ = planned(query)
    strings = [step.query.encode().split("&") for step in plan.steps]
    return ["&".join(pair for pair in pairs if pair not in COMPUTED) for pairs in strings]


@pytest.mark.parametrize(
    ("query", "asked", "codes"),
    [
        ("PatientID=P1", ["PatientID=P1"], []),
        ("00100020=P1&StudyDate=20240101-", ["00100020=P1&StudyDate=20240101-"], []),
        ("StudyInstanceUID=1.2,1.3", ["StudyInstanceUID=1.2", "StudyInstanceUID=1.3"], ["list-split"]),
        ("StudyInstanceUID=1.2%5C1.2", ["StudyInstanceUID=1.2"], []),
        ("ModalitiesInStudy=CT,+MR+", ["ModalitiesInStudy=CT", "ModalitiesInStudy=MR"], ["list-split"]),
        (
            "StudyInstanceUID=1,2&ModalitiesInStudy=CT,MR",
            [f"StudyInstanceUID={uid}&ModalitiesInStudy={code}" for uid in (1, 2) for code in ("CT", "MR")],
            ["list-split", "list-split"],
        ),
        ("PatientID=*&StudyTime=10", ["StudyTime=10&includefield=PatientID"], ["star-dropped"]),
        ("PatientName=Doe*", ["PatientName=Doe&fuzzymatching=true"], ["wildcard-by-fuzzymatching"]),
        ("PatientName=Doe*&fuzzymatching=true", ["PatientName=Doe&fuzzymatching=true"], ["wildcard-by-fuzzymatching"]),
        (
            "PatientName=Doe*&StudyDescription=12%22",
            ["StudyDescription=12%22&PatientName=Doe&fuzzymatching=true"],
            ["wildcard-by-fuzzymatching"],
        ),
        ("PatientName=*oe", ["includefield=PatientName"], ["wildcard-by-scan"]),
        ("PatientID=P*&StudyDate=20240101", ["StudyDate=20240101&includefield=PatientID"], ["wildcard-by-scan"]),
        (
            "PatientName=Doe*&ReferringPhysicianName=%22X%22",
            ["ReferringPhysicianName=%22X%22&includefield=PatientName"],
            ["wildcard-by-scan"],
        ),
        ("includefield=Modality", [""], ["includefield-modality"]),
        ("includefield=00080060,00081030", ["includefield=00081030"], ["includefield-modality"]),
        ("includefield=PatientSex,,00091001", ["includefield=PatientSex&includefield=00091001"], []),
        ("includefield=CANARY,NumberOfSeriesRelatedInstances", [""], ["includefield-dropped"]),
        ("limit=5000", [""], ["limit-capped"]),
    ],
)
def test_adaptations(query: str, asked: list[str], codes: list[str]) -> None:
    """What the service takes stays; what it does not is asked in another way, and said."""
    assert sent(query) == asked
    assert [adaptation.code for adaptation in planned(query)[1]] == codes


def test_names_beside_one_with_wildcards_stay_whole() -> None:
    """The service would take them for beginnings, as it does the other's."""
    [step] = planned("PatientName=Doe*&ReferringPhysicianName=House^G")[0].steps
    assert step.patterns == (Pattern("00100010", "Doe*", is_name=True), Pattern("00080090", "House^G", is_name=True))
    assert step.query.filters == {"PatientName": "Doe", "ReferringPhysicianName": "House^G"}
    [fuzzy] = planned("PatientName=Doe*&ReferringPhysicianName=House^G&fuzzymatching=true")[0].steps
    assert fuzzy.patterns == (Pattern("00100010", "Doe*", is_name=True),)


def test_patterns_are_looked_for_in_what_comes_back() -> None:
    """The attribute is asked for, since it is no filter."""
    plan, _ = planned("AccessionNumber=A?1&ModalitiesInStudy=C*,MR")
    assert [step.patterns for step in plan.steps] == [
        (Pattern("00080050", "A?1"), Pattern("00080061", "C*")),
        (Pattern("00080050", "A?1"),),
    ]
    assert [step.query.filters for step in plan.steps] == [{}, {"ModalitiesInStudy": "MR"}]
    assert set(plan.steps[0].query.includefield) == {"AccessionNumber", "00080061", "00201208"}


def test_names_of_fields_are_told_if_they_are_of_dicom() -> None:
    """Anything else goes by its number."""
    _, [told] = planned(
        "includefield=CANARY,00201209,StudyID,RequestAttributesSequence.StudyID&includefield=x,00201200"
    )
    assert told.text == (
        "includefield: item 1, NumberOfSeriesRelatedInstances, RequestAttributesSequence.StudyID, item 5, "
        "NumberOfPatientRelatedStudies cannot be had and is left out"
    )


def test_many_names_are_not_all_told() -> None:
    """A header has its limits, and clients lower ones."""
    _, [told] = planned("includefield=" + ",".join(["x"] * 1000 + ["00201200"] * 1000))
    assert told.text.endswith("item 19, item 20, 981 more cannot be had and is left out")


@pytest.mark.parametrize(
    ("kind", "parent", "levels"),
    [
        ("studies", None, [Level.STUDY]),
        ("series", None, [Level.STUDY, Level.SERIES]),
        ("series", "1.2", [Level.SERIES]),
    ],
)
def test_all_fields_are_named(kind: Kind, parent: str | None, levels: list[Level]) -> None:
    """So that others can stand beside them, and what the service counts by itself does."""
    plan, told = planned("includefield=All,StudyComments", kind, Resource(parent))
    fields = set(plan.steps[0].query.includefield)
    assert fields >= {"StudyComments", *(tag for level in levels for tag in ALL_FIELDS[level])}
    assert fields & {"00201208", "00201209"}
    assert told == []


def test_what_the_standard_wants_is_always_asked_for() -> None:
    """Of studies and series, once."""
    assert planned("includefield=ModalitiesInStudy")[0].steps[0].query.includefield == ("ModalitiesInStudy", "00201208")
    assert planned("", "series")[0].steps[0].query.includefield == ("00201209",)
    assert planned("", "instances")[0].steps[0].query.includefield == ()


def test_what_is_found_out_is_what_was_asked_for() -> None:
    """Not what is asked for without being asked to."""
    assert planned("")[0].found_out == frozenset()
    assert planned("includefield=NumberOfStudyRelatedSeries,Modality")[0].found_out == {"00201206", "00080061"}
    assert planned("includefield=00201209", "series")[0].found_out == {"00201209"}


def test_the_page() -> None:
    """The limit is ours where there is none, and where it is larger."""
    assert (planned("")[0].offset, planned("")[0].limit) == (0, 1000)
    assert planned("limit=5&offset=7")[0].limit == 5
    assert planned("limit=1001")[0].limit == 1000


def test_lists_make_a_bounded_number_of_searches() -> None:
    """Their combinations count."""
    uids = ",".join(f"1.{n}" for n in range(51))
    with pytest.raises(Refused) as refused:
        planned(f"StudyInstanceUID={uids}&ModalitiesInStudy=CT,MR")
    assert refused.value.members["parameter"] == "ModalitiesInStudy"


def test_what_finds_one_study_is_known() -> None:
    """Other UIDs may be in several studies."""
    assert planned("0020000D=1.2,1.3")[0].finds_one
    assert not planned("PatientID=1")[0].finds_one
    assert not planned("StudyInstanceUID=1.2&SeriesInstanceUID=1.3", "series")[0].finds_one


def test_what_the_caller_is_told_fits_into_a_warning() -> None:
    """ASCII, without quotes and backslashes (RFC 7234 §5.5)."""
    for text in ADAPTATIONS.values():
        assert text.isascii()
        assert not set(text) & set('"\\')
