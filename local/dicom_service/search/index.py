"""A search on the index: the SQL of its conditions, and the datasets of what it finds."""

# ruff: noqa: S608 - the names in the SQL come from tables in this code; every value is bound

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from local.dicom_service.extended_query_tags.rows import ExtendedQueryTag
from local.dicom_service.extended_query_tags.schema import value_table
from local.dicom_service.instances.dicom_json import Attributes
from local.dicom_service.instances.element_values import person_name
from local.dicom_service.search.attributes import (
    MODALITIES_IN_STUDY,
    NUMBER_OF_SERIES_RELATED_INSTANCES,
    NUMBER_OF_STUDY_RELATED_INSTANCES,
    UIDS,
    Attribute,
    Level,
    indexed_at,
)
from local.dicom_service.search.matching import Key
from local.dicom_service.search.query import Condition, Exact, Fuzzy, Query, Range
from local.dicom_service.stored.database import Database
from local.dicom_service.stored.schema import INSTANCES

_TABLES = {
    Level.STUDY: "study",
    Level.SERIES: "series JOIN study ON study.key = series.study_key",
    Level.INSTANCE: INSTANCES,
}
_KEYS = {
    Level.STUDY: "study.key AS study_key",
    Level.SERIES: "study.key AS study_key, series.key AS series_key",
    Level.INSTANCE: "study.key AS study_key, series.key AS series_key, instance.key AS instance_key",
}
_COMPUTED = frozenset(
    attribute.tag
    for attribute in (MODALITIES_IN_STUDY, NUMBER_OF_STUDY_RELATED_INSTANCES, NUMBER_OF_SERIES_RELATED_INSTANCES)
)


@dataclass(frozen=True)
class Scope:
    """What a search resource finds: the level of its results, and the levels whose attributes it knows."""

    level: Level
    levels: frozenset[Level]


def search(
    database: Database, scope: Scope, query: Query, within: dict[str, str], partition_key: int
) -> list[Attributes]:
    """Return one page of a partition's results, the newest first; `within` are the UIDs in the path, by keyword."""
    conditions: list[tuple[str, Sequence[Key]]] = [_sql(condition) for condition in query.conditions]
    conditions += [(f"{_column(uid)} = ?", [within[uid.keyword]]) for uid in UIDS if uid.keyword in within]
    # The plus keeps SQLite from using the partition's index where another finds less.
    in_partition = f"{'+' if conditions else ''}{scope.level.name.lower()}.partition_key = ?"
    conditions.append((in_partition, [partition_key]))
    statement = _statement(scope, [condition for condition, _ in conditions])
    parameters = [parameter for _, parameters in conditions for parameter in parameters]
    with database.read() as connection:
        rows = connection.execute(statement, [*parameters, query.limit, query.offset]).fetchall()
        return [_result(connection, scope, query.fields, row) for row in rows]


def _statement(scope: Scope, conditions: list[str]) -> str:
    columns = [_KEYS[scope.level], *(_column(attribute) for attribute in _shown(scope))]
    where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    return (
        f"SELECT {', '.join(columns)} FROM {_TABLES[scope.level]} {where}"
        f"ORDER BY {scope.level.name.lower()}.key DESC LIMIT ? OFFSET ?"
    )


def _shown(scope: Scope) -> list[Attribute]:
    """Return the attributes that the rows of a result have columns for."""
    levels = [level for level in Level if level <= scope.level]
    return [attribute for level in levels for attribute in (UIDS[level], *indexed_at(level))]


def _column(attribute: Attribute) -> str:
    return f"{attribute.level.name.lower()}.{attribute.keyword}"


def _sql(condition: Condition) -> tuple[str, list[Key]]:
    attribute = condition.attribute
    if attribute is MODALITIES_IN_STUDY and isinstance(condition, Exact):
        return "study.key IN (SELECT study_key FROM series WHERE Modality_key = ?)", [condition.key]
    if isinstance(attribute, ExtendedQueryTag):
        return _extended(attribute, condition)
    column = _column(attribute)
    return _comparison(condition, column if attribute in UIDS else f"{column}_key", f"{column}_words")


