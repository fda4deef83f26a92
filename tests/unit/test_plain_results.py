"""Results for those who know no DICOM."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from query_api.searching.plain import plain, schema
from shared.dicomweb import InvalidResponse


def element(vr: str, *values: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


NAME = {"Alphabetic": "Doe^Jane", "Ideographic": "山田^太郎"}


@pytest.mark.parametrize(
    ("tag", "given", "key", "told"),
    [
        ("00080020", element("DA", "20240102"), "StudyDate", "20240102"),
        ("00080030", element("TM", "101010.5"), "StudyTime", "101010.5"),
        ("00080020", element("DA"), "StudyDate", None),
        ("00080020", element("DA", None), "StudyDate", None),
        ("00100010", element("PN", NAME), "PatientName", "Doe^Jane"),
        ("00100010", element("PN", {"Ideographic": "山田^太郎"}), "PatientName", None),
        ("00100010", element("PN", {}), "PatientName", None),
        ("00100010", element("PN"), "PatientName", None),
        ("00081060", element("PN", NAME, {"Alphabetic": "Roe"}), "NameOfPhysiciansReadingStudy", ["Doe^Jane", "Roe"]),
        ("00080061", element("CS", "CT", "MR"), "ModalitiesInStudy", ["CT", "MR"]),
        ("00080061", element("CS", "CT"), "ModalitiesInStudy", ["CT"]),
        ("00080061", element("CS"), "ModalitiesInStudy", []),
        ("00201208", element("IS", 3), "NumberOfStudyRelatedInstances", 3),
        ("00201208", element("IS", "three"), "NumberOfStudyRelatedInstances", "three"),
        ("00101020", element("DS", 1.8), "PatientSize", 1.8),
        ("00081030", element("LO", "a", "b"), "StudyDescription", "a\\b"),
        ("00081030", element("LO", "a", None, "b"), "StudyDescription", "a\\\\b"),
        ("00081190", element("UR", "http://app/studies/1.2"), "RetrieveURL", "http://app/studies/1.2"),
        (
            "00400275",
            element("SQ", {"00400009": element("SH", "S1"), "00091001": element("LO", "x")}),
            "RequestAttributesSequence",
            [{"ScheduledProcedureStepID": "S1", "00091001": ["x"]}],
        ),
        ("00400275", element("SQ"), "RequestAttributesSequence", []),
        ("00091001", element("LO", "x"), "00091001", ["x"]),
        ("00091001", element("LO"), "00091001", []),
    ],
)
def test_values(tag: str, given: dict[str, Any], key: str, told: Any) -> None:
    """One value where the Standard has one, else a list; and each answer is as its schema says."""
    result = plain({tag: given})
    assert result == {key: told}
    jsonschema.validate([result], schema(), jsonschema.Draft202012Validator)


@pytest.mark.parametrize("given", ["CANARY", {"vr": "LO", "Value": "CANARY"}, {"vr": "LO", "Value": [{"a": "CANARY"}]}])
def test_what_is_no_dicom_json(given: Any) -> None:
    """It is the service's failure, and not told."""
    with pytest.raises(InvalidResponse) as error:
        plain({"00100020": given})
    assert "CANARY" not in str(error.value)


def test_attributes_that_share_a_keyword_go_by_their_tags() -> None:
    """Overlays repeat in groups; and a key that is no tag is the service's failure."""
    rows = {tag: element("US", rows) for tag, rows in (("60000010", 1), ("60020010", 2))}
    assert plain(rows) == {"60000010": [1], "60020010": [2]}
    with pytest.raises(InvalidResponse):
        plain({"CANARY": element("LO", "x")})


def test_the_schema_is_one() -> None:
    """Valid by its own, it refuses what is no answer."""
    jsonschema.Draft202012Validator.check_schema(schema())
    wrongs: tuple[Any, ...] = ({}, [1], [{"StudyDate": 1}], [{"ModalitiesInStudy": "CT"}], [{"00091001": "x"}])
    for wrong in wrongs:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema(), jsonschema.Draft202012Validator)
