"""Rows of the ledger as tests need them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from purge_study.ledger.row import Patient, Reading, Row, StudyKey
from purge_study.policy.facts import Values
from purge_study.policy.policy import Judgement, State
from shared.dicomweb.partitions import DEFAULT_PARTITION

RECEIVED = datetime(2016, 3, 5, 12, tzinfo=UTC)
LAST_DAY = date(2026, 3, 5)


def study(uid: str, partition: str = DEFAULT_PARTITION) -> StudyKey:
    return StudyKey(partition, uid)


def patient(name: str, issuer: str | None = None) -> Patient:
    return Patient(f"exact{name}", f"group{name.lower().lstrip('0')}", issuer)


def reading(
    attributes: Mapping[str, str] | None = None,
    *,
    patient: Patient | None = None,
    accessions: frozenset[str] = frozenset(),
) -> Reading:
    told = {"Modality": "CT", "StudyDate": "20160305", **(attributes or {})}
    values = {keyword: Values(frozenset({value}), is_complete=True) for keyword, value in told.items()}
    return Reading(values, patient, accessions, instances=1, etag="1")


def kept_until(day: date, state: State = State.KEPT) -> Judgement:
    return Judgement(state, day, "rule", {"study_date": date(2016, 3, 5)})


def row(key: StudyKey, **fields: Any) -> Row:
    defaults: dict[str, Any] = {
        "received": RECEIVED,
        "reading": reading(),
        "judgement": kept_until(LAST_DAY),
        "judged_by": "policy",
        "told_until": fields.get("received", RECEIVED),
    }
    return Row(key, **{**defaults, **fields})
