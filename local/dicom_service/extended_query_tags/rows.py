"""The extended query tags: attributes that searches know because somebody added them. An extension of Azure's."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from pydicom.datadict import keyword_for_tag

from local.dicom_service.extended_query_tags import operations
from local.dicom_service.search.attributes import Attribute, Level
from local.dicom_service.stored.database import Database
from local.dicom_service.stored.schema import INSTANCES
from local.dicom_service.web.errors import ServiceError, bad_request, not_found

MOST_TAGS = 128
REINDEX = "reindex"

_QUERY = """SELECT extended_query_tag.*, (
    SELECT count(*) FROM extended_query_tag_error WHERE tag_key = extended_query_tag.key) AS error_count
    FROM extended_query_tag"""


@dataclass(frozen=True)
class NewTag:
    """A tag to add; one that is private has the creator of its block (PS3.5 §7.8.1)."""

    tag: str
    vr: str
    private_creator: str | None
    level: Level


@dataclass(frozen=True)
class ExtendedQueryTag(Attribute):
    """A tag that was added; `key` is its row's."""

    key: int
    private_creator: str | None
    status: str
    query_status: str
    operation_id: str
    error_count: int


@dataclass(frozen=True)
class TagError:
    """An instance that is not indexed by a tag, and why."""

    partition_name: str
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    created_time: str
    message: str


class ReindexActive(Exception):
    """Tags cannot be added while an operation indexes others."""

    def __init__(self, operation_id: str) -> None:
        super().__init__()
        self.operation_id = operation_id


def add(database: Database, tags: list[NewTag]) -> str:
    """Add tags and return the id of the operation that is to index the stored instances by them.

    Raises:
        ReindexActive: another such operation has not finished.
        ServiceError: 409, one of the tags is there; 400, there would be too many.
    """
    with database.write() as connection:
        if active := operations.active(connection, REINDEX):
            raise ReindexActive(active)
        _check_room(connection, tags)
        paths = [f"/extendedquerytags/{new.tag}" for new in tags]
        operation_id = operations.start(connection, REINDEX, paths)
        query = "INSERT INTO reindex SELECT ?, 0, coalesce(max(key), 0) FROM instance"
        connection.execute(query, (operation_id,))
        names = "tag, vr, private_creator, level, status, query_status, operation_id"
        rows = [(new.tag, new.vr, new.private_creator, new.level, operation_id) for new in tags]
        connection.executemany(
            f"INSERT INTO extended_query_tag ({names}) VALUES (?, ?, ?, ?, 'Adding', 'Enabled', ?)",  # noqa: S608 - no value
            rows,
        )
    return operation_id


def _check_room(connection: sqlite3.Connection, tags: list[NewTag]) -> None:
    there = {tag.tag for tag in all_tags(connection)}
    if any(new.tag in there for new in tags):
        raise ServiceError(409, "One of the tags is an extended query tag already.")
    if len(there) + len(tags) > MOST_TAGS:
        raise bad_request(f"There can be no more than {MOST_TAGS} extended query tags.")


def all_tags(connection: sqlite3.Connection) -> list[ExtendedQueryTag]:
    """Return every tag, in the order in which they were added."""
    return [_extended_query_tag(row) for row in connection.execute(f"{_QUERY} ORDER BY key")]


def read_all(database: Database) -> list[ExtendedQueryTag]:
    """Return every tag as `all_tags` does, in a transaction of its own."""
    with database.read() as connection:
        return all_tags(connection)


def find(database: Database, tag: str) -> ExtendedQueryTag:
    """Return one tag.

    Raises:
        ServiceError: 404.
    """
    with database.read() as connection:
        return _find(connection, tag)


def searchable(database: Database) -> list[ExtendedQueryTag]:
    """Return the tags that a search may ask for."""
    return [tag for tag in read_all(database) if (tag.status, tag.query_status) == ("Ready", "Enabled")]


def set_query_status(database: Database, tag: str, query_status: str) -> ExtendedQueryTag:
    """Allow or forbid searches for a tag, and return it.

    Raises:
        ServiceError: 404.
    """
    with database.write() as connection:
        connection.execute("UPDATE extended_query_tag SET query_status = ? WHERE tag = ?", (query_status, tag))
        return _find(connection, tag)


def delete(database: Database, tag: str) -> None:
    """Delete a tag with its values and errors.

    Raises:
        ServiceError: 404.
    """
    with database.write() as connection:
        key = _find(connection, tag).key
        connection.execute("DELETE FROM extended_query_tag WHERE key = ?", (key,))


def errors(database: Database, tag: str, limit: int, offset: int) -> list[TagError]:
    """Return some of the instances that a tag could not index.

    Raises:
        ServiceError: 404.
    """
    query = f"""SELECT name, StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID, created_time, message
        FROM {INSTANCES} JOIN extended_query_tag_error ON instance_key = instance.key
        JOIN data_partition ON data_partition.key = study.partition_key
        WHERE tag_key = ? ORDER BY instance_key LIMIT ? OFFSET ?"""  # noqa: S608 - no value
    with database.read() as connection:
        key = _find(connection, tag).key
        return [TagError(*row) for row in connection.execute(query, (key, limit, offset))]


def mark_ready(connection: sqlite3.Connection, operation_id: str) -> None:
    """Let the tags that an operation has added be searched for, as far as their query status allows."""
    query = "UPDATE extended_query_tag SET status = 'Ready' WHERE operation_id = ?"
    connection.execute(query, (operation_id,))


def _find(connection: sqlite3.Connection, tag: str) -> ExtendedQueryTag:
    row = connection.execute(f"{_QUERY} WHERE tag = ?", (tag,)).fetchone()
    if row is None:
        raise not_found("extended query tag")
    return _extended_query_tag(row)


def _extended_query_tag(row: sqlite3.Row) -> ExtendedQueryTag:
    return ExtendedQueryTag(
        keyword=keyword_for_tag(row["tag"]) or row["tag"],
        tag=row["tag"],
        vr=row["vr"],
        level=Level(row["level"]),
        key=row["key"],
        private_creator=row["private_creator"],
        status=row["status"],
        query_status=row["query_status"],
        operation_id=row["operation_id"],
        error_count=row["error_count"],
    )
