"""The query string of a search: what is accepted, how the rest is refused, and what the service is asked for."""

from __future__ import annotations

import pytest

from query_api.lookup import Adaptation
from query_api.searching.adaptations import ADAPTATIONS
from query_api.searching.attributes import ALL_FIELDS, Attribute, Level, Scope
from query_api.searching.parameters import Parameters, other_tags, pairs_of, read_query
from query_api.searching.planning import Plan, plan_of
from query_api.searching.wildcards import Pattern
from shared.dicomweb import Resource
from shared.dicomweb.search import Kind
from shared.problems import Refused

STUDIES = Scope("studies", Resource())
IN_STUDY = Resource("1.2")
IN_SERIES = Resource("1.2", "1.3")
EXTENDED = {
    "00080030": Attribute("00080030", "TM", Level.STUDY),
    "00080031": Attribute("00080031", "TM", Level.SERIES),
    "0008002A": Attribute("0008002A", "DT", Level.STUDY),
    "00101010": Attribute("00101010", "AS", Level.STUDY),
    "00101020": Attribute("00101020", "FD", Level.STUDY),
    "00200011": Attribute("00200011", "IS", Level.STUDY),
    "00091001": Attribute("00091001", "LO", Level.STUDY),
}


def asked(query: str, scope: Scope = STUDIES) -> Parameters:
    return read_query(query.encode(), scope, EXTENDED)


def refusal(query: str, scope: Scope = STUDIES) -> dict[str, object]:
    """Return the members of the refusal that a query string gets."""
    with pytest.raises(Refused) as refused:
        asked(query, scope)
    assert (refused.value.status, refused.value.code) == (400, "invalid-parameter")
    return refused.value.members


def test_all_parameters() -> None:
    """Options go by any case, attributes by keyword or tag; the function key is not looked at."""
    parameters = asked(
        "PatientName=Doe%5EJane&0020000d=1.2&LIMIT=5&Offset=7&FuzzyMatching=TRUE&includeField=StudyTime,00081030"
        "&includefield=PatientSex&code=se%00cret&%63ode=%3C&CODE=x&format=Plain"
    )
    assert [(f.name, f.attribute.tag, f.value) for f in parameters.filters] == [
        ("PatientName", "00100010", "Doe^Jane"),
        ("0020000d", "0020000D", "1.2"),
    ]
    assert parameters.includefield == ("StudyTime", "00081030", "PatientSex")
    assert (parameters.limit, parameters.offset, parameters.fuzzymatching, parameters.is_plain) == (5, 7, True, True)


def test_an_empty_query_asks_for_everything() -> None:
    assert asked("") == asked("&&") == Parameters()


ACCEPTED = (
    *("PatientName=M%C3%BCller", "PatientName=Doe+Jane", "PatientName=Doe,+Jane", "PatientID=*", "PatientID=A?*"),
    *("StudyDate=20240229", "StudyDate=20240102-", "StudyDate=-20240102", "StudyDate=20240102-20240102"),
    *("StudyDate=*", "ModalitiesInStudy=CT,MR", "ModalitiesInStudy=CT%5CMR", "ModalitiesInStudy=C*"),
    *("StudyInstanceUID=1.2", "StudyInstanceUID=1.2,1.3", "StudyInstanceUID=1.2%5C1.3", "StudyInstanceUID=*"),
    *("StudyTime=10", "StudyTime=1030-", "StudyTime=101010.5-235960", "AcquisitionDateTime=2024-202406011200"),
    *("PatientAge=045Y", "PatientSize=1.8e0", "SeriesNumber=-3", "00091001=x*", "PatientName=%22&limit=1"),
    *("PatientName=" + "%C3%A4" * 193 + "*", "PatientID=" + "a" * 3000, "PatientID=" + "*" * 3000),
    *("limit=1", "limit=0099", "offset=0", "fuzzymatching=false", "PatientName=*-*&fuzzymatching=true"),
)


@pytest.mark.parametrize("query", ACCEPTED)
def test_accepted_queries(query: str) -> None:
    asked(query)


