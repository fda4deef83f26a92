"""What a study holds at the service, as its metadata tell, one instance after the other (pure)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydicom.datadict import tag_for_keyword

from purge_study.ledger.summing import without_blanks
from purge_study.lists.cells import uid_problem
from shared.dicomweb import InvalidParameter, check_uid

from .reasons import FailedByItself

_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"
_PATIENT_ID = "00100020"


@dataclass(frozen=True, order=True)
class Place:
    """An instance of the study.

    Args:
        series: SeriesInstanceUID.
        instance: SOPInstanceUID.
    """

    series: str
    instance: str


@dataclass(frozen=True)
class Contents:
    """All that a study holds, to be compared with what it holds a little later.

    Args:
        places: its instances, in order.
        etag: of its metadata; None where the service gives none.
        fingerprint: SHA-256 over all metadata.
        patient_ids: each PatientID that an instance has.
        attributes: the values of those that a tombstone is to keep, by keyword.
    """

    places: tuple[Place, ...]
    etag: str | None
    fingerprint: str
    patient_ids: frozenset[str]
    attributes: Mapping[str, list[str]]

    @property
    def series(self) -> dict[str, list[str]]:
        """Series → its instances."""
        series: dict[str, list[str]] = {}
        for place in self.places:
            series.setdefault(place.series, []).append(place.instance)
        return series


class Survey:
    """Takes instances one by one, so that a study of any size takes little memory.

    Args:
        study_instance_uid: whose they are to be.
        keywords: of the attributes that a tombstone is to keep.
    """

    def __init__(self, study_instance_uid: str, keywords: Iterable[str]) -> None:
        self._study = study_instance_uid
        self._tags = {keyword: f"{tag_for_keyword(keyword) or 0:08X}" for keyword in keywords}
        self._found: dict[str, set[str]] = {tag: set() for tag in (*self._tags.values(), _PATIENT_ID)}
        self._places: list[Place] = []
        self._digests: list[bytes] = []

    def add(self, instance: Mapping[str, Any]) -> None:
        """Take in an instance.

        Args:
            instance: its elements by tag (PS3.18 Annex F).

        Raises:
            FailedByItself: it is not of this study, or not named.
        """
        self._places.append(_place(instance, self._study))
        self._digests.append(hashlib.sha256(json.dumps(instance, sort_keys=True).encode()).digest())
        for tag, values in self._found.items():
            values.update(_texts(instance, tag))

    def contents(self, etag: str | None) -> Contents:
        """Return what the study holds.

        Raises:
            FailedByItself: there is nothing, an instance is named twice, or no list can name the study.
        """
        places = tuple(sorted(self._places))
        # The service takes UIDs with letters. No hold can name such a study, so it stays.
        if not places or len(set(places)) < len(places) or uid_problem(self._study):
            raise FailedByItself("metadata_unusable")
        return Contents(
            places,
            etag,
            hashlib.sha256(b"".join(sorted(self._digests))).hexdigest(),
            frozenset(self._found[_PATIENT_ID]),
            {keyword: sorted(self._found[tag]) for keyword, tag in self._tags.items()},
        )


def _place(instance: Mapping[str, Any], study_instance_uid: str) -> Place:
    study, series, sop = ("\\".join(_texts(instance, tag)) for tag in (_STUDY, _SERIES, _INSTANCE))
    try:
        check_uid("series_instance_uid", series)
        check_uid("sop_instance_uid", sop)
    except InvalidParameter:
        raise FailedByItself("metadata_unusable") from None
    if study != study_instance_uid:
        raise FailedByItself("metadata_unusable")
    return Place(series, sop)


def _texts(instance: Mapping[str, Any], tag: str) -> Iterator[str]:
    """Yield the values of an element as text, without blanks at their ends; of a name its first group."""
    element = instance.get(tag)
    values = element.get("Value") if isinstance(element, Mapping) else None
    for value in values if isinstance(values, list) else ():
        text = value.get("Alphabetic") if isinstance(value, Mapping) else value
        if isinstance(text, str | int | float) and (stripped := without_blanks(str(text))):
            yield stripped
