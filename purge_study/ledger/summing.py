"""What the instances of a study tell, taken together: DICOM JSON in, a reading out (pure)."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from typing import Any, Final, NamedTuple, TypeGuard

from pydicom.datadict import dictionary_VR, tag_for_keyword

from purge_study.policy.conditions import NUMBER, NUMBERS
from purge_study.policy.facts import Values
from purge_study.policy.model import DESCRIPTION
from purge_study.policy.texts import visible

from .entities import fitted
from .hashing import Hasher
from .row import Patient, Reading

# In DICOM JSON, values of these are the file's own texts.
_TEXTS = frozenset({"AE", "AS", "CS", "DA", "DT", "LO", "LT", "SH", "ST", "TM", "UC", "UI", "UR", "UT"})
# Values of these are texts in the file, and DICOM JSON has them in another form.
_REWRITTEN = frozenset({"DS", "IS", "PN"})
# A backslash separates no values in these.
_OF_ONE_TEXT = frozenset({"LT", "ST", "UR", "UT"})
_MOST_EXACT = 2**53  # of a float; a larger one may have lost digits
_MODULUS = 2**128
_BLANKS = " \t\r\n\0"
# What remains of bytes that the service could not decode: U+FFFD, ESC of an unknown character set, half a pair.
_UNDECODED = re.compile("[\x1b\ufffd\ud800-\udfff]")

Instance = Mapping[str, Any]


class _Attribute(NamedTuple):
    """An attribute by its tag, with the VRs that DICOM's dictionary has for it."""

    tag: str
    vrs: frozenset[str]


def _attribute(keyword: str) -> _Attribute | None:
    tag = tag_for_keyword(keyword)
    return None if tag is None else _Attribute(f"{tag:08X}", frozenset(dictionary_VR(tag).split(" or ")))


_SOP_INSTANCE_UID: Final = _Attribute("00080018", frozenset({"UI"}))
_PATIENT_ID: Final = _Attribute("00100020", frozenset({"LO"}))
_ISSUER: Final = _Attribute("00100021", frozenset({"LO"}))
_ACCESSION: Final = _Attribute("00080050", frozenset({"SH"}))
# By these holds, lists of dates and a patient's other studies are found, or they speak against a deletion: a study in
# which one of them cannot be read is kept.
_MUST_BE_TEXTS: Final = (
    _PATIENT_ID,
    _ISSUER,
    _ACCESSION,
    _Attribute("00100030", frozenset({"DA"})),  # PatientBirthDate
    _Attribute("00101010", frozenset({"AS"})),  # PatientAge
)


class Summing:
    """Takes instances one by one, so that a study of any size takes little memory.

    Args:
        keywords: of the attributes to keep. Those that DICOM's dictionary does not have stay unknown, as do sequences
            and binary values.
        hasher: for what identifies a patient.
    """

    def __init__(self, keywords: Iterable[str], hasher: Hasher) -> None:
        self._attributes = {keyword: _attribute(keyword) for keyword in keywords}
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
        self._uids += _number_of("\\".join(_texts(instance, _SOP_INSTANCE_UID) or ()))
        for keyword, attribute in self._attributes.items():
            values = _texts(instance, attribute) if attribute else None
            self._found[keyword].update(values or ())
            if keyword == DESCRIPTION and values:  # its words are looked for beyond the ends of its values, too
                self._found[keyword].add("\\".join(values))
            if not values:
                self._lacking.add(keyword)
        self._patients |= set(self._patients_of(instance))
        self._accessions |= {
            self._hasher.accession(number) for number in _identifiers(instance.get(_ACCESSION.tag, {})) or ()
        }
        self._is_readable &= all(_texts(instance, attribute) is not None for attribute in _MUST_BE_TEXTS)

    def reading(self, etag: str | None) -> Reading:
        """Return what they tell together."""
        patients = frozenset(patient for patient in self._patients if patient)
        is_agreed = len(self._patients) <= 1
        reading = Reading(
            attributes={keyword: self._values(keyword) for keyword in self._attributes},
            patient=next(iter(patients), None) if is_agreed else None,
            accessions=frozenset(number for number in self._accessions if number),
            instances=self._instances,
            etag=etag,
            uids=f"{self._uids % _MODULUS:032x}",
            further_patients=frozenset() if is_agreed else patients,
            is_whole=is_agreed and self._is_readable,
            is_anybodys=self._is_anybodys,
        )
        return fitted(reading)

    def _values(self, keyword: str) -> Values:
        return Values(frozenset(self._found[keyword]), bool(self._instances) and keyword not in self._lacking)

    def _patients_of(self, instance: Instance) -> Iterator[Patient | None]:
        patient_ids = _identifiers(instance.get(_PATIENT_ID.tag, {}))
        self._is_anybodys |= patient_ids is None
        hashed = self._hasher.patient_alike if _texts(instance, _PATIENT_ID) is None else self._hasher.patient
        # An issuer that cannot be read counts as none, which goes with every issuer.
        issuers = _texts(instance, _ISSUER)
        for patient_id in patient_ids or [""]:
            yield from (hashed(patient_id, issuer) for issuer in issuers or [""])


