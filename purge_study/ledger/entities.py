"""A row as an entity of Table storage, and back (pure).

A study stands under several RowKeys with the same content, so that every index answers in one query. What is more than
one property or transaction can hold is cut before it is judged: `fitted`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any, Final

from purge_study.policy.facts import Values
from purge_study.policy.policy import Doubt, Judgement, State

from .row import Patient, Reading, Row, StudyKey

PARTITION_KEY: Final = "ledger"
Entity = dict[str, Any]
# A transaction may have 100 operations and 4 MiB: at worst those for the old and the new numbers and patients of one
# study, with all that is known of it in each. Of more patients than `keys.MOST_INDEXED`, not each has a row.
MOST_ACCESSIONS: Final = 30
MOST_PATIENTS: Final = 50
_MOST_CHARACTERS = 16_000
# By which version of `Hasher` a reading's issuers are hashed: one of another version may be any issuer.
_HASHED_AS = 1
_MOST_CHARACTERS_OF_DOUBTS = 4_000


def fitted(reading: Reading) -> Reading:
    """Return what of a reading the ledger can hold; where that is not all, it is not whole, and the study is kept."""
    attributes = dict(reading.attributes)
    while len(_json(_attributes(attributes))) > _MOST_CHARACTERS:
        largest = max(attributes, key=lambda keyword: len(_json(sorted(attributes[keyword].found))))
        if not attributes[largest].found:
            break
        attributes[largest] = Values()
    cut = replace(
        reading,
        attributes=attributes,
        accessions=frozenset(sorted(reading.accessions)[:MOST_ACCESSIONS]),
        further_patients=frozenset(sorted(reading.further_patients, key=_patient)[:MOST_PATIENTS]),
        is_anybodys=reading.is_anybodys or len(reading.further_patients) > MOST_PATIENTS,
    )
    return cut if cut == reading else replace(cut, is_whole=False)


def entity_of(row: Row, row_key: str) -> Entity:
    """Return a row as it stands under one of its keys."""
    columns = {
        "received": _time(row.received),
        "reading": row.reading and _json(_reading(row.reading)),
        "judgement": row.judgement and _json(_judgement(row.judgement)),
        "judged_by": row.judged_by,
        "purged_at": _time(row.purged_at),
        "told_until": _time(row.told_until),
    }
    return {
        "PartitionKey": PARTITION_KEY,
        "RowKey": row_key,
        "partition": row.key.partition,
        "study": row.key.uid,
        "failures": row.failures,
        "has_late_instance": row.has_late_instance,
        **{name: value for name, value in columns.items() if value is not None},
    }


def row_of(entity: Mapping[str, Any]) -> Row:
    """Return the row that an entity holds."""
    reading, judgement = entity.get("reading"), entity.get("judgement")
    return Row(
        StudyKey(entity["partition"], entity["study"]),
        received=time_in(entity, "received"),
        reading=None if reading is None else _reading_of(json.loads(reading)),
        judgement=None if judgement is None else _judgement_of(json.loads(judgement)),
        judged_by=entity.get("judged_by"),
        purged_at=time_in(entity, "purged_at"),
        failures=entity["failures"],
        has_late_instance=entity["has_late_instance"],
        # An earlier version did not write it.
        told_until=time_in(entity, "told_until") or time_in(entity, "received"),
    )


def mark_entity(row_key: str, received: datetime | None) -> Entity:
    """Return a mark, with the time of the newest `Create` that the study's own row may not have yet."""
    key = {"PartitionKey": PARTITION_KEY, "RowKey": row_key}
    return key if received is None else {**key, "received": _time(received)}


def time_in(entity: Mapping[str, Any], column: str) -> datetime | None:
    """Return a point in time."""
    return datetime.fromisoformat(entity[column]) if entity.get(column) else None


def later(one: datetime | None, other: datetime | None) -> datetime | None:
    """Return the later of two times; one that is not known does not count."""
    return max((time for time in (one, other) if time is not None), default=None)


def _time(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _attributes(attributes: Mapping[str, Values]) -> dict[str, Any]:
    return {keyword: [sorted(values.found), values.is_complete] for keyword, values in sorted(attributes.items())}


def _reading(reading: Reading) -> dict[str, Any]:
    return {
        "attributes": _attributes(reading.attributes),
        "patient": reading.patient and _patient(reading.patient),
        "further_patients": sorted(map(_patient, reading.further_patients)),
        "accessions": sorted(reading.accessions),
        "instances": reading.instances,
        "etag": reading.etag,
        "uids": reading.uids,
        "is_whole": reading.is_whole,
        "is_anybodys": reading.is_anybodys,
        "hashed_as": _HASHED_AS,
    }


def _reading_of(document: dict[str, Any]) -> Reading:
    is_known = document.get("hashed_as") == _HASHED_AS
    return Reading(
        attributes={
            keyword: Values(frozenset(found), is_complete)
            for keyword, (found, is_complete) in document["attributes"].items()
        },
        patient=_patient_of(document["patient"], is_known) if document["patient"] else None,
        further_patients=frozenset(_patient_of(one, is_known) for one in document["further_patients"]),
        accessions=frozenset(document["accessions"]),
        instances=document["instances"],
        etag=document["etag"],
        uids=document.get("uids"),
        is_whole=document["is_whole"],
        is_anybodys=document.get("is_anybodys", False),
    )


def _patient(patient: Patient) -> list[str]:
    return [patient.exact, patient.group, patient.issuer or ""]


def _patient_of(hashes: list[str], is_issuer_known: bool) -> Patient:
    exact, group, issuer = hashes
    return Patient(exact, group, (issuer or None) if is_issuer_known else None)


def _judgement(judgement: Judgement) -> dict[str, Any]:
    return {
        "state": judgement.state.value,
        "keep_until": judgement.keep_until and judgement.keep_until.isoformat(),
        "rule": judgement.rule,
        "dates": {anchor: day.isoformat() for anchor, day in judgement.dates.items()},
        "unknown_until": judgement.unknown_until and judgement.unknown_until.isoformat(),
        "doubts": _as_many_as_fit([[doubt.code, doubt.rule, list(doubt.about)] for doubt in judgement.doubts]),
    }


def _as_many_as_fit(doubts: list[Any]) -> list[Any]:
    """Return the first doubts: they explain, one of them is enough to keep a study."""
    while len(doubts) > 1 and len(_json(doubts)) > _MOST_CHARACTERS_OF_DOUBTS:
        doubts = doubts[: len(doubts) // 2]
    return doubts


def _judgement_of(document: dict[str, Any]) -> Judgement:
    return Judgement(
        State(document["state"]),
        keep_until=date.fromisoformat(document["keep_until"]) if document["keep_until"] else None,
        rule=document["rule"],
        dates={anchor: date.fromisoformat(day) for anchor, day in document["dates"].items()},
        doubts=tuple(Doubt(code, rule, tuple(about)) for code, rule, about in document["doubts"]),
        unknown_until=date.fromisoformat(until) if (until := document.get("unknown_until")) else None,
    )
