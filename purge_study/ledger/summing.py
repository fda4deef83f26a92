"""What the instances of a study tell, taken together: DICOM JSON in, a reading out (pure)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydicom.datadict import tag_for_keyword

from purge_study.policy.facts import Values

from .entities import fitted
from .hashing import Hasher
from .row import Patient, Reading

_PATIENT_ID = "00100020"
_ISSUER = "00100021"
_ACCESSION = "00080050"
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
        self._accessions: set[str | None] = set()
        self._instances = 0

    def add(self, instance: Instance) -> None:
        """Take in what an instance has.

        Args:
            instance: its elements by tag (PS3.18 Annex F).
        """
        self._instances += 1
        for keyword, tag in self._tags.items():
            values = set(_texts(instance, tag))
            self._found[keyword] |= values
            if not values:
                self._lacking.add(keyword)
        self._patients |= set(self._patients_of(instance))
        self._accessions |= {self._hasher.accession(number) for number in _texts(instance, _ACCESSION)}

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
            further_patients=frozenset() if is_agreed else patients,
            is_whole=is_agreed,
        )
        return fitted(reading)

    def _values(self, keyword: str) -> Values:
        return Values(frozenset(self._found[keyword]), bool(self._instances) and keyword not in self._lacking)

    def _patients_of(self, instance: Instance) -> Iterator[Patient | None]:
        issuers = list(_texts(instance, _ISSUER))
        for patient_id in list(_texts(instance, _PATIENT_ID)) or [""]:
            yield from (self._hasher.patient(patient_id, issuer) for issuer in issuers or [""])


def _tag(keyword: str) -> str | None:
    tag = tag_for_keyword(keyword)
    return None if tag is None else f"{tag:08X}"


def _texts(instance: Instance, tag: str | None) -> Iterator[str]:
    """Yield the values of an element as text, without blanks at their ends; blank ones are none."""
    for value in _values_of(instance.get(tag) if tag else None):
        for text in _texts_of(value):
            if stripped := text.strip(_BLANKS):
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
