"""What the instances of a study tell, taken together: DICOM JSON in, a reading out (pure)."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeGuard

from pydicom.datadict import tag_for_keyword

from purge_study.policy.facts import Values

from .entities import fitted
from .hashing import Hasher
from .row import Patient, Reading

_SOP_INSTANCE_UID = "00080018"
_PATIENT_ID = "00100020"
_ISSUER = "00100021"
_ACCESSION = "00080050"
# By these holds, lists of dates and a patient's other studies are found, or they speak against a deletion: a study in
# which one of them cannot be read is kept.
_MUST_BE_TEXTS = (
    _PATIENT_ID,
    _ISSUER,
    _ACCESSION,
    "00100030",  # PatientBirthDate
    "00101010",  # PatientAge
)
# In DICOM JSON, values of these are the file's own texts.
_TEXTS = frozenset({"AE", "AS", "CS", "DA", "DT", "LO", "LT", "SH", "ST", "TM", "UC", "UI", "UR", "UT"})
# Values of these are texts in the file, and DICOM JSON has them in another form.
_REWRITTEN = frozenset({"DS", "IS", "PN"})
_MOST_EXACT = 2**53  # of a float; a larger one may have lost digits
_NUMBERS = 2**128
_BLANKS = " \t\r\n\0"

Instance = Mapping[str, Any]


class Summing:
    """Takes instances one by one, so that a study of any size takes little memory.

    Args:
        keywords: of the attributes to keep. Those that DICOM's dictionary does not have stay unknown, as do sequences
            and binary values.
        hasher: for what identifies a patient.
    """

    def __init__(self, keywords: Iterable[str], hasher: Hasher) -> None:
        self._tags = {keyword: _tag(keyword) for keyword in keywords}
        self._hasher = hasher
        self._found: dict[str, set[str]] = defaultdict(set)
        self._lacking: set[str] = set()
        self._patients: set[Patient | None] = set()
        self._is_anybodys = False
        self._accessions: set[str | None] = set()
        self._instances = 0
        self._uids = 0
        self._is_readable = True

    def add(self, instance: Instance) -> None:
        """Take in what an instance has.

        Args:
            instance: its elements by tag (PS3.18 Annex F).
        """
        self._instances += 1
        self._uids += _number_of("\\".join(_texts(instance, _SOP_INSTANCE_UID)))
        for keyword, tag in self._tags.items():
            values = set(_texts(instance, tag))
            self._found[keyword] |= values
            if not values:
                self._lacking.add(keyword)
        self._patients |= set(self._patients_of(instance))
        self._accessions |= {
            self._hasher.accession(number) for number in _identifiers(instance.get(_ACCESSION, {})) or ()
        }
        self._is_readable &= all(_has_texts(instance[tag]) for tag in _MUST_BE_TEXTS if tag in instance)

    def reading(self, etag: str | None) -> Reading:
        """Return what they tell together."""
        patients = frozenset(patient for patient in self._patients if patient)
        is_agreed = len(self._patients) <= 1
        reading = Reading(
            attributes={keyword: self._values(keyword) for keyword in self._tags},
            patient=next(iter(patients), None) if is_agreed else None,
            accessions=frozenset(number for number in self._accessions if number),
            instances=self._instances,
            etag=etag,
            uids=f"{self._uids % _NUMBERS:032x}",
            further_patients=frozenset() if is_agreed else patients,
            is_whole=is_agreed and self._is_readable,
            is_anybodys=self._is_anybodys,
        )
        return fitted(reading)

    def _values(self, keyword: str) -> Values:
        return Values(frozenset(self._found[keyword]), bool(self._instances) and keyword not in self._lacking)

    def _patients_of(self, instance: Instance) -> Iterator[Patient | None]:
        element = instance.get(_PATIENT_ID, {})
        patient_ids = _identifiers(element)
        self._is_anybodys |= patient_ids is None
        hashed = self._hasher.patient if _has_texts(element) else self._hasher.patient_alike
        # An issuer that is not text counts as none, which goes with every issuer.
        issuers = list(_texts(instance, _ISSUER)) if _has_texts(instance.get(_ISSUER, {})) else []
        for patient_id in patient_ids or [""]:
            yield from (hashed(patient_id, issuer) for issuer in issuers or [""])


def _number_of(uid: str) -> int:
    """Return a number for an instance: the sum over a study tells its instances from others, in whatever order."""
    return int.from_bytes(hashlib.sha256(uid.encode("utf-8", "surrogatepass")).digest())


def _tag(keyword: str) -> str | None:
    tag = tag_for_keyword(keyword)
    return None if tag is None else f"{tag:08X}"


def without_blanks(text: str) -> str:
    """Return a value without what pads it: blanks, and the NULs of some writers."""
    return text.strip(_BLANKS)


def is_one_text(value: object) -> TypeGuard[str]:
    """Say whether a value is a text; a number, or a text of several values, may have been written otherwise."""
    return isinstance(value, str) and "\\" not in value


def _has_texts(element: object) -> bool:
    """Say whether an element has texts as its values, or none at all; nulls are blank ones (PS3.18 Annex F.2.5)."""
    if not isinstance(element, Mapping) or element.get("vr") == "SQ" or not element.keys() <= {"vr", "Value"}:
        return False
    values = element.get("Value", [])
    if not isinstance(values, list):
        return False
    return all(value is None or (is_one_text(value) and element.get("vr") in _TEXTS) for value in values)


def _identifiers(element: object) -> list[str] | None:
    """Return the identifiers that an element holds, in whatever form; None if one of them cannot be read.

    Of a number its digits: the file may have leading zeros before them, and no fraction or exponent is meant.
    """
    if not isinstance(element, Mapping) or not element.keys() <= {"vr", "Value"}:
        return None
    values = element.get("Value", [])
    if not isinstance(values, list) or (values and element.get("vr") not in _TEXTS | _REWRITTEN):
        return None
    found = [_identifiers_in(value) for value in values if value is not None]
    return None if None in found else [text for texts in found for text in texts or ()]


def _identifiers_in(value: object) -> list[str] | None:
    if isinstance(value, float) and 0 <= value <= _MOST_EXACT and value.is_integer():
        value = int(value)
    if isinstance(value, float | bool) or (isinstance(value, int) and value < 0):
        return None
    texts = list(_texts_of(value))
    parts = (part for text in texts for part in {text, *text.split("\\")})
    return list(filter(None, map(without_blanks, parts))) if texts else None


def _texts(instance: Instance, tag: str | None) -> Iterator[str]:
    """Yield the values of an element as text, without blanks at their ends; blank ones are none."""
    for value in _values_of(instance.get(tag) if tag else None):
        for text in _texts_of(value):
            if stripped := without_blanks(text):
                yield stripped


def _values_of(element: object) -> list[object]:
    """Return the values of an element; those of a sequence, or what is not in place, are none."""
    if not isinstance(element, Mapping) or element.get("vr") == "SQ":
        return []
    values = element.get("Value")
    return values if isinstance(values, list) else []


def _texts_of(value: object) -> Iterator[str]:
    """Yield a value as text; of a person's name each of its groups: whoever looks for one may know any of them."""
    if isinstance(value, Mapping):
        yield from (group for group in value.values() if isinstance(group, str))
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)
