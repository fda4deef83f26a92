"""What changes in the table when a study's row does, in transactions that are carried out as a whole or not (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from azure.core import MatchConditions
from azure.data.tables import TableEntity, UpdateMode

from .entities import PARTITION_KEY, Entity, entity_of, later, mark_entity, row_of, time_in
from .keys import counts_of, rows_of, study_row
from .row import Row, StudyKey

MOST_OPERATIONS: Final = 100
_ANY = "*"
Operation = tuple[str, Mapping[str, Any]] | tuple[str, Mapping[str, Any], Mapping[str, Any]]


@dataclass(frozen=True)
class Change:
    """What has to happen together.

    Args:
        operations: on rows and indexes.
        counts: by how much counts change, by RowKey.
    """

    operations: tuple[Operation, ...]
    counts: Counter[str] = field(default_factory=Counter)


def replacing(key: StudyKey, stored: TableEntity | None, row: Row | None, mark: str | None = None) -> Change:
    """Return what makes a study's rows those of `row`.

    Args:
        key: which study.
        stored: its own row as it stands, None if it has none: whoever changes that meanwhile makes the change fail.
        row: None if there is to be none.
        mark: the key of a mark that goes with it.
    """
    old = row_of(stored) if stored else None
    etags = {study_row(key): stored.metadata["etag"] if stored else None}
    before, after = (rows_of(one) if one else frozenset[str]() for one in (old, row))
    gone = [_deletion(row_key, etags.get(row_key)) for row_key in sorted(before - after)]
    written = [_write(entity_of(row, row_key), etags.get(row_key, _ANY)) for row_key in sorted(after)] if row else []
    counts = Counter(counts_of(row) if row else ())
    counts.subtract(counts_of(old) if old else ())
    return Change((*gone, *written, *unmarking(mark).operations), counts)


def marking(row_key: str, received: datetime | None, stored: TableEntity | None) -> Operation:
    """Return what writes a mark, in which the later time stands; it fails if the mark is no longer as it was read."""
    entity = mark_entity(row_key, later(received, time_in(stored or {}, "received")))
    return _write(entity, stored.metadata["etag"] if stored else None)


def unmarking(mark: str | None) -> Change:
    """Return what takes a mark away, if there is one."""
    return Change((_deletion(mark),) if mark else ())


def packed(changes: Iterable[Change]) -> Iterator[Change]:
    """Join changes to as few transactions as hold them, in their order."""
    operations: tuple[Operation, ...] = ()
    counts: Counter[str] = Counter()
    for change in changes:
        if len(operations) + len(change.operations) + len(counts.keys() | change.counts.keys()) > MOST_OPERATIONS:
            yield Change(operations, counts)
            operations, counts = (), Counter()
        operations += change.operations
        counts = _sum(counts, change.counts)
    if operations:
        yield Change(operations, counts)


def counting(counts: Mapping[str, int], stored: Mapping[str, tuple[int, str | None]]) -> list[Operation]:
    """Return the operations that bring counts to their new figures.

    Args:
        counts: by how much they change.
        stored: their figures now, with the ETag of those that stand in the table.
    """
    return [_count(key, stored[key][0] + change, stored[key][1]) for key, change in sorted(counts.items())]


def _sum(one: Counter[str], other: Counter[str]) -> Counter[str]:
    """Return the sum; what comes to nothing is left out."""
    return Counter({key: one[key] + other[key] for key in one.keys() | other.keys() if one[key] + other[key]})


def _count(key: str, count: int, etag: str | None) -> Operation:
    if count == 0:
        return _deletion(key, etag)
    return _write({"PartitionKey": PARTITION_KEY, "RowKey": key, "count": count}, etag)


def _write(entity: Entity, etag: str | None) -> Operation:
    """Write an entity over the version with that ETag, or where there is none, or whatever is there (`_ANY`)."""
    if etag is None:
        return "create", entity
    if etag == _ANY:
        return "upsert", entity, {"mode": UpdateMode.REPLACE}
    return "update", entity, {"mode": UpdateMode.REPLACE, **_only(etag)}


def _deletion(key: str, etag: str | None = None) -> Operation:
    return "delete", {"PartitionKey": PARTITION_KEY, "RowKey": key}, _only(etag) if etag else {}


def _only(etag: str) -> dict[str, Any]:
    return {"etag": etag, "match_condition": MatchConditions.IfNotModified}
