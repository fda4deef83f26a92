"""What the instances of a study tell together."""

from __future__ import annotations

from typing import Any

import pytest

from purge_study.ledger.hashing import Hasher
from purge_study.ledger.row import Reading
from purge_study.ledger.summing import Summing
from purge_study.policy.facts import Values

HASHER = Hasher("a key of the tests")
KEYWORDS = ["Modality", "StudyDate", "ReferringPhysicianName", "SeriesNumber", "RequestAttributesSequence", "NoKeyword"]


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


@pytest.mark.parametrize("unseen", ["\u200b", "\ufeff", "\u00ad", "\u2060"])
def test_invisible_characters_make_no_other_identifier(unseen: str) -> None:
    """A line of a list cannot have them, and holds what looks the same; whose it is exactly is another question."""
    plain, odd = HASHER.patient("4711", "Mary"), HASHER.patient(f"{unseen}47{unseen}11", f"Mary{unseen}")
    assert plain
    assert odd
    assert (odd.group, odd.issuer) == (plain.group, plain.issuer)
    assert odd.exact != plain.exact
    assert HASHER.accession(f"A{unseen}1") == HASHER.accession("A1")
    assert HASHER.accession(f"{unseen}00{unseen}1") == HASHER.accession("1")
