"""What is known of a study when it is judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime


@dataclass(frozen=True)
class Values:
    """The values of an attribute over a study's instances.

    Args:
        found: each value that an instance has, as text, without blanks at its ends.
        is_complete: whether every instance has one; False where there is none at all.
    """

    found: frozenset[str] = frozenset()
    is_complete: bool = False


@dataclass(frozen=True)
class StudyFacts:
    """A study as its rules see it; everything as it was read, nothing resolved yet.

    Args:
        partition: of the service; `Microsoft.Default` where it has none.
        attributes: what its instances hold, by keyword. A keyword that is not there is unknown.
        received: when the newest instance was received; None where the change feed did not tell.
        patient_studies: StudyDate of each of the patient's studies, this one included, purged ones too; None where
            it is not known whose study this is.
        anchors: what lists say of this patient, by the anchor's name: the latest date, or one that cannot be
            (`dates.UNCLEAR`) if it is unclear. A list that says nothing of this patient is not there.
        patient_birth_dates: each PatientBirthDate of the patient's other studies, purged ones too; None if it is not
            known whose study this is, or what one of the others has.
    """

    partition: str
    attributes: Mapping[str, Values]
    received: datetime | None = None
    patient_studies: tuple[Values, ...] | None = None
    anchors: Mapping[str, date] = field(default_factory=dict)
    patient_birth_dates: frozenset[str] | None = frozenset()
