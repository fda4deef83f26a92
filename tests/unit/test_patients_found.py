"""What the results of a search for a patient's studies tell, just before a deletion."""

from __future__ import annotations

from typing import Any

import pytest

from purge_study.executing.looking import row_of_result
from purge_study.executing.reasons import FailedByItself
from purge_study.ledger.hashing import Hasher
from purge_study.ledger.row import Row
from purge_study.ledger.summing import Summing
from purge_study.policy.facts import Values
from shared.dicomweb.answers import dataset_of

HASHER = Hasher("a key of the tests")
ATTRIBUTES = {"00080020": "StudyDate", "00100030": "PatientBirthDate"}


def element(vr: str, *values: object) -> dict[str, object]:
    return {"vr": vr, "Value": list(values)}


def found(**elements: dict[str, object]) -> Row:
    told = {"0020000D": element("UI", "1.2"), "00100020": element("LO", "471")}
    told |= {tag.removeprefix("x"): value for tag, value in elements.items()}
    return row_of_result(HASHER, "A", dataset_of("search", told))


@pytest.mark.parametrize("padding", [" ", "\0", " \0", "\0 \0", "\t\r\n"])
def test_padding_is_no_part_of_a_value(padding: str) -> None:
    """A result tells the same patient and the same dates as the ledger's reading of the same study."""
    instance: dict[str, Any] = {
        "00080020": element("DA", f"20240305{padding}"),
        "00100020": element("LO", f"471{padding}"),
        "00100021": element("LO", f"St. Mary{padding}"),
        "00100030": element("DA", f"20080229{padding}"),
    }
    summing = Summing(ATTRIBUTES.values(), HASHER)
    summing.add(instance)
    read, told = summing.reading(None), found(**{f"x{tag}": value for tag, value in instance.items()}).reading
    assert told is not None
    assert (told.patient, told.attributes) == (read.patient, read.attributes)
    assert told.attributes["StudyDate"] == Values(frozenset({"20240305"}), is_complete=True)


@pytest.mark.parametrize(
    "patient_id",
    [
        element("IS", 471),
        element("LO", 471),
        element("DS", 471.0),
        element("LO", "471", "9"),
        element("LO", "471\ufffd"),
        element("LO", "\0"),
        element("SQ", {}),
        {"vr": "LO"},
        {"vr": "UN", "BulkDataURI": "https://example.org/1"},
    ],
    ids=str,
)
def test_a_result_that_names_no_patient_is_not_passed_over(patient_id: dict[str, object]) -> None:
    """The study may be the patient's, so the search cannot be relied on."""
    with pytest.raises(FailedByItself, match="patient_not_found"):
        found(x00100020=patient_id)


@pytest.mark.parametrize("issuer", [element("IS", 5), element("LO", "A", "B"), element("LO", ""), {"vr": "LO"}])
def test_an_issuer_that_is_no_text_goes_with_every_issuer(issuer: dict[str, object]) -> None:
    """The result counts as the patient's, whatever issuer the study names."""
    reading = found(x00100021=issuer).reading
    assert reading is not None
    assert reading.patient == HASHER.patient("471")


@pytest.mark.parametrize(("tag", "keyword"), ATTRIBUTES.items())
def test_a_date_that_is_no_text_is_not_known(tag: str, keyword: str) -> None:
    """The result is not known in full, so that it is not taken for a study without this date."""
    reading = found(**{f"x{tag}": element("DS", 20240305)}).reading
    assert reading is not None
    assert (reading.attributes[keyword], reading.is_whole) == (Values(), False)
    reading = found(**{f"x{tag}": element("DA", "2024\ufffd305")}).reading
    assert reading is not None
    assert (reading.attributes[keyword], reading.is_whole) == (Values(), False)
    reading = found(**{f"x{tag}": element("DA")}).reading
    assert reading is not None
    assert (reading.attributes[keyword], reading.is_whole) == (Values(), True)
