"""The rows of the operations: what goes on after the request that started it was answered."""

from __future__ import annotations

import json
import sqlite3
import uuid
from dataclasses import dataclass

from local.dicom_service.change_feed import timestamps
from local.dicom_service.stored.database import Database
from local.dicom_service.web.errors import not_found

_UNFINISHED = ("notStarted", "running")


@dataclass(frozen=True)
class Operation:
    """An operation; `resources` are the paths, below the version, of what it works on."""

    id: str
    type: str
    created_time: str
    last_updated_time: str
    status: str
    percent_complete: int
    resources: list[str]

    @property
    def finished(self) -> bool:
        """Tell whether it has succeeded or failed."""
        return self.status not in _UNFINISHED


def start(connection: sqlite3.Connection, operation_type: str, resources: list[str]) -> str:
    """Add an operation and return its id; `resources` are as in `Operation`."""
    now, operation_id = timestamp(), uuid.uuid4().hex
    row = (operation_id, operation_type, now, now, json.dumps(resources))
    connection.execute("INSERT INTO operation VALUES (?, ?, ?, ?, 'notStarted', 0, ?)", row)
    return operation_id


def advance(connection: sqlite3.Connection, operation_id: str, status: str, percent_complete: int) -> None:
    """Tell how far an operation is; the status is `running`, `succeeded` or `failed`."""
    query = "UPDATE operation SET status = ?, percent_complete = ?, last_updated_time = ? WHERE id = ?"
    connection.execute(query, (status, percent_complete, timestamp(), operation_id))


def active(connection: sqlite3.Connection, operation_type: str) -> str | None:
    """Return the id of the operation of that type that has not finished, if there is one."""
    query = "SELECT id FROM operation WHERE type = ? AND status IN (?, ?)"
    row = connection.execute(query, (operation_type, *_UNFINISHED)).fetchone()
    return None if row is None else str(row["id"])


def find(database: Database, operation_id: str) -> Operation:
    """Return an operation.

    Raises:
        ServiceError: 404.
    """
    with database.read() as connection:
        row = connection.execute("SELECT * FROM operation WHERE id = ?", (operation_id,)).fetchone()
    if row is None:
        raise not_found("operation")
    return Operation(**dict(row) | {"resources": json.loads(row["resources"])})


def timestamp() -> str:
    """Return the present in the form that operations show."""
    return timestamps.shown(timestamps.now()).replace("+00:00", "Z")
