"""The operation that indexes the stored instances by new extended query tags.

It goes through the instances in batches, each with its progress in one transaction: where it was left, by the end of
the process or otherwise, it goes on. What is stored meanwhile is indexed as it comes.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading

from local.dicom_service.extended_query_tags import index as extended_index
from local.dicom_service.extended_query_tags import operations
from local.dicom_service.extended_query_tags import rows as extended_query_tags
from local.dicom_service.extended_query_tags.rows import REINDEX, ExtendedQueryTag
from local.dicom_service.search.attributes import Level
from local.dicom_service.stored.database import Database

BATCH = 50  # instances; others cannot write while one batch is indexed
_PAUSE_SECONDS = 0.001

log = logging.getLogger(__name__)


class Reindexer:
    """A thread that does what there is to do, at first and whenever it is woken."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._wanted = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reindex")
        self._thread.start()

    def wake(self) -> None:
        """Tell it that tags were added."""
        self._wanted.set()

    def close(self) -> None:
        """Stop after the batch under way; the next start goes on from there."""
        self._closing.set()
        self._wanted.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wanted.clear()
            # The pause lets those in who wait to write: the lock does not care who came first.
            while self._step() and not self._closing.wait(_PAUSE_SECONDS):
                pass
            if not self._closing.is_set():
                self._wanted.wait()

    def _step(self) -> bool:
        try:
            return index_batch(self._database)
        except Exception as error:  # its text might quote values
            log.error("reindexing failed: %s", type(error).__name__)
            return _give_up(self._database)


def index_batch(database: Database) -> bool:
    """Index the next instances by the tags that are being added; return whether there is more to do."""
    with database.write() as connection:
        operation_id = operations.active(connection, REINDEX)
        if operation_id is None:
            return False
        query = "SELECT position, last_key FROM reindex WHERE operation_id = ?"
        position, last_key = connection.execute(query, (operation_id,)).fetchone()
        tags = [tag for tag in extended_query_tags.all_tags(connection) if tag.operation_id == operation_id]
        rows = _next_instances(connection, position, last_key)
        for row in rows:
            _index(connection, tags, row)
        if len(rows) < BATCH:
            extended_query_tags.mark_ready(connection, operation_id)
            operations.advance(connection, operation_id, "succeeded", 100)
            return False
        position = rows[-1]["key"]
        connection.execute("UPDATE reindex SET position = ? WHERE operation_id = ?", (position, operation_id))
        operations.advance(connection, operation_id, "running", 100 * position // last_key)
    return True


def _next_instances(connection: sqlite3.Connection, position: int, last_key: int) -> list[sqlite3.Row]:
    query = "SELECT key, series_key, study_key FROM instance WHERE key > ? AND key <= ? ORDER BY key LIMIT ?"
    return connection.execute(query, (position, last_key, BATCH)).fetchall()


def _index(connection: sqlite3.Connection, tags: list[ExtendedQueryTag], row: sqlite3.Row) -> None:
    keys = {Level.STUDY: row["study_key"], Level.SERIES: row["series_key"], Level.INSTANCE: row["key"]}
    # One at a time: some metadata is large.
    (metadata,) = connection.execute("SELECT json FROM metadata WHERE instance_key = ?", (row["key"],)).fetchone()
    refused = extended_index.index(connection, tags, keys, json.loads(metadata))
    query = "SELECT tag, reason FROM invalid_attribute WHERE instance_key = ?"
    invalid = dict(connection.execute(query, (row["key"],)).fetchall())
    refused |= {tag: invalid[tag.tag] for tag in tags if tag.tag in invalid}
    for tag, message in refused.items():
        extended_index.add_error(connection, tag, row["key"], message)


def _give_up(database: Database) -> bool:
    """Let the operation fail; its tags can be deleted and added anew."""
    try:
        with database.write() as connection:
            if operation_id := operations.active(connection, REINDEX):
                operations.advance(connection, operation_id, "failed", 0)
        return True
    except sqlite3.Error as error:
        log.error("reindexing stops until the service is started anew: %s", type(error).__name__)
        return False
