"""What an entry of the policy must be like; messages never have a value in them."""

from __future__ import annotations

import re
from datetime import date, datetime
from functools import cache
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydicom.datadict import dictionary_VR, tag_for_keyword

from .dates import parse_da
from .texts import words_of

# Identifiers of patients and of what was done to them: the ledger keeps them as keyed hashes at most.
IDENTIFIERS = frozenset(
    (
        "AccessionNumber",
        "AdmissionID",
        "ClinicalTrialSubjectID",
        "ClinicalTrialSubjectReadingID",
        "FillerOrderNumberImagingServiceRequest",
        "InsurancePlanIdentification",
        "MedicalRecordLocator",
        "OtherPatientIDs",
        "OtherPatientNames",
        "PatientAddress",
        "PatientBirthName",
        "PatientComments",
        "PatientID",
        "PatientMotherBirthName",
        "PatientName",
        "PatientTelecomInformation",
        "PatientTelephoneNumbers",
        "PlacerOrderNumberImagingServiceRequest",
        "RequestedProcedureID",
        "ResponsiblePerson",
        "ServiceEpisodeID",
        "StudyID",
    )
)
# Results of searches have them, instances do not.
_ONLY_IN_RESULTS = re.compile(
    "ModalitiesInStudy|SOPClassesInStudy|NumberOf.*Related.*|RetrieveURL|InstanceAvailability"
)
# The service's metadata leaves these out; and what has items, not values, cannot be compared with any.
_VRS_WITHOUT_VALUES = ("SQ", "UN", "OB", "OD", "OF", "OL", "OV", "OW")
_NO_ZONES = ("Factory", "localtime", "posixrules")


def day_of(value: object) -> date:
    """Return the day that an entry names.

    Raises:
        ValueError: it names none.
    """
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    # Editors that check the file by its schema see a day of TOML as such a text.
    day = parse_da(re.sub("^([0-9]{4})-([0-9]{2})-([0-9]{2})$", r"\1\2\3", value)) if isinstance(value, str) else None
    if day is None:
        raise ValueError('this is not a day: write yyyy-mm-dd, or "yyyymmdd"')
    return day


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones()).difference(_NO_ZONES)


def _zone(value: str) -> str:
    if value not in _zones():
        raise ValueError("this is not a time zone of the IANA database: write one such as Europe/Paris")
    return value


def _keyword(value: str) -> str:
    tag = tag_for_keyword(value)
    if tag is None:
        raise ValueError("this is not a keyword of DICOM's dictionary: write one such as BodyPartExamined")
    if value in IDENTIFIERS:
        raise ValueError("no rule can ask for this, because it identifies patients and the ledger does not keep it")
    if tag >> 16 < 0x0008 or dictionary_VR(tag).startswith(_VRS_WITHOUT_VALUES) or _ONLY_IN_RESULTS.fullmatch(value):
        raise ValueError("no rule can ask for this, because the service's metadata of an instance have no value of it")
    return value


def _has_words(value: str) -> str:
    if not words_of(value):
        raise ValueError("there is no word in this: write letters or digits")
    return value


def _only_true(value: object) -> object:
    if value is not True:
        raise ValueError("write true without quotation marks, or leave it out")
    return value


_NAME = r"^[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?$"
_BLOB_NAME = r"^[^\x00-\x1f\x7f]+$"
_NOT_BLANK = r"\S"
# What is said of a text that does not match.
PATTERNS = {
    _NAME: "this is not a name: write some letters, without line breaks and without blanks at the ends",
    _BLOB_NAME: "this is not the name of a blob: write it as it is called in the container, without line breaks",
    _NOT_BLANK: "it is blank: write the value that you mean, or leave it out",
}

Whole = Annotated[int, Field(strict=True)]
Years = Annotated[Whole, Field(ge=1, le=9999)]
Age = Annotated[Whole, Field(ge=1, le=200)]
Days = Annotated[Whole, Field(ge=0, le=36_500)]
Day = Annotated[
    date,
    BeforeValidator(day_of),
    WithJsonSchema({"type": "string", "pattern": "^([0-9]{8}|[0-9]{4}-[0-9]{2}-[0-9]{2})$"}),
]
Zone = Annotated[str, AfterValidator(_zone)]
# Names stand in plans, and in what people are told.
Name = Annotated[str, Field(pattern=_NAME, max_length=100)]
BlobName = Annotated[str, Field(pattern=_BLOB_NAME, max_length=1024)]
Text = Annotated[str, Field(pattern=_NOT_BLANK)]
Texts = Annotated[tuple[Text, ...], Field(min_length=1)]
Always = Annotated[Literal[True], BeforeValidator(_only_true)]
Phrases = Annotated[tuple[Annotated[str, AfterValidator(_has_words)], ...], Field(min_length=1)]
Keyword = Annotated[str, AfterValidator(_keyword)]
