"""Are two instances of the same patient? By PatientID and PatientBirthDate, as they stand in the files (pure)."""

from __future__ import annotations

from pydicom.charset import python_encoding

from shared.part10 import Patient

_PADDING = b" \0"
_ESCAPE = b"\x1b"  # begins a change of the character set (PS3.5 §6.1.2.5)


def is_same_patient(one: Patient | None, other: Patient | None) -> bool:
    """Say whether neither value would change; padding is no part of a value, and a missing one is like an empty one.

    Where it cannot be told, be it that a value was not read or cannot be decoded, they are not the same.
    """
    if one is None or other is None:
        return False
    return one.birth_date.rstrip(_PADDING) == other.birth_date.rstrip(_PADDING) and _have_same_id(one, other)


def _have_same_id(one: Patient, other: Patient) -> bool:
    if _bytes(one) == _bytes(other):
        return True
    text = _text(one)
    return text is not None and text == _text(other)


def _bytes(patient: Patient) -> tuple[bytes, bytes]:
    return patient.patient_id.rstrip(_PADDING), patient.character_set.rstrip(_PADDING)


def _text(patient: Patient) -> str | None:
    """Decode a PatientID; None where that takes more than one character set, or is not possible."""
    patient_id, character_set = _bytes(patient)
    if patient_id.isascii() and _ESCAPE not in patient_id:
        return patient_id.decode("ascii")
    try:
        return patient_id.decode(python_encoding[character_set.decode("ascii")])
    except (KeyError, LookupError, UnicodeError):
        return None
