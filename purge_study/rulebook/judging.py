"""A study of the ledger, judged by the rulebook (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date

from purge_study.ledger.row import Patient, Row
from purge_study.policy.facts import StudyFacts, Values
from purge_study.policy.policy import Doubt, Judgement, State, judge

from .rulebook import Rulebook


def judge_row(rulebook: Rulebook, row: Row, group: Iterable[Row], today: date) -> Row:
    """Return a row with its judgement of today.

    Args:
        rulebook: the policy with its lists.
        row: of a study that has been read.
        group: all rows of the same patient group (`Ledger.of_patient`), this one included or not.
        today: the day in the policy's time zone.
    """
    return replace(row, judgement=judgement_of(rulebook, row, group, today), judged_by=rulebook.policy_hash)


def judgement_of(rulebook: Rulebook, row: Row, group: Iterable[Row], today: date) -> Judgement:
    """Judge a study; one whose reading is not whole is kept, with the doubt `not_whole`. For arguments see above."""
    judgement = judge(rulebook.policy, facts_of(rulebook, row, group), today)
    if row.reading is not None and not row.reading.is_whole:
        return Judgement(State.UNKNOWN, doubts=(Doubt("not_whole"), *judgement.doubts))
    return judgement


def facts_of(rulebook: Rulebook, row: Row, group: Iterable[Row]) -> StudyFacts:
    """Return what the rules see of a study."""
    if row.reading is None:
        return StudyFacts(row.key.partition, {}, row.received)
    patient = row.reading.patient
    others = [other for other in group if other.key != row.key and other.reading is not None]
    whose = [other for one in others if one.reading is not None for other in one.reading.all_patients]
    same = None if patient is None else [other for other in others if _is_of(other, patient)]
    return StudyFacts(
        row.key.partition,
        row.reading.attributes,
        row.received,
        None if same is None else tuple(_study_date(one) for one in (row, *same)),
        rulebook.anchors_of(patient, whose),
        None if same is None else _birth_dates(same),
    )


def is_same_patient(one: Patient, other: Patient) -> bool:
    """Say whether two studies are one patient's: the same id, and issuers that do not differ."""
    return one.has_id_of(other) and one.has_issuer_of(other)


def _is_of(row: Row, patient: Patient) -> bool:
    reading = row.reading
    return reading is not None and (
        reading.is_anybodys or any(is_same_patient(one, patient) for one in reading.all_patients)
    )


def _study_date(row: Row) -> Values:
    return row.reading.attributes.get("StudyDate", Values()) if row.reading else Values()


def _birth_dates(rows: Iterable[Row]) -> frozenset[str] | None:
    """Return the birth dates that studies name; None if a study may name one that was not read, or is not kept here."""
    found: set[str] = set()
    for reading in (row.reading for row in rows if row.reading):
        values = reading.attributes.get("PatientBirthDate")
        if values is None or not (values.is_complete or reading.is_whole):
            return None
        found |= values.found
    return frozenset(found)