def _extended(tag: ExtendedQueryTag, condition: Condition) -> tuple[str, list[Key]]:
    comparison, parameters = _comparison(condition, "value_key", "words")
    values = f"SELECT resource_key FROM {value_table(tag.level)} WHERE tag_key = ? AND {comparison}"
    return f"{tag.level.name.lower()}.key IN ({values})", [tag.key, *parameters]


def _comparison(condition: Condition, key: str, words: str) -> tuple[str, list[Key]]:
    """Return the SQL of a condition on the columns with an attribute's key and its words."""
    if isinstance(condition, Exact):
        return f"{key} = ?", [condition.key]
    if isinstance(condition, Range):
        return _range(key, condition)
    return _fuzzy(words, condition)


def _range(column: str, condition: Range) -> tuple[str, list[Key]]:
    ends = [(f"{column} >= ?", condition.earliest), (f"{column} <= ?", condition.latest)]
    given = [(text, value) for text, value in ends if value is not None]
    return " AND ".join(text for text, _ in given), [value for _, value in given]


def _fuzzy(column: str, condition: Fuzzy) -> tuple[str, list[Key]]:
    # The plain search for the first word spares the function most rows.
    first = " " + condition.prefixes.split()[0]
    return f"instr({column}, ?) > 0 AND words_begin_with({column}, ?)", [first, condition.prefixes]


def _result(connection: sqlite3.Connection, scope: Scope, fields: frozenset[str], row: sqlite3.Row) -> Attributes:
    shown = {attribute.tag: attribute for attribute in _shown(scope)}
    result: Attributes = {}
    if others := fields - shown.keys() - _COMPUTED:
        metadata = _newest_metadata(connection, scope.level, row)
        result = {tag: metadata[tag] for tag in others if tag in metadata}
    for tag in fields & shown.keys():
        value = row[shown[tag].keyword]
        if value is not None:
            result[tag] = _element(shown[tag], value)
    for tag in fields & _COMPUTED:
        result.update(_computed(connection, tag, row))
    return dict(sorted(result.items()))


def _element(attribute: Attribute, value: str) -> Attributes:
    shown: Any = person_name(value) if attribute.vr == "PN" else value
    return {"vr": attribute.vr, "Value": [shown]} if shown else {"vr": attribute.vr}


def _newest_metadata(connection: sqlite3.Connection, level: Level, row: sqlite3.Row) -> Attributes:
    column = f"{level.name.lower()}_key"
    newest = "SELECT max(key) FROM instance WHERE " + ("key" if level is Level.INSTANCE else column) + " = ?"
    query = f"SELECT json FROM metadata WHERE instance_key = ({newest})"
    found = connection.execute(query, (row[column],)).fetchone()
    metadata: Attributes = json.loads(found["json"])
    return metadata


def _computed(connection: sqlite3.Connection, tag: str, row: sqlite3.Row) -> Attributes:
    if tag == MODALITIES_IN_STUDY.tag:
        query = "SELECT DISTINCT Modality FROM series WHERE study_key = ? AND Modality IS NOT NULL ORDER BY Modality"
        found = [modality for (modality,) in connection.execute(query, (row["study_key"],))]
        return {tag: {"vr": "CS", "Value": found}} if found else {}
    column = "study_key" if tag == NUMBER_OF_STUDY_RELATED_INSTANCES.tag else "series_key"
    columns = row.keys()
    if column not in columns:  # a study has no number of instances in its series
        return {}
    (count,) = connection.execute(f"SELECT count(*) FROM instance WHERE {column} = ?", (row[column],)).fetchone()
    return {tag: {"vr": "IS", "Value": [count]}}
