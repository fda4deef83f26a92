"""The tables of the index.

An indexed attribute `X` has a column `X` with the value as it is shown, and `X_key` with what it is compared by;
a person name also has `X_words` for fuzzy matching. A study's columns hold the latest value that any of its
instances brought, and so do a series'. Times are in ticks, see `timestamps.py`.
"""

from __future__ import annotations

from local.dicom_service.extended_query_tags import schema as extended_schema
from local.dicom_service.search.attributes import Level, indexed_at

VERSION = 8

# Each instance with its series and its study.
INSTANCES = "instance JOIN series ON series.key = instance.series_key JOIN study ON study.key = instance.study_key"


def _columns(level: Level) -> str:
    columns: list[str] = []
    for attribute in indexed_at(level):
        columns += [f"{attribute.keyword} TEXT", f"{attribute.keyword}_key TEXT"]
        if attribute.vr == "PN":
            columns.append(f"{attribute.keyword}_words TEXT")
    return ", ".join(columns)


def _indexes(table: str, level: Level) -> list[str]:
    keywords = [attribute.keyword for attribute in indexed_at(level)]
    return [f"CREATE INDEX {table}_{keyword} ON {table} ({keyword}_key)" for keyword in keywords]


# `key` grows with each creation and is never used again, so it orders by newest first; an instance's is its
# version, from which the ETags are made.
STATEMENTS = [
    """CREATE TABLE data_partition (
        key INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        created INTEGER NOT NULL)""",
    f"""CREATE TABLE study (
        key INTEGER PRIMARY KEY AUTOINCREMENT,
        partition_key INTEGER NOT NULL REFERENCES data_partition,
        StudyInstanceUID TEXT NOT NULL,
        expires INTEGER,
        {_columns(Level.STUDY)},
        UNIQUE (StudyInstanceUID, partition_key))""",
    f"""CREATE TABLE series (
        key INTEGER PRIMARY KEY AUTOINCREMENT,
        partition_key INTEGER NOT NULL REFERENCES data_partition,
        study_key INTEGER NOT NULL REFERENCES study,
        SeriesInstanceUID TEXT NOT NULL,
        {_columns(Level.SERIES)},
        UNIQUE (study_key, SeriesInstanceUID))""",
    """CREATE TABLE instance (
        key INTEGER PRIMARY KEY AUTOINCREMENT,
        partition_key INTEGER NOT NULL REFERENCES data_partition,
        study_key INTEGER NOT NULL REFERENCES study,
        series_key INTEGER NOT NULL REFERENCES series,
        SOPInstanceUID TEXT NOT NULL,
        transfer_syntax_uid TEXT NOT NULL,
        file_name TEXT NOT NULL UNIQUE,
        pixel_data TEXT,
        UNIQUE (series_key, SOPInstanceUID))""",
    "CREATE TABLE metadata (instance_key INTEGER PRIMARY KEY REFERENCES instance, json TEXT NOT NULL)",
    """CREATE TABLE unfinished (
        partition_key INTEGER NOT NULL REFERENCES data_partition,
        StudyInstanceUID TEXT NOT NULL,
        SeriesInstanceUID TEXT NOT NULL,
        SOPInstanceUID TEXT NOT NULL,
        file_name TEXT NOT NULL,
        PRIMARY KEY (partition_key, StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID))""",
    """CREATE TABLE change_feed (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        timestamp INTEGER NOT NULL,
        partition_key INTEGER NOT NULL REFERENCES data_partition,
        action TEXT NOT NULL,
        StudyInstanceUID TEXT NOT NULL,
        SeriesInstanceUID TEXT NOT NULL,
        SOPInstanceUID TEXT NOT NULL,
        instance_key INTEGER NOT NULL)""",
    "CREATE INDEX change_feed_timestamp ON change_feed (timestamp)",
    *(f"CREATE INDEX {table}_partition ON {table} (partition_key)" for table in ("study", "series", "instance")),
    "CREATE INDEX study_expires ON study (expires) WHERE expires IS NOT NULL",
    "CREATE INDEX series_SeriesInstanceUID ON series (SeriesInstanceUID)",
    "CREATE INDEX instance_SOPInstanceUID ON instance (SOPInstanceUID)",
    "CREATE INDEX instance_study ON instance (study_key)",
    "CREATE INDEX instance_series ON instance (series_key)",
    *_indexes("study", Level.STUDY),
    *_indexes("series", Level.SERIES),
    *extended_schema.STATEMENTS,
    f"PRAGMA user_version = {VERSION}",
]
