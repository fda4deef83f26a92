"""Two instances are of the same patient, or it cannot be told, which comes to the same as not."""

from __future__ import annotations

import pytest

from shared.part10 import Patient
from store_on_upload.storing.patient import is_same_patient

LATIN, UTF8 = b"ISO_IR 100", b"ISO_IR 192"
SAME = [
    (Patient(b"P1", b"19700101"), Patient(b"P1", b"19700101")),
    (Patient(b"P1 ", b"19700101"), Patient(b"P1\0", b"19700101  ")),
    (Patient(b"P1", b""), Patient(b"P1", b"  ")),
    (Patient(b"", b""), Patient(b"", b"")),
    (Patient(b"P1", b"", LATIN), Patient(b"P1", b"", UTF8)),
    (Patient(b"P1", b"", b""), Patient(b"P1", b"", rb"\ISO 2022 IR 87")),
    (Patient("Ä1".encode("latin-1"), b"", LATIN), Patient("Ä1".encode(), b"", UTF8 + b" ")),
    # In character sets that are not followed, the bytes must be equal.
    (Patient(b"\x1b$B8", b"", rb"\ISO 2022 IR 87"), Patient(b"\x1b$B8 ", b"", rb"\ISO 2022 IR 87")),
    (Patient(b"\xff1", b"", b"no such set"), Patient(b"\xff1", b"", b"no such set")),
]
OTHERS = [
    (Patient(b"P1", b"19700101"), Patient(b"P2", b"19700101")),
    (Patient(b"P1", b"19700101"), Patient(b"p1", b"19700101")),
    (Patient(b"P1", b"19700101"), Patient(b" P1", b"19700101")),
    (Patient(b"P1", b"19700101"), Patient(b"P1", b"19700102")),
    (Patient(b"P1", b"19700101"), Patient(b"P1", b"")),
    (Patient(b"P1", b""), Patient(b"", b"")),
    (Patient(b"\xc41", b"", LATIN), Patient(b"\xc41", b"", b"ISO_IR 144")),  # the same bytes, another letter
    (Patient(b"\xff1", b"", UTF8), Patient("ÿ1".encode("latin-1"), b"", LATIN)),  # not UTF-8
    (Patient(b"\xff1", b"", b"no such set"), Patient(b"\xff1", b"", LATIN)),
    (Patient(b"\x1b$B8", b"", rb"\ISO 2022 IR 87"), Patient(b"\x1b$B8", b"", LATIN)),
    (Patient(b"\xff1", b"", b"\xff"), Patient(b"\xff1", b"", LATIN)),
    (None, Patient(b"P1", b"")),
    (None, None),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same(one: Patient, other: Patient) -> None:
    """Padding, and the character set of what needs none, are no difference."""
    assert is_same_patient(one, other)
    assert is_same_patient(other, one)


@pytest.mark.parametrize(("one", "other"), OTHERS)
def test_not_the_same(one: Patient | None, other: Patient | None) -> None:
    """Whatever would change, or cannot be told."""
    assert not is_same_patient(one, other)
    assert not is_same_patient(other, one)


def test_a_patient_is_not_shown() -> None:
    """Neither value stands in what an exception or a debugger's line might print."""
    assert "P1" not in repr(Patient(b"P1", b"19700101"))
    assert "1970" not in repr(Patient(b"P1", b"19700101"))