@pytest.mark.parametrize(
    ("query", "parameter", "why"),
    [
        ("PatientID=", "PatientID", "no value"),
        ("PatientID", "PatientID", "no value"),
        ("PatientID=+%00", "PatientID", "no value"),
        ("00100020=+", "PatientID", "no value"),
        ("limit=", "limit", "whole number"),
        ("includefield=", "includefield", "no value"),
        ("PatientID=A&00100020=B", "PatientID", "more than once"),
        ("PatientID=A&PatientID=A", "PatientID", "more than once"),
        ("limit=1&Limit=2", "limit", "more than once"),
        ("limit=x", "limit", "from 1"),
        ("limit=0", "limit", "from 1"),
        ("limit=-1", "limit", "from 1"),
        ("limit=%D9%A1", "limit", "from 1"),
        ("offset=-1", "offset", "from 0"),
        ("offset=99999999999999999999", "offset", "from 0"),
        ("fuzzymatching=yes", "fuzzymatching", "true or false"),
        ("format=xml", "format", "plain"),
        ("StudyDate=20240230", "StudyDate", "YYYYMMDD"),
        ("StudyDate=2024-01-02", "StudyDate", "range"),
        ("StudyDate=2024*", "StudyDate", "YYYYMMDD"),
        ("StudyDate=-", "StudyDate", "range"),
        ("StudyDate=20240103-20240102", "StudyDate", "earlier"),
        ("StudyDate=20240101-20240102-20240103", "StudyDate", "range"),
        ("StudyDate=%D9%A2%D9%A0240102", "StudyDate", "YYYYMMDD"),
        ("StudyInstanceUID=x", "StudyInstanceUID", "UID"),
        ("StudyInstanceUID=1.2.*", "StudyInstanceUID", "UID"),
        ("StudyInstanceUID=1.2,", "StudyInstanceUID", "UID"),
        ("StudyInstanceUID=" + "1" * 65, "StudyInstanceUID", "64"),
        ("StudyInstanceUID=" + ",".join(map(str, range(101))), "StudyInstanceUID", "100"),
        ("ModalitiesInStudy=CT,,MR", "ModalitiesInStudy", "empty"),
        ("PatientID=A%5CB", "PatientID", "one value"),
        ("PatientID=A%0A", "PatientID", "Control"),
        ("PatientID=A%C2%85B", "PatientID", "Control"),
        ("PatientID=%3Cb", "PatientID", "<"),
        ("PatientName=%22&fuzzymatching=true", "PatientName", '"'),
        ("PatientName=%5E&fuzzymatching=true", "PatientName", "letter"),
        ("PatientName=" + "a" * 194 + "*", "PatientName", "194"),
        ("PatientID=" + "?" * 195, "PatientID", "194"),
        ("StudyDescription=" + "*a" * 97 + "*", "StudyDescription", "194"),
        ("ModalitiesInStudy=CT," + "C" * 194 + "*", "ModalitiesInStudy", "194"),
        ("StudyTime=25", "StudyTime", "time"),
        ("AcquisitionDateTime=20240101120000%2B0100", "AcquisitionDateTime", "date and time"),
        ("AcquisitionDateTime=20241301", "AcquisitionDateTime", "date and time"),
        ("PatientAge=45", "PatientAge", "age"),
        ("PatientAge=04*Y", "PatientAge", "age"),
        ("PatientSize=tall", "PatientSize", "number"),
        ("SeriesNumber=1.5", "SeriesNumber", "whole number"),
        ("Modality=CT", "Modality", "cannot be searched for here"),
        ("SeriesTime=10", "SeriesTime", "cannot be searched for here"),
        ("PatientSex=F", "PatientSex", "cannot be searched for here"),
    ],
)
def test_refused_queries(query: str, parameter: str, why: str) -> None:
    """The refusal has the attribute's keyword or the option's name, and the reason."""
    members = refusal(query)
    assert members["parameter"] == parameter
    assert why in str(members["detail"])


def test_a_name_that_is_not_an_attribute_is_called_by_its_number() -> None:
    """It may be a patient's."""
    for name in ("CANARY", "patientname", "(0010,0010)", "00400275.00400009", "19700315", "%C3%BC", ""):
        assert refusal(f"limit=1&&code=x&{name}=1")["parameter"] == "parameter 3"


def test_queries_are_utf8() -> None:
    """Also if not percent-encoded. Other bytes are not replaced: the value could become another patient's."""
    assert read_query("PatientName=Müller".encode(), STUDIES, {}).filters[0].value == "Müller"
    for query in ("PatientID=%FF", "%FF=1"):
        assert refusal(query) == {"parameter": "parameter 1", "detail": "It must be percent-encoded UTF-8."}


@pytest.mark.parametrize(
    ("kind", "parent", "levels"),
    [
        ("studies", Resource(), "study"),
        ("series", Resource(), "study series"),
        ("instances", Resource(), "study series instance"),
        ("series", IN_STUDY, "series"),
        ("instances", IN_STUDY, "series instance"),
        ("instances", IN_SERIES, "instance"),
    ],
)
def test_attributes_belong_to_levels(kind: Kind, parent: Resource, levels: str) -> None:
    """Each of the six resources takes those of its levels, and names them where another is asked for."""
    of_level = {"study": "PatientID", "series": "Modality", "instance": "SOPInstanceUID"}
    scope = Scope(kind, parent)
    for level, keyword in of_level.items():
        if level in levels.split():
            asked(f"{keyword}=1", scope)
        else:
            told = str(refusal(f"{keyword}=1", scope)["detail"])
            assert all((of_level[each] in told) == (each in levels.split()) for each in of_level)


def test_extended_query_tags_are_looked_for_where_one_may_be_meant() -> None:
    """The usual attributes and names that are none need no question to the service."""
    pairs = pairs_of(b"PatientID=1&limit=2&PatientSex=F&00091001=x&nonsense=1&code=x")
    assert other_tags(pairs) == {"00100040", "00091001"}


def test_where_extended_query_tags_are_not_known_the_service_decides() -> None:
    """But what is no value is refused all the same, and a name that may be anything is not told."""
    parameters = read_query(b"PatientSex=F&19700315=x", STUDIES, None)
    assert [f.attribute for f in parameters.filters] == [
        Attribute("00100040", "CS", Level.STUDY),
        Attribute("19700315", "", Level.STUDY),
    ]
    with pytest.raises(Refused) as refused:
        read_query(b"19700315=", STUDIES, None)
    assert refused.value.members["parameter"] == "parameter 1"


COMPUTED = {"includefield=00080061", "includefield=00201208"}


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
    """So that the service also gives fields that `all` does not include."""
    plan, told = planned("includefield=All,StudyComments", kind, Resource(parent))
    fields = set(plan.steps[0].query.includefield)
    assert fields >= {"StudyComments", *(tag for level in levels for tag in ALL_FIELDS[level])}
    assert fields & {"00201208", "00201209"}
    assert told == []


def test_fields_of_the_standard_are_always_asked_for() -> None:
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


def test_adaptations_fit_into_a_warning() -> None:
    """RFC 7234 §5.5: ASCII, without quotes and backslashes."""
    for text in ADAPTATIONS.values():
        assert text.isascii()
        assert not set(text) & set('"\\')
