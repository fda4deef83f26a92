"""The index: which studies, series and instances there are. One transaction for each change.

Each change also adds to the change feed, which belongs to the same transaction.
"""

# ruff: noqa: S608 - the names in the SQL come from tables in this code; every value is bound

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass

from local.dicom_service.change_feed import index as change_feed_index
from local.dicom_service.change_feed import timestamps
from local.dicom_service.extended_query_tags import index as extended_index
from local.dicom_service.instances.examine import Instance
from local.dicom_service.retrieve.pixel_data import PixelData
from local.dicom_service.search import matching
from local.dicom_service.search.attributes import Level, indexed_at
from local.dicom_service.stored import unfinished
from local.dicom_service.stored.database import Database
from local.dicom_service.stored.schema import INSTANCES

Identity = dict[str, matching.Key | None]


class AlreadyStored(Exception):
    """An instance with these three UIDs is there."""


@dataclass(frozen=True)
class Target:
    """A study, series or instance, by its partition and its canonical UIDs."""

    partition_key: int
    study_instance_uid: str
    series_instance_uid: str | None = None
    sop_instance_uid: str | None = None

    @property
    def level(self) -> Level:
        """Return which of the three it is."""
        if self.sop_instance_uid is not None:
            return Level.INSTANCE
        return Level.STUDY if self.series_instance_uid is None else Level.SERIES

    def condition(self) -> tuple[str, list[str | int]]:
        """Return the SQL condition on the joined tables, and its parameters."""
        columns: dict[str, str | int | None] = {
            "study.partition_key": self.partition_key,
            "study.StudyInstanceUID": self.study_instance_uid,
            "series.SeriesInstanceUID": self.series_instance_uid,
            "instance.SOPInstanceUID": self.sop_instance_uid,
        }
        given = {column: value for column, value in columns.items() if value is not None}
        return " AND ".join(f"{column} = ?" for column in given), list(given.values())


@dataclass(frozen=True)
class StoredInstance:
    """What is needed to send an instance."""

    key: int
    transfer_syntax_uid: str
    file_name: str
    pixel_data: PixelData | None


# What the change feed has of an instance.
_IDENTITY = ("partition_key", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "key")


class Index:
    """The rows of the studies; methods block, so call them in a thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, target: Target, instance: Instance, file_name: str, *, replace: bool = False, lifetime: int | None = None
    ) -> list[str]:
        """Add an instance whose file is in its place, and return the name of the file that it replaces, if any.

        Its study expires after `lifetime`, in ticks; if that is None, not at all.

        Raises:
            AlreadyStored: there is one with its UIDs, and it is not to be replaced.
        """
        study: Identity = {"partition_key": target.partition_key, "StudyInstanceUID": target.study_instance_uid}
        with self._database.write() as connection:
            replaced = _take_out(connection, target) if replace else []
            study_key = _put(connection, Level.STUDY, study, instance)
            _expire(connection, study_key, lifetime)
            within: Identity = {"partition_key": target.partition_key, "study_key": study_key}
            series: Identity = {**within, "SeriesInstanceUID": target.series_instance_uid}
            series_key = _put(connection, Level.SERIES, series, instance)
            identity: Identity = {**within, "series_key": series_key, "SOPInstanceUID": target.sop_instance_uid}
            key = _insert_instance(connection, identity, instance, file_name)
            connection.execute("INSERT INTO metadata VALUES (?, ?)", (key, instance.metadata))
            keys = {Level.STUDY: study_key, Level.SERIES: series_key, Level.INSTANCE: key}
            extended_index.add(connection, keys, instance)
            change_feed_index.add(connection, "Create", [(*astuple(target), key)])
        return [row["file_name"] for row in replaced]

    def leave_unfinished(self, target: Target, file_name: str) -> None:
        """Note a store that has begun and will not end."""
        with self._database.write() as connection:
            unfinished.add(connection, astuple(target), file_name)

    def is_unfinished(self, target: Target) -> bool:
        """Tell whether a store of the target has begun and never ended."""
        with self._database.read() as connection:
            return unfinished.exists(connection, astuple(target))

    def delete(self, target: Target) -> list[str]:
        """Delete what belongs to the target and return the names of its files; none if nothing is there."""
        with self._database.write() as connection:
            return _delete(connection, target)

    def delete_expired(self) -> list[str]:
        """Delete one study whose time has come and return the names of its files; none if there is no such study."""
        due = "SELECT partition_key, StudyInstanceUID FROM study WHERE expires <= ? ORDER BY expires LIMIT 1"
        with self._database.write() as connection:
            row = connection.execute(due, (timestamps.now(),)).fetchone()
            return [] if row is None else _delete(connection, Target(*row))

    def next_expiry(self) -> int | None:
        """Return when the next study expires, in ticks; None if none will."""
        query = "SELECT expires FROM study WHERE expires IS NOT NULL ORDER BY expires LIMIT 1"
        with self._database.read() as connection:
            row = connection.execute(query).fetchone()
        return None if row is None else int(row["expires"])

    def instances(self, target: Target) -> list[StoredInstance]:
        """Return the target's instances, oldest first; none if there is no such target."""
        condition, parameters = target.condition()
        with self._database.read() as connection:
            rows = connection.execute(
                f"SELECT instance.key, transfer_syntax_uid, file_name, pixel_data FROM {INSTANCES} "
                f"WHERE {condition} ORDER BY instance.key",
                parameters,
            ).fetchall()
        return [_stored_instance(row) for row in rows]

    def exists(self, target: Target) -> bool:
        """Tell whether the target has an instance."""
        condition, parameters = target.condition()
        with self._database.read() as connection:
            query = f"SELECT 1 FROM {INSTANCES} WHERE {condition} LIMIT 1"
            return connection.execute(query, parameters).fetchone() is not None

    def metadata(self, keys: Iterable[int]) -> dict[int, str]:
        """Return the metadata of the instances that are still there, by key, in the order of the keys."""
        with self._database.read() as connection:
            query = "SELECT json FROM metadata WHERE instance_key = ?"
            rows = {key: connection.execute(query, (key,)).fetchone() for key in keys}
        return {key: row["json"] for key, row in rows.items() if row is not None}

    def file_names(self) -> Iterator[str]:
        """Yield the name of every file that a row points at."""
        with self._database.read() as connection:
            for row in connection.execute("SELECT file_name FROM instance UNION ALL SELECT file_name FROM unfinished"):
                yield row["file_name"]


