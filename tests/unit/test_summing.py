"""What the instances of a study tell together."""

from __future__ import annotations

from typing import Any

import pytest

from purge_study.ledger.hashing import Hasher
from purge_study.ledger.row import Reading
from purge_study.ledger.summing import Summing
from purge_study.policy.conditions import evaluate
from purge_study.policy.facts import StudyFacts, Values
from purge_study.policy.known import Known
from purge_study.policy.model import Condition

HASHER = Hasher("a key of the tests")
KEYWORDS = ["Modality", "StudyDate", "ReferringPhysicianName", "SeriesNumber", "RequestAttributesSequence", "NoKeyword"]
KEYWORDS += [
    "AdditionalPatientHistory",
    "FrameIncrementPointer",
    "KVP",
    "Rows",
    "SmallestImagePixelValue",
    "StudyDescription",
]
UNDECODED = ["\ufffd", "\x1b", "\ud83d"]


def summed(*instances: dict[str, Any]) -> Reading:
    summing = Summing(KEYWORDS, HASHER)
    for instance in instances:
        summing.add(instance)
    return summing.reading("etag")


def element(vr: str, *values: object) -> dict[str, object]:
    return {"vr": vr, "Value": list(values)}


@pytest.mark.parametrize(
    ("keyword", "instances", "values"),
    [
        ("Modality", [{"00080060": element("CS", "CT")}] * 2, Values(frozenset({"CT"}), True)),
        (
            "Modality",
            [{"00080060": element("CS", "CT ")}, {"00080060": element("CS", "SR", "\0")}],
            Values(frozenset({"CT", "SR"}), True),
        ),
        ("Modality", [{"00080060": element("CS", "CT")}, {}], Values(frozenset({"CT"}), False)),
        ("Modality", [{"00080060": element("CS", "  ", None)}], Values()),
        ("Modality", [{"00080060": {"vr": "CS"}}], Values()),
        ("Modality", [{"00080060": {"vr": "CS", "Value": "CT"}}], Values()),
        ("Modality", [{"00080060": "CT"}], Values()),
        ("Modality", [], Values()),
        ("SeriesNumber", [{"00200011": element("IS", 7)}], Values(frozenset({"7"}), True)),
        (
            "ReferringPhysicianName",
            [{"00080090": element("PN", {"Alphabetic": "House^Gregory", "Ideographic": "家"})}],
            Values(frozenset({"House^Gregory", "家"}), True),
        ),
        ("RequestAttributesSequence", [{"00400275": element("SQ", {"00080050": element("SH", "A")})}], Values()),
        ("NoKeyword", [{"": element("LO", "A")}], Values()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_values_over_all_instances(keyword: str, instances: list[dict[str, Any]], values: Values) -> None:
    """Each value that an instance has, and whether every instance has one; sequences and odd forms are none."""
    assert summed(*instances).attributes[keyword] == values


@pytest.mark.parametrize("sign", UNDECODED, ids=ascii)
@pytest.mark.parametrize(
    ("keyword", "tag", "vr"),
    [
        ("StudyDescription", "00081030", "LO"),
        ("Modality", "00080060", "CS"),
        ("AdditionalPatientHistory", "001021B0", "LT"),
    ],
)
def test_a_text_that_the_service_could_not_decode_is_unknown(keyword: str, tag: str, vr: str, sign: str) -> None:
    """The app cannot tell which value the file has, so an instance with such a text may have any value."""
    reading = summed({tag: element(vr, "A")}, {tag: element(vr, f"H{sign}pital")})
    assert reading.attributes[keyword] == Values(frozenset({"A"}), is_complete=False)


@pytest.mark.parametrize("sign", UNDECODED, ids=ascii)
def test_a_name_that_the_service_could_not_decode_is_unknown(sign: str) -> None:
    """One group is enough: the name that a rule asks for may be in that group."""
    name = {"Alphabetic": "House^Gregory", "Ideographic": f"{sign}^{sign}"}
    assert summed({"00080090": element("PN", name)}).attributes["ReferringPhysicianName"] == Values()


@pytest.mark.parametrize("sign", UNDECODED, ids=ascii)
def test_a_patient_id_that_the_service_could_not_decode(sign: str) -> None:
    """The study may be anybody's, as with each PatientID that cannot be read."""
    reading = summed(of_patient(f"{sign}4711"))
    assert (reading.is_anybodys, reading.is_whole) == (True, False)


@pytest.mark.parametrize("sign", UNDECODED, ids=ascii)
@pytest.mark.parametrize(
    ("tag", "vr"), [("00080050", "SH"), ("00100021", "LO"), ("00100030", "DA"), ("00101010", "AS")]
)
def test_an_identifier_that_the_service_could_not_decode(tag: str, vr: str, sign: str) -> None:
    """A hold or another study may miss the study, so it is kept."""
    assert not summed(of_patient("1") | {tag: element(vr, f"{sign}1")}).is_whole


@pytest.mark.parametrize(
    ("keyword", "tag", "odd"),
    [
        ("Modality", "00080060", element("LT", "CT\\MG")),
        ("Modality", "00080060", element("UT", "MG")),
        ("Modality", "00080060", element("CS", "CT\\MG")),
        ("Modality", "00080060", element("CS", 7)),
        ("Modality", "00080060", {"Value": ["CT"]}),
        ("Modality", "00080060", {"vr": "UN", "InlineBinary": "Q1Q="}),
        ("StudyDescription", "00081030", element("DS", "12E4")),
        ("StudyDescription", "00081030", element("DS", 120000.0)),
        ("StudyDescription", "00081030", element("UT", "TEACHING\\FILE")),
        ("StudyDescription", "00081030", element("LO", True)),
        ("StudyDescription", "00081030", element("PN", {"Alphabetic": "A"})),
        ("StudyDescription", "00081030", {"vr": "LO", "Value": ["A"], "BulkDataURI": "https://example.org/1"}),
        ("StudyDate", "00080020", element("IS", 20160305)),
        ("StudyDate", "00080020", element("LO", "20160305")),
        ("AdditionalPatientHistory", "001021B0", element("UT", "A")),
        ("ReferringPhysicianName", "00080090", element("LO", "House^Gregory")),
        ("ReferringPhysicianName", "00080090", element("PN", "House^Gregory")),
        ("ReferringPhysicianName", "00080090", element("PN", {"Alphabetic": "A", "Ideographic": 7})),
        ("ReferringPhysicianName", "00080090", element("PN", {"Alphabetic": "A\\B"})),
        ("SeriesNumber", "00200011", element("LO", "7")),
        ("SeriesNumber", "00200011", element("DS", 7.0)),
        ("SeriesNumber", "00200011", element("IS", "seven")),
        ("SeriesNumber", "00200011", element("IS", True)),
        ("SeriesNumber", "00200011", element("IS", "7\\8")),
        ("KVP", "00180060", element("DS", float("nan"))),
        ("KVP", "00180060", element("DS", "NaN")),
        ("KVP", "00180060", element("DS", float("inf"))),
        ("Rows", "00280010", element("US", {"0": 512})),
        ("SmallestImagePixelValue", "00280106", element("SL", 0)),
    ],
    ids=str,
)
def test_a_value_in_another_form_than_dicom_has_is_unknown(keyword: str, tag: str, odd: dict[str, Any]) -> None:
    """The app cannot tell which value the file has; what other instances have still counts."""
    assert summed({tag: odd}).attributes[keyword] == Values()


@pytest.mark.parametrize(
    ("keyword", "tag", "usual", "text"),
    [
        ("AdditionalPatientHistory", "001021B0", element("LT", "A\\B"), "A\\B"),
        ("SeriesNumber", "00200011", element("IS", " 7 "), "7"),
        ("KVP", "00180060", element("DS", 120), "120"),
        ("KVP", "00180060", element("DS", 1.2e2), "120.0"),
        ("KVP", "00180060", element("DS", "+1.2E2"), "+1.2E2"),
        ("FrameIncrementPointer", "00280009", element("AT", "00181063"), "00181063"),
        ("Rows", "00280010", element("US", 512), "512"),
        ("SmallestImagePixelValue", "00280106", element("US", 1), "1"),
        ("SmallestImagePixelValue", "00280106", element("SS", -1), "-1"),
    ],
    ids=str,
)
def test_a_value_in_a_form_that_dicom_has(keyword: str, tag: str, usual: dict[str, Any], text: str) -> None:
    """Numbers may be texts or numbers in DICOM JSON, and some VRs have backslashes in their texts."""
    assert summed({tag: usual}).attributes[keyword] == Values(frozenset({text}), is_complete=True)


def test_words_of_a_description_of_several_values() -> None:
    """A backslash in a description makes values of its parts; words on both sides of it stay in a row."""
    values = summed({"00081030": element("LO", "TEACHING", None, "FILE 2")}).attributes["StudyDescription"]
    known = Known(StudyFacts("A", {"StudyDescription": values}), {})
    for phrase, holds in (("teaching file", True), ("file 2", True), ("2 teaching", False), ("file teaching", False)):
        assert evaluate(Condition(description_words=(phrase,)), known).holds is holds


def of_patient(patient_id: str, issuer: str | None = None) -> dict[str, Any]:
    told = {"00100020": element("LO", patient_id)}
    return told if issuer is None else {**told, "00100021": element("LO", issuer)}


def test_whose_study_it_is() -> None:
    """It is the one patient's whom all instances name, with the same issuer; nobody's where none names any."""
    assert summed(of_patient("1 "), of_patient("1")).patient == HASHER.patient("1")
    assert summed(of_patient("1", "H"), of_patient("1", "h")).patient == HASHER.patient("1", "H")
    nobody = summed(of_patient(" "), {})
    assert (nobody.patient, nobody.all_patients, nobody.is_whole) == (None, frozenset(), True)


@pytest.mark.parametrize(
    "instances",
    [
        [of_patient("1"), of_patient("2")],
        [of_patient("1"), of_patient("01")],
        [of_patient("1"), {}],
        [of_patient("1", "A"), of_patient("1", "B")],
        [of_patient("1", "A"), of_patient("1")],
    ],
)
def test_instances_that_do_not_agree(instances: list[dict[str, Any]]) -> None:
    """Then it may be everybody's whom any instance names, and is not known in full."""
    reading = summed(*instances)
    assert reading.patient is None
    assert not reading.is_whole
    assert reading.all_patients == {one.patient for one in (summed(instance) for instance in instances) if one.patient}


def test_accession_numbers_and_instances() -> None:
    """Those of all instances count, as hashes; a blank one is none."""
    reading = summed(*({"00080050": element("SH", number)} for number in ("A1", "0a1", "B2", " ")))
    assert reading.accessions == {HASHER.accession("A1"), HASHER.accession("b2")}
    assert (reading.instances, reading.etag) == (4, "etag")


@pytest.mark.parametrize("tag", ["00080050", "00100020", "00100021", "00100030", "00101010"])
@pytest.mark.parametrize(
    "odd",
    [
        element("DS", 4711.0),
        element("DS", "4711"),
        element("IS", "4711"),
        element("AT", "00004711"),
        {"Value": ["4711"]},
        element("SL", 4711),
        element("SH", True),
        element("SH", "4711", 4712),
        element("UT", "4711\\4712"),
        element("PN", {"Alphabetic": "4711"}),
        {"vr": "SH", "Value": "4711"},
        {"vr": "SH", "Value": {"0": "4711"}},
        {"vr": "SH", "Value": None},
        element("SH", ["4711"]),
        {"vr": "OB", "InlineBinary": "NDcxMQ=="},
        {"vr": "UN", "BulkDataURI": "https://example.org/1"},
        {"vr": "SH", "value": ["4711"]},
        element("SQ", "4711"),
        element("SQ", {}),
        element("UC", "4711"),
        {"vr": "OB"},
        ["4711"],
        "4711",
        None,
    ],
    ids=str,
)
def test_an_attribute_that_holds_something_other_than_texts(tag: str, odd: object) -> None:
    """A hold, a date list or another study may miss the study then, so it is not known in full."""
    told = of_patient("1") | {"00080050": element("SH", "A")}
    assert summed(told).is_whole
    assert not summed(told, {**told, tag: odd}).is_whole


@pytest.mark.parametrize(
    ("odd", "texts"),
    [
        (element("DS", 4711.0), ["4711"]),
        (element("IS", 4711), ["4711"]),
        (element("IS", "4711"), ["4711"]),
        (element("DS", 9007199254740993), ["9007199254740993"]),
        (element("LO", 4711, "P1"), ["4711", "P1"]),
        (element("UT", "004711\\P1"), ["4711", "P1", "004711\\P1"]),
        (element("PN", {"Alphabetic": "004711", "Ideographic": "P1"}), ["4711", "P1"]),
        (element("DS", None, " "), []),
        ({"vr": "SQ"}, []),
    ],
    ids=str,
)
def test_identifiers_that_can_be_read_in_another_form(odd: dict[str, Any], texts: list[str]) -> None:
    """A study counts for every patient whose id differs from the value by leading zeros or case alone."""
    reading = summed({"00100020": odd, "00100021": element("LO", "H"), "00080050": odd})
    assert reading.all_patients == {HASHER.patient_alike(text, "H") for text in texts}
    assert (reading.is_anybodys, reading.is_whole) == (False, False)
    assert reading.accessions == {HASHER.accession(text) for text in texts}


@pytest.mark.parametrize(
    "odd",
    [
        element("DS", 47.5),
        element("DS", 4711.0, 1e300),
        element("IS", -4711),
        element("LO", True),
        element("AT", "00004711"),
        element("UV", 4711),
        element("FD", 4711.0),
        element("SQ", {}),
        element("PN", {}),
        {"vr": "OB", "InlineBinary": "NDcxMQ=="},
        {"vr": "LO", "BulkDataURI": "https://example.org/1"},
        {"vr": "LO", "Value": "4711"},
        {"Value": ["4711"]},
        None,
    ],
    ids=str,
)
def test_a_patient_id_that_cannot_be_read(odd: object) -> None:
    """The study may be anybody's; an instance whose id can be read does not change that."""
    reading = summed(of_patient("1"), {"00100020": odd})
    assert (reading.is_anybodys, reading.is_whole) == (True, False)
    assert HASHER.patient("1") in reading.all_patients
    assert not summed(of_patient("1"), {"00080050": odd}).is_anybodys


def test_an_issuer_that_is_not_text() -> None:
    """It counts as none, which goes with every issuer."""
    assert summed({**of_patient("1"), "00100021": element("IS", 4)}).all_patients == {HASHER.patient("1")}


def test_empty_identifiers_are_texts() -> None:
    """Elements without values, and nulls among values, hide nothing."""
    empty = {"00080050": {"vr": "SH"}, "00100021": element("LO"), "00100030": element("DA", None, "")}
    assert summed({**of_patient("1"), **empty, "00101010": {"vr": "AS", "Value": []}}).is_whole


@pytest.mark.parametrize("unseen", ["\u200b", "\ufeff", "\u00ad", "\u2060", "\u115f", "\u1160", "\u17b4", "\U000e0080"])
def test_invisible_characters_make_no_other_identifier(unseen: str) -> None:
    """A line of a list cannot have them, and holds what looks the same; whose it is exactly is another question."""
    plain, odd = HASHER.patient("4711", "Mary"), HASHER.patient(f"{unseen}47{unseen}11", f"Mary{unseen}")
    assert plain
    assert odd
    assert (odd.group, odd.issuer) == (plain.group, plain.issuer)
    assert odd.exact != plain.exact
    assert HASHER.accession(f"A{unseen}1") == HASHER.accession("A1")
    assert HASHER.accession(f"{unseen}00{unseen}1") == HASHER.accession("1")


BLANK_LOOKING = ["\u3164", "\uffa0", "\u2800", "\ufffc", "\x7f", "\x01", "\u0085", "\u00a0", "\u3000"]


@pytest.mark.parametrize("blank", BLANK_LOOKING, ids=ascii)
def test_what_looks_blank_is_a_blank_of_an_identifier(blank: str) -> None:
    """At the ends it makes no other identifier, and inside it looks like a space."""
    plain, odd = HASHER.patient("47 11", "St. Mary"), HASHER.patient(f"47{blank}11{blank}", f"{blank}St.{blank}Mary")
    assert plain
    assert odd
    assert (odd.group, odd.issuer) == (plain.group, plain.issuer)
    assert HASHER.accession(f"{blank}A{blank}1") == HASHER.accession("A 1")


@pytest.mark.parametrize("blank", ["\u200b", "\ufeff", "\u1160", *BLANK_LOOKING], ids=ascii)
def test_a_value_of_which_nobody_sees_anything_is_missing(blank: str) -> None:
    """It tells neither whose the study is nor what it holds."""
    odd = f"{blank} {blank}"
    assert HASHER.patient(odd) is None
    assert HASHER.accession(odd) is None
    reading = summed(of_patient(odd) | {"00080060": element("CS", odd)})
    assert (reading.patient, reading.attributes["Modality"]) == (None, Values())
