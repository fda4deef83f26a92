"""Indexing one instance by the extended query tags: as it is stored, or by the operation that added the tags."""

# ruff: noqa: S608 - the names in the SQL come from tables in this code; every value is bound

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from local.dicom_service.extended_query_tags import operations
from local.dicom_service.extended_query_tags import rows as extended_query_tags
from local.dicom_service.extended_query_tags.rows import ExtendedQueryTag
from local.dicom_service.extended_query_tags.schema import value_table
from local.dicom_service.instances.dicom_json import Attributes
from local.dicom_service.instances.element_values import person_name_text
from local.dicom_service.instances.examine import Instance
from local.dicom_service.search import matching
from local.dicom_service.search.attributes import Level
from local.dicom_service.search.matching import Key


class NotIndexable(ValueError):
    """The instance has a value for the tag, but none that the tag can index."""


@dataclass(frozen=True)
class _Value:
    key: Key
    words: str | None


def add(connection: sqlite3.Connection, keys: Mapping[Level, int], instance: Instance) -> None:
    """Index an instance as it is stored; `keys` are as in `index`."""
    invalid = [(keys[Level.INSTANCE], tag, reason) for tag, reason in instance.invalid.items()]
    connection.executemany("INSERT INTO invalid_attribute VALUES (?, ?, ?)", invalid)
    if tags := extended_query_tags.all_tags(connection):
        # What cannot be indexed is no error here: its sender was warned.
        index(connection, tags, keys, json.loads(instance.metadata))


def index(
    connection: sqlite3.Connection,
    tags: Iterable[ExtendedQueryTag],
    keys: Mapping[Level, int],
    attributes: Attributes,
) -> dict[ExtendedQueryTag, str]:
    """Index an instance by its metadata; return why not, for each tag by which it cannot be.

    `keys` are those of the instance, its series and its study.
    """
    refused: dict[ExtendedQueryTag, str] = {}
    for tag in tags:
        try:
            value = _value(tag, attributes)
        except NotIndexable as error:
            refused[tag] = str(error)
            continue
        if value is not None:
            _put(connection, tag, keys, value)
    return refused


def add_error(connection: sqlite3.Connection, tag: ExtendedQueryTag, instance_key: int, message: str) -> None:
    """Add that an instance could not be indexed by a tag: searches for it are forbidden until someone allows them."""
    row = (tag.key, instance_key, operations.timestamp(), message)
    connection.execute("INSERT INTO extended_query_tag_error VALUES (?, ?, ?, ?)", row)
    connection.execute("UPDATE extended_query_tag SET query_status = 'Disabled' WHERE key = ?", (tag.key,))


def _put(connection: sqlite3.Connection, tag: ExtendedQueryTag, keys: Mapping[Level, int], value: _Value) -> None:
    table = value_table(tag.level)
    connection.execute(
        f"""INSERT INTO {table} (tag_key, resource_key, instance_key, value_key, words) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (tag_key, resource_key) DO UPDATE
        SET instance_key = excluded.instance_key, value_key = excluded.value_key, words = excluded.words
        WHERE excluded.instance_key >= {table}.instance_key""",
        (tag.key, keys[tag.level], keys[Level.INSTANCE], value.key, value.words),
    )


def _value(tag: ExtendedQueryTag, attributes: Attributes) -> _Value | None:
    """Return the first value that the instance has for the tag, or None if there is none."""
    element = attributes.get(tag.tag)
    if element is None or not _is_by_creator(tag, attributes):
        return None
    first = next(iter(element.get("Value", ())), None)
    if first is None:
        return None
    if element["vr"] != tag.vr:
        raise NotIndexable("the attribute has another VR than the tag")
    text = _text(first)
    try:
        return _Value(matching.key_of(tag, text), matching.words_of(text) if tag.vr == "PN" else None)
    except matching.NotOfItsVR:
        raise NotIndexable("the value cannot be compared with others") from None


def _is_by_creator(tag: ExtendedQueryTag, attributes: Attributes) -> bool:
    """Tell whether the block of a private tag is reserved by its creator (PS3.5 §7.8.1)."""
    if tag.private_creator is None:
        return True
    block = attributes.get(f"{tag.tag[:4]}00{tag.tag[4:6]}", {})
    return tag.private_creator in (str(value).strip() for value in block.get("Value", ()))


def _text(value: Any) -> str:
    return person_name_text(value) if isinstance(value, dict) else str(value)
