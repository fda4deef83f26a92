"""Instances whose store has begun and never ended, since the service died in between: rows of their own.

They cannot be found. Storing them again fails with 45071, until they are deleted.
"""

from __future__ import annotations

import sqlite3

# The partition's key and the three UIDs. The last ones may be missing: a whole series, or a whole study.
InstanceUIDs = tuple[int, str, str | None, str | None]

_CONDITION = (
    "partition_key = ? AND StudyInstanceUID = ? AND SeriesInstanceUID = coalesce(?, SeriesInstanceUID) "
    "AND SOPInstanceUID = coalesce(?, SOPInstanceUID)"
)


def add(connection: sqlite3.Connection, uids: InstanceUIDs, file_name: str) -> None:
    """Add an instance; the first attempt at it counts."""
    connection.execute("INSERT OR IGNORE INTO unfinished VALUES (?, ?, ?, ?, ?)", (*uids, file_name))


def exists(connection: sqlite3.Connection, uids: InstanceUIDs) -> bool:
    """Tell whether there is one."""
    query = f"SELECT 1 FROM unfinished WHERE {_CONDITION}"  # noqa: S608 - the condition is ours
    return connection.execute(query, uids).fetchone() is not None


def delete(connection: sqlite3.Connection, uids: InstanceUIDs) -> list[str]:
    """Delete all of an instance, a series or a study, and return the names of their files."""
    query = f"DELETE FROM unfinished WHERE {_CONDITION} RETURNING file_name"  # noqa: S608 - the condition is ours
    return [file_name for (file_name,) in connection.execute(query, uids).fetchall()]
