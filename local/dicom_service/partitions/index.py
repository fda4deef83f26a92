"""The partitions in the index. There are few, they are never deleted, and each request needs one: memory has them."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from local.dicom_service.change_feed import timestamps
from local.dicom_service.stored.database import Database

_DEFAULT = "Microsoft.Default"


class Partition(NamedTuple):
    """Studies that know nothing of those in another; `created` is in ticks."""

    key: int
    name: str
    created: int


class Partitions:
    """All partitions; `make` blocks, so call it in a thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        with database.read() as connection:
            rows = connection.execute("SELECT * FROM data_partition ORDER BY key").fetchall()
        self._by_name = {row["name"]: _partition(row) for row in rows}
        # Everything is in this one where partitions are off.
        self.default = self.make(_DEFAULT)

    def all(self) -> list[Partition]:
        """Return all of them, oldest first."""
        return list(self._by_name.values())

    def find(self, name: str) -> Partition | None:
        """Return the one of that name, if there is one."""
        return self._by_name.get(name)

    def make(self, name: str) -> Partition:
        """Return the one of that name; create it if it is not there."""
        if (known := self.find(name)) is not None:
            return known
        with self._database.write() as connection:
            new = (name, timestamps.now())
            connection.execute("INSERT OR IGNORE INTO data_partition (name, created) VALUES (?, ?)", new)
            row = connection.execute("SELECT * FROM data_partition WHERE name = ?", (name,)).fetchone()
        return self._by_name.setdefault(name, _partition(row))


def _partition(row: sqlite3.Row) -> Partition:
    return Partition(row["key"], row["name"], row["created"])