def _number_of(uid: str) -> int:
    """Return a number for an instance: the sum over a study tells its instances from others, in whatever order."""
    return int.from_bytes(hashlib.sha256(uid.encode("utf-8", "surrogatepass")).digest())


def without_blanks(text: str) -> str:
    """Return a value without what pads it: blanks, and the NULs of some writers."""
    return text.strip(_BLANKS)


def is_one_text(value: object) -> TypeGuard[str]:
    """Say whether a value is a text as the file has it.

    A number, or a text of several values, may have been written otherwise, and a text may not have been decoded.
    """
    return isinstance(value, str) and "\\" not in value and not _UNDECODED.search(value)


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
    if any(map(_UNDECODED.search, texts)):
        return None
    parts = (part for text in texts for part in {text, *text.split("\\")})
    return list(filter(None, map(without_blanks, parts))) if texts else None


def _texts(instance: Instance, attribute: _Attribute) -> list[str] | None:
    """Return the values of an attribute as texts, without blanks at their ends; those that look blank are none.

    None if one of them cannot be read: it is not in the form that DICOM has for it (PS3.18 Annex F.2), so that nobody
    can tell what the file has. Nulls are blank values (Annex F.2.5).
    """
    if attribute.tag not in instance:
        return []
    element = instance[attribute.tag]
    if not isinstance(element, Mapping) or not element.keys() <= {"vr", "Value"}:
        return None
    vr, values = element.get("vr"), element.get("Value", [])
    if vr not in attribute.vrs or not isinstance(values, list):
        return None
    present = [value for value in values if value is not None]
    if not all(_is_readable(vr, value) for value in present):
        return None
    texts = [without_blanks(text) for value in present for text in _texts_of(value)]
    return [text for text in texts if visible(text).strip()]


def _is_readable(vr: str, value: object) -> bool:
    """Say whether a value is in the form that DICOM JSON has for its VR."""
    if vr == "PN":
        return isinstance(value, Mapping) and all(map(is_one_text, value.values()))
    if vr in NUMBERS and not isinstance(value, str):
        return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    if vr in NUMBERS:
        return not (number := without_blanks(str(value))) or NUMBER.fullmatch(number) is not None
    if vr in _OF_ONE_TEXT:
        return isinstance(value, str) and not _UNDECODED.search(value)
    return (vr in _TEXTS or vr == "AT") and is_one_text(value)


def _texts_of(value: object) -> Iterator[str]:
    """Yield a value as text; of a person's name each of its groups: whoever looks for one may know any of them."""
    if isinstance(value, Mapping):
        yield from (group for group in value.values() if isinstance(group, str))
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)
