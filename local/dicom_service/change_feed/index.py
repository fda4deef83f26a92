"""The change feed in the index: what was created and deleted, in order, and what has become of it since."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from local.dicom_service.change_feed import timestamps
from local.dicom_service.stored.database import Database

Action = Literal["Create", "Delete"]

EARLIEST, LATEST = -(2**63), 2**63 - 1

_WITH_PRESENT = """
    SELECT entry.*, data_partition.name AS partition_name, instance.key AS current_key FROM ({page}) AS entry
    LEFT JOIN data_partition ON data_partition.key = entry.partition_key
    LEFT JOIN study ON study.StudyInstanceUID = entry.StudyInstanceUID AND study.partition_key = entry.partition_key
    LEFT JOIN series ON series.study_key = study.key AND series.SeriesInstanceUID = entry.SeriesInstanceUID
    LEFT JOIN instance ON instance.series_key = series.key AND instance.SOPInstanceUID = entry.SOPInstanceUID
    ORDER BY entry.timestamp, entry.sequence"""
_WINDOW = _WITH_PRESENT.format(
    page="SELECT * FROM change_feed WHERE timestamp >= ? AND timestamp < ? "
    "ORDER BY timestamp, sequence LIMIT ? OFFSET ?"
)
_LATEST = _WITH_PRESENT.format(page="SELECT * FROM change_feed ORDER BY timestamp DESC, sequence DESC LIMIT 1")


@dataclass(frozen=True)
class Window:
    """Part of the feed: from `start`, before `end`, both in ticks; the first `offset` entries are skipped."""

    start: int
    end: int
    limit: int
    offset: int


@dataclass(frozen=True)
class Entry:
    """One entry; `key` is the version that it is about, `current_key` the one that is there now, if any."""

    sequence: int
    ticks: int
    partition_name: str
    action: str
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    key: int
    current_key: int | None

    @property
    def state(self) -> str:
        """Return what has become of the version that the entry is about."""
        if self.current_key is None:
            return "Deleted"
        return "Current" if self.current_key == self.key else "Replaced"


def add(connection: sqlite3.Connection, action: Action, instances: Iterable[tuple[object, ...]]) -> None:
    """Add an entry for each instance, given as its partition, its three UIDs and its key.

    It belongs to the transaction that creates or deletes them.
    """
    now = timestamps.now()
    names = "timestamp, action, partition_key, StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID, instance_key"
    query = f"INSERT INTO change_feed ({names}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - the names stand above
    connection.executemany(query, [(now, action, *instance) for instance in instances])


def read(database: Database, window: Window) -> list[Entry]:
    """Return the entries of a window, by time and then by sequence."""
    with database.read() as connection:
        rows = connection.execute(_WINDOW, (window.start, window.end, window.limit, window.offset)).fetchall()
    return [_entry(row) for row in rows]


def read_latest(database: Database) -> Entry | None:
    """Return the last entry, None if there is none yet."""
    with database.read() as connection:
        row = connection.execute(_LATEST).fetchone()
    return None if row is None else _entry(row)


def _entry(row: sqlite3.Row) -> Entry:
    return Entry(
        sequence=row["sequence"],
        ticks=row["timestamp"],
        partition_name=row["partition_name"],
        action=row["action"],
        study_instance_uid=row["StudyInstanceUID"],
        series_instance_uid=row["SeriesInstanceUID"],
        sop_instance_uid=row["SOPInstanceUID"],
        key=row["instance_key"],
        current_key=row["current_key"],
    )
