"""The query string of a search at the app: what is taken, and how the rest is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from query_api.searching.attributes import SEARCHABLE, Attribute, Level, Scope
from query_api.searching.parameters import Parameters, other_tags, pairs_of, read_query
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


def test_nothing_is_asked_for() -> None:
    """An empty query, or one of separators alone, asks for everything."""
    assert asked("") == asked("&&") == Parameters()


@pytest.mark.parametrize(
    "value",
    [
        *("PatientName=M%C3%BCller", "PatientName=Doe+Jane", "PatientName=Doe,+Jane", "PatientID=*", "PatientID=A?*"),
        *("StudyDate=20240229", "StudyDate=20240102-", "StudyDate=-20240102", "StudyDate=20240102-20240102"),
        *("StudyDate=*", "ModalitiesInStudy=CT,MR", "ModalitiesInStudy=CT%5CMR", "ModalitiesInStudy=C*"),
        *("StudyInstanceUID=1.2", "StudyInstanceUID=1.2,1.3", "StudyInstanceUID=1.2%5C1.3", "StudyInstanceUID=*"),
        *("StudyTime=10", "StudyTime=1030-", "StudyTime=101010.5-235960", "AcquisitionDateTime=2024-202406011200"),
        *("PatientAge=045Y", "PatientSize=1.8e0", "SeriesNumber=-3", "00091001=x*", "PatientName=%22&limit=1"),
        *("PatientName=" + "%C3%A4" * 193 + "*", "PatientID=" + "a" * 3000, "PatientID=" + "*" * 3000),
        *("limit=1", "limit=0099", "offset=0", "fuzzymatching=false", "PatientName=*-*&fuzzymatching=true"),
    ],
)
def test_what_is_taken(value: str) -> None:
    """As it stands: what the service does not know of it is adapted later."""
    asked(value)


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
def test_what_is_refused(query: str, parameter: str, why: str) -> None:
    """By the attribute's keyword or the option's name, with the reason."""
    members = refusal(query)
    assert members["parameter"] == parameter
    assert why in str(members["detail"])


@pytest.mark.parametrize(
    "name", ["CANARY", "patientname", "(0010,0010)", "00400275.00400009", "19700315", "%C3%BC", ""]
)
def test_a_name_that_may_be_anything_is_not_told(name: str) -> None:
    """It may be a patient's: the parameter's number stands for it."""
    assert refusal(f"limit=1&&code=x&{name}=1")["parameter"] == "parameter 3"


@pytest.mark.parametrize("query", ["PatientID=%FF", "%FF=1"])
def test_what_is_no_utf8_is_refused(query: str) -> None:
    """Not replaced by something else, which might be another patient's."""
    assert refusal(query) == {"parameter": "parameter 1", "detail": "It must be percent-encoded UTF-8."}


def test_bytes_that_are_not_encoded_are_taken_as_utf8() -> None:
    """As some clients send them."""
    assert read_query("PatientName=Müller".encode(), STUDIES, {}).filters[0].value == "Müller"


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


def test_the_document_says_what_can_be_searched_for_where() -> None:
    """A row for each level, a column for each resource."""
    document = (Path(__file__).parents[2] / "docs/query-api.md").read_text().partition("## Searches\n")[2]
    table = [line.strip("|").split("|") for line in document.splitlines() if line.startswith("|")][:5]
    parents = {"": Resource(), "studies/{study}/": IN_STUDY, "studies/{study}/series/{series}/": IN_SERIES}
    paths = [cell.strip(" `").rpartition("/") for cell in table[0][1:]]
    kinds: dict[str, Kind] = {"studies": "studies", "series": "series", "instances": "instances"}
    scopes = [Scope(kinds[kind], parents[above + slash]) for above, slash, kind in paths]
    for level, (names, *cells) in zip(Level, table[2:], strict=True):
        assert names.strip().split(", ") == [one.name for one in SEARCHABLE.values() if one.level is level]
        assert [cell.strip() == "yes" for cell in cells] == [level in scope.levels for scope in scopes]
