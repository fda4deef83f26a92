"""Results in DICOM JSON, as the service gives them and as the caller gets them (PS3.18 §10.6.3.3, Annex F); pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from shared.dicomweb import InvalidParameter, InvalidResponse, Resource
from shared.dicomweb.checks import is_uid
from shared.dicomweb.resource import path_of
from shared.dicomweb.search import Row
from shared.probe_uids import is_of_probe

from .attributes import RETRIEVE_URL, STUDY_INSTANCE_UID, UID_OF, Level, Scope


def values_of(row: Row, tag: str) -> list[Any]:
    """Return the values of an attribute; none where it is empty or absent.

    Raises:
        InvalidResponse: it is no element of DICOM JSON.
    """
    element = row.get(tag, {})
    values = element.get("Value", []) if isinstance(element, dict) else None
    if not isinstance(values, list):
        raise InvalidResponse("search: a result is not DICOM JSON")
    return values


def uid_of(row: Row, tag: str) -> str | None:
    """Return an attribute's UID without its padding; None where there is none.

    Raises:
        InvalidResponse: it is no element of DICOM JSON.
    """
    values = values_of(row, tag)
    return values[0].rstrip(" \0") if values and isinstance(values[0], str) else None


def without_probe(rows: Sequence[Row]) -> list[Row]:
    """Return results but for the probe's, by the study's UID that they have.

    Raises:
        InvalidResponse: one is no DICOM JSON.
    """
    return [row for row in rows if not is_of_probe(uid_of(row, STUDY_INSTANCE_UID))]


class Rows:
    """The results of one search, as they come.

    Args:
        scope: what is searched.
        address: above all resources, as the caller sees it.
    """

    def __init__(self, scope: Scope, address: str) -> None:
        # What names a result: for each level down to its own the path's UID, or else the attribute that has it.
        named = {Level.STUDY: scope.parent.study_instance_uid, Level.SERIES: scope.parent.series_instance_uid}
        self._names = [(named.get(level), UID_OF[level]) for level in Level if level <= scope.level]
        self._address = address
        self._seen: set[tuple[str | None, ...]] = set()

    def new(self, rows: Iterable[Row]) -> list[Row]:
        """Return those that were not there before, for what is stored meanwhile moves the pages; the probe's never are.

        Raises:
            InvalidResponse: one has no UID of its level.
        """
        return [row for row in rows if self._is_new(self._uids(row))]

    def linked(self, rows: Iterable[Row]) -> list[Row]:
        """Return results with RetrieveURL, their elements in the order of their tags."""
        return list(map(self._linked, rows))

    def resource(self, row: Row) -> Resource | None:
        """Return what a result is about; None if the service does not say, or something that is no UID."""
        try:
            return Resource(*self._uids(row))
        except InvalidParameter:
            return None

    def _is_new(self, uids: tuple[str | None, ...]) -> bool:
        if uids[-1] is None:
            raise InvalidResponse("search: a result has no UID")
        is_new = uids not in self._seen
        self._seen.add(uids)
        return is_new and not is_of_probe(uids[0])

    def _linked(self, row: Row) -> Row:
        uids = self._uids(row)
        if all(map(is_uid, uids)):  # no `Resource` of each: that takes three times as long
            row = {**row, RETRIEVE_URL: {"vr": "UR", "Value": [self._address + path_of(*uids)]}}
        return {tag: row[tag] for tag in sorted(row)}

    def _uids(self, row: Row) -> tuple[str | None, ...]:
        """Return the UIDs down to the results' level: the path's, which are right where a result has none, else its."""
        return tuple([uid or uid_of(row, tag) for uid, tag in self._names])
