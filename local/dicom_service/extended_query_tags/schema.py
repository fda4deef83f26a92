"""The tables of the extended query tags, and of the operations that index stored instances by them."""

from __future__ import annotations

from local.dicom_service.search.attributes import Level


def value_table(level: Level) -> str:
    """Return the table that has the values of the tags of a level: one row for each study, series or instance."""
    return f"{level.name.lower()}_tag_value"


def _values(level: Level) -> list[str]:
    table = value_table(level)
    # `value_key` is a number or a text, by the tag's VR. `instance_key` is the version of the instance that the value
    # is from: the newest has it, in whichever order they are indexed.
    return [
        f"""CREATE TABLE {table} (
            tag_key INTEGER NOT NULL REFERENCES extended_query_tag ON DELETE CASCADE,
            resource_key INTEGER NOT NULL REFERENCES {level.name.lower()} ON DELETE CASCADE,
            instance_key INTEGER NOT NULL,
            value_key NOT NULL,
            words TEXT,
            PRIMARY KEY (tag_key, resource_key)) WITHOUT ROWID""",
        f"CREATE INDEX {table}_key ON {table} (tag_key, value_key)",
        f"CREATE INDEX {table}_resource ON {table} (resource_key)",
    ]


STATEMENTS = [
    """CREATE TABLE operation (
        id TEXT PRIMARY KEY,
        type TEXT NOT NULL,
        created_time TEXT NOT NULL,
        last_updated_time TEXT NOT NULL,
        status TEXT NOT NULL,
        percent_complete INTEGER NOT NULL,
        resources TEXT NOT NULL)""",
    # The instances up to `last_key` were there before the tags; those up to `position` are done.
    """CREATE TABLE reindex (
        operation_id TEXT PRIMARY KEY REFERENCES operation,
        position INTEGER NOT NULL,
        last_key INTEGER NOT NULL)""",
    """CREATE TABLE extended_query_tag (
        key INTEGER PRIMARY KEY AUTOINCREMENT,
        tag TEXT NOT NULL UNIQUE,
        vr TEXT NOT NULL,
        private_creator TEXT,
        level INTEGER NOT NULL,
        status TEXT NOT NULL,
        query_status TEXT NOT NULL,
        operation_id TEXT NOT NULL REFERENCES operation)""",
    """CREATE TABLE extended_query_tag_error (
        tag_key INTEGER NOT NULL REFERENCES extended_query_tag ON DELETE CASCADE,
        instance_key INTEGER NOT NULL REFERENCES instance ON DELETE CASCADE,
        created_time TEXT NOT NULL,
        message TEXT NOT NULL,
        PRIMARY KEY (tag_key, instance_key)) WITHOUT ROWID""",
    "CREATE INDEX extended_query_tag_error_instance ON extended_query_tag_error (instance_key)",
    # The attributes that were left out of an instance's metadata, and the rules that they break.
    """CREATE TABLE invalid_attribute (
        instance_key INTEGER NOT NULL REFERENCES instance ON DELETE CASCADE,
        tag TEXT NOT NULL,
        reason TEXT NOT NULL,
        PRIMARY KEY (instance_key, tag)) WITHOUT ROWID""",
    *(statement for level in Level for statement in _values(level)),
]
