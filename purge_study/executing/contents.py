"""What a study holds at the service, as its metadata tell (pure)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from pydicom import Dataset

from shared.dicomweb import InvalidParameter, Metadata, check_uid

from .reasons import FailedByItself


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
        fingerprint: SHA-256 over all metadata where there is no ETag, else empty.
    """

    places: tuple[Place, ...]
    etag: str | None
    fingerprint: str

    @property
    def series(self) -> dict[str, list[str]]:
        """Series → its instances."""
        series: dict[str, list[str]] = {}
        for place in self.places:
            series.setdefault(place.series, []).append(place.instance)
        return series


def contents_of(metadata: Metadata, study_instance_uid: str) -> Contents:
    """Read what a study holds.

    Raises:
        FailedByItself: the metadata are not those of this study, or an instance is not named, or is named twice.
    """
    places = tuple(sorted(_place(dataset, study_instance_uid) for dataset in metadata.datasets))
    if not places or len(set(places)) < len(places):
        raise FailedByItself("metadata_unusable")
    return Contents(places, metadata.etag, "" if metadata.etag else _fingerprint(metadata.datasets))


def values_of(datasets: Iterable[Dataset], keywords: Iterable[str]) -> dict[str, list[str]]:
    """Return the values that instances have of some attributes, by keyword."""
    datasets = list(datasets)
    return {keyword: sorted({_text(dataset, keyword) for dataset in datasets} - {""}) for keyword in keywords}


def patient_ids(datasets: Iterable[Dataset]) -> frozenset[str]:
    """Return each PatientID that an instance has, as it is written."""
    return frozenset(values_of(datasets, ["PatientID"])["PatientID"])


def _place(dataset: Dataset, study_instance_uid: str) -> Place:
    study, series, instance = (
        _text(dataset, keyword) for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    )
    try:
        check_uid("series_instance_uid", series)
        check_uid("sop_instance_uid", instance)
    except InvalidParameter:
        raise FailedByItself("metadata_unusable") from None
    if study != study_instance_uid:
        raise FailedByItself("metadata_unusable")
    return Place(series, instance)


def _text(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip(" \0")


def _fingerprint(datasets: Iterable[Dataset]) -> str:
    digest = hashlib.sha256()
    for one in sorted(map(_written_out, datasets)):
        digest.update(hashlib.sha256(one.encode("utf-8", "surrogatepass")).digest())
    return digest.hexdigest()


def _written_out(dataset: Dataset) -> str:
    elements = (
        f"{element.tag} {element.VR} {'' if element.VR == 'SQ' else repr(element.value)}"
        for element in dataset.iterall()
    )
    return "\n".join(elements)