def _delete(connection: sqlite3.Connection, target: Target) -> list[str]:
    rows = _take_out(connection, target)
    change_feed_index.add(connection, "Delete", [tuple(row[name] for name in _IDENTITY) for row in rows])
    _delete_if_empty(connection, "series", {row["series_key"] for row in rows})
    _delete_if_empty(connection, "study", {row["study_key"] for row in rows})
    return [*(row["file_name"] for row in rows), *unfinished.delete(connection, astuple(target))]


def _take_out(connection: sqlite3.Connection, target: Target) -> list[sqlite3.Row]:
    """Delete the instances of the target, but neither series nor study."""
    condition, parameters = target.condition()
    rows = connection.execute(
        f"SELECT study.partition_key, StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID, instance.key, file_name, "
        f"instance.series_key, instance.study_key FROM {INSTANCES} WHERE {condition}",
        parameters,
    ).fetchall()
    keys = [(row["key"],) for row in rows]
    connection.executemany("DELETE FROM metadata WHERE instance_key = ?", keys)
    connection.executemany("DELETE FROM instance WHERE key = ?", keys)
    return rows


def _expire(connection: sqlite3.Connection, study_key: int, lifetime: int | None) -> None:
    expires = None if lifetime is None else timestamps.now() + lifetime
    connection.execute("UPDATE study SET expires = ? WHERE key = ?", (expires, study_key))


def _put(connection: sqlite3.Connection, level: Level, identity: Identity, instance: Instance) -> int:
    """Insert a study or series, or let the instance's values replace those of the one that is there."""
    table = level.name.lower()
    condition = " AND ".join(f"{column} = ?" for column in identity)
    query = f"SELECT key FROM {table} WHERE {condition}"
    row = connection.execute(query, list(identity.values())).fetchone()
    columns = _columns(level, instance)
    if row is not None:
        if columns:
            assignments = ", ".join(f"{column} = ?" for column in columns)
            connection.execute(f"UPDATE {table} SET {assignments} WHERE key = ?", [*columns.values(), row["key"]])
        return int(row["key"])
    # A study shows an empty PatientID until an instance brings one.
    empty = {"PatientID": "", "PatientID_key": ""} if level is Level.STUDY else {}
    return _insert(connection, table, {**empty, **identity, **columns})


def _columns(level: Level, instance: Instance) -> dict[str, matching.Key]:
    columns: dict[str, matching.Key] = {}
    for attribute in indexed_at(level):
        value = instance.indexed.get(attribute.keyword)
        if value is None:
            continue
        columns[attribute.keyword] = value
        columns[f"{attribute.keyword}_key"] = matching.key_of(attribute, value)
        if attribute.vr == "PN":
            columns[f"{attribute.keyword}_words"] = matching.words_of(value)
    return columns


def _insert(connection: sqlite3.Connection, table: str, columns: Mapping[str, matching.Key | None]) -> int:
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    cursor = connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(columns.values()))
    return int(cursor.lastrowid or 0)


def _insert_instance(connection: sqlite3.Connection, identity: Identity, instance: Instance, file_name: str) -> int:
    there = "SELECT 1 FROM instance WHERE series_key = ? AND SOPInstanceUID = ?"
    if connection.execute(there, (identity["series_key"], identity["SOPInstanceUID"])).fetchone() is not None:
        raise AlreadyStored
    columns: Identity = {
        **identity,
        "transfer_syntax_uid": instance.transfer_syntax_uid,
        "file_name": file_name,
        "pixel_data": json.dumps(instance.pixel_data.to_dict()) if instance.pixel_data else None,
    }
    return _insert(connection, "instance", columns)


def _delete_if_empty(connection: sqlite3.Connection, table: str, keys: set[int]) -> None:
    query = f"DELETE FROM {table} WHERE key = ? AND NOT EXISTS (SELECT 1 FROM instance WHERE {table}_key = ?)"
    connection.executemany(query, [(key, key) for key in keys])


def _stored_instance(row: sqlite3.Row) -> StoredInstance:
    pixel_data = PixelData.from_dict(json.loads(row["pixel_data"])) if row["pixel_data"] else None
    return StoredInstance(row["key"], row["transfer_syntax_uid"], row["file_name"], pixel_data)
