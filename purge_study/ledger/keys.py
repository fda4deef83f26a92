"""Under which RowKeys a study stands in the ledger's table: its own, and one in each index (pure).

    s:<uid>:<partition>                 every study
    d:<last day kept>:<uid>:…           those that fall due, by day
    w:<day>:<uid>:…                     those that are kept for a date in the future, by the last day on which it is
    p:<patient group>:<uid>:…           every study that was read, by its patient; those of nobody in the group `NOBODY`
    a:<accession>:<uid>:…               by accession number
    l:<uid>:…                           those that are kept because something is unknown
    m:<uid>:…                           marks: to be read again
    c:studies, c:<month>:<modality>     counts
    progress

UIDs, names of partitions and hashes hold none of the characters that a key must not have.
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
NOBODY: Final = ""  # the group of studies that name no patient
ACCESSIONS: Final = "a:"
LISTED: Final = "l:"
MARKS: Final = "m:"
COUNTS: Final = "c:"
COUNT_OF_STUDIES: Final = "c:studies"
PROGRESS: Final = "progress"
_LONGEST_MODALITY = 64


def study_row(key: StudyKey) -> str:
    """Return the key of a study's own row."""
    return f"{STUDIES}{_study(key)}"


def mark_row(key: StudyKey) -> str:
    """Return the key of a study's mark."""
    return f"{MARKS}{_study(key)}"


def after(prefix: str) -> str:
    """Return what follows all keys with a prefix."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def order(identifier: str) -> str:
    """Return by what identifiers are sorted as indexes order them: the colon behind each comes after a dot."""
    return f"{identifier}:"


def study_of_mark(row_key: str) -> StudyKey:
    """Return whose mark it is."""
    uid, partition = row_key.removeprefix(MARKS).split(":")
    return StudyKey(partition, uid)


def group_of(row_key: str) -> str:
    """Return the patient group of a key in the index of patients."""
    return row_key.split(":")[1]


def last_day(row: Row) -> date | None:
    """Return the last day of a study that falls due after it; None of one that does not.

    None of what is not known in full may come up as due, whatever it was judged to be.
    """
    if row.purged_at or row.reading is None or not row.reading.is_whole or row.judgement is None:
        return None
    return row.judgement.keep_until if row.judgement.state in (State.KEPT, State.DUE) else None


def rows_of(row: Row) -> frozenset[str]:
    """Return all keys under which a row stands."""
    return frozenset({study_row(row.key), *_indexes(row)})


def counts_of(row: Row) -> frozenset[str]:
    """Return the counts in which a study counts: none if it is not there, or has not been read."""
    if row.purged_at or row.reading is None:
        return frozenset()
    day = last_day(row)
    return frozenset({COUNT_OF_STUDIES} if day is None else {COUNT_OF_STUDIES, _month_row(day, row)})


def month_and_modality(row_key: str) -> tuple[str, str]:
    """Return what a count other than that of all studies counts."""
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
        groups = {patient.group for patient in row.reading.all_patients} or {NOBODY}
        yield from (f"{PATIENTS}{group}:{study}" for group in groups)
        yield from (f"{ACCESSIONS}{accession}:{study}" for accession in row.reading.accessions)
    if row.judgement and row.judgement.state is State.UNKNOWN and not row.purged_at:
        yield f"{LISTED}{study}"


def _unknown_until(row: Row) -> date | None:
    """Return until when a study is kept for a date in the future; None of one that is not."""
    return row.judgement.unknown_until if row.judgement and row.reading and not row.purged_at else None


def _study(key: StudyKey) -> str:
    return f"{key.uid}:{key.partition}"
