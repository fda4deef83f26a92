"""Connections to the SQLite file: one that writes, one transaction at a time, and as many as needed that read."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.dicom_service.search.matching import words_begin_with
from local.dicom_service.stored import schema

BUSY_TIMEOUT_SECONDS = 30.0


class OtherSchemaVersion(RuntimeError):
    """The index was written by another version of this service."""


class Database:
    """The index file; every method may be called from any thread, none from the event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._write_lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        self._writer = self._connect()
        try:
            self._create()
        except BaseException:
            self._writer.close()
            raise

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        # A store is confirmed once its row is on disk, not only in the log's memory.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.create_function("words_begin_with", 2, words_begin_with, deterministic=True)
        return connection

    def _create(self) -> None:
        (version,) = self._writer.execute("PRAGMA user_version").fetchone()
        if version == schema.VERSION:
            return
        if version != 0:
            raise OtherSchemaVersion
        with self.write() as connection:
            for statement in schema.STATEMENTS:
                connection.execute(statement)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Run one transaction: committed when the block ends, undone when it raises."""
        with self._write_lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
            except BaseException:
                self._writer.execute("ROLLBACK")
                raise
            self._writer.execute("COMMIT")

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Read from one state of the index; what is written meanwhile is not seen."""
        connection = self._take()
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("ROLLBACK")
            self._put_back(connection)

    def _take(self) -> sqlite3.Connection:
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect()

    def _put_back(self, connection: sqlite3.Connection) -> None:
        self._idle.append(connection)
        if self._closed:
            self._close_idle()

    def close(self) -> None:
        """Close all connections, once a transaction under way is over."""
        self._closed = True
        self._close_idle()
        with self._write_lock:
            self._writer.close()

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()
