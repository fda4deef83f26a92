"""The RowKeys of a study in the ledger's table: its own key, and one for each index (pure).

    s:<uid>:<partition>                 every study
    d:<last day kept>:<uid>:…           studies that fall due, by day
    w:<day>:<uid>:…                     studies that wait for a date in the future, by the last day on which they wait
    p:<patient group>:<uid>:…           every study that was read, by its patient; `NO_PATIENT` if it has none
    x:<uid>:…                           studies of more patients than `MOST_INDEXED`, and those for every patient
    a:<accession>:<uid>:…               by accession number
    l:<uid>:…                           studies that are kept because something is unknown
    m:<uid>:…                           studies that are to be read again
    c:studies, c:<month>:<modality>     counts
    progress

UIDs, partition names and hashes have no character that Azure forbids in a key.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final
from urllib.parse import quote, unquote

from purge_study.policy.policy import State

from .row import Row, StudyKey

STUDIES: Final = "s:"
DUE: Final = "d:"
WAITING: Final = "w:"
PATIENTS: Final = "p:"
NO_PATIENT: Final = ""  # the group of studies that name no patient
OF_MANY: Final = "x:"
ACCESSIONS: Final = "a:"
LISTED: Final = "l:"
MARKS: Final = "m:"
COUNTS: Final = "c:"
COUNT_OF_STUDIES: Final = "c:studies"
PROGRESS: Final = "progress"
MOST_INDEXED: Final = 10
_LONGEST_MODALITY = 64


def study_row(key: StudyKey) -> str:
    """Return the key of a study's own row."""
    return f"{STUDIES}{_study(key)}"


def mark_row(key: StudyKey) -> str:
    """Return the key of a study's mark."""
    return f"{MARKS}{_study(key)}"


def after(prefix: str) -> str:
    """Return the first key after all keys with a prefix."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def order(identifier: str) -> str:
    """Return the sort key by which identifiers have the order of an index: the colon behind each comes after a dot."""
    return f"{identifier}:"


def study_of_mark(row_key: str) -> StudyKey:
    """Return the study that a mark is for."""
    uid, partition = row_key.removeprefix(MARKS).split(":")
    return StudyKey(partition, uid)


def group_of(row_key: str) -> str:
    """Return the patient group of a key in the index of patients."""
    return row_key.split(":")[1]


def last_day(row: Row) -> date | None:
    """Return the last day on which a study is kept; None if the study does not fall due.

    A study that is not known in full never falls due, whatever its judgement says.
    """
    if row.purged_at or row.reading is None or not row.reading.is_whole or row.judgement is None:
        return None
    return row.judgement.keep_until if row.judgement.state in (State.KEPT, State.DUE) else None


def rows_of(row: Row) -> frozenset[str]:
    """Return all keys of a row."""
    return frozenset({study_row(row.key), *_indexes(row)})


def counts_of(row: Row) -> frozenset[str]:
    """Return the counts that include a study: none if it was purged, or has not been read."""
    if row.purged_at or row.reading is None:
        return frozenset()
    day = last_day(row)
    return frozenset({COUNT_OF_STUDIES} if day is None else {COUNT_OF_STUDIES, _month_row(day, row)})


def month_and_modality(row_key: str) -> tuple[str, str]:
    """Return the month and the modality of a count; not for the count of all studies."""
    _, month, modality = row_key.split(":")
    return month, unquote(modality)


def _month_row(day: date, row: Row) -> str:
    found = row.reading.attributes["Modality"].found if row.reading and "Modality" in row.reading.attributes else ()
    modality = "\\".join(sorted(found))[:_LONGEST_MODALITY]
    return f"{COUNTS}{day.isoformat()[:7]}:{quote(modality, safe='', errors='replace')}"


def _indexes(row: Row) -> Iterator[str]:
    study = _study(row.key)
    if day := last_day(row):
        yield f"{DUE}{day.isoformat()}:{study}"
    if day := _unknown_until(row):
        yield f"{WAITING}{day.isoformat()}:{study}"
    if row.reading:
        groups = sorted({patient.group for patient in row.reading.all_patients}) or [NO_PATIENT]
        yield from (f"{PATIENTS}{group}:{study}" for group in groups[:MOST_INDEXED])
        if len(groups) > MOST_INDEXED or row.reading.is_anybodys:
            yield f"{OF_MANY}{study}"
        yield from (f"{ACCESSIONS}{accession}:{study}" for accession in row.reading.accessions)
    if row.judgement and row.judgement.state is State.UNKNOWN and not row.purged_at:
        yield f"{LISTED}{study}"


def _unknown_until(row: Row) -> date | None:
    """Return until when a study is kept because of a date in the future; None if it has no such date."""
    return row.judgement.unknown_until if row.judgement and row.reading and not row.purged_at else None


def _study(key: StudyKey) -> str:
    return f"{key.uid}:{key.partition}"
