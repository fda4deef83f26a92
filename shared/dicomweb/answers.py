"""What the bodies of answers have in common: DICOM JSON (PS3.18 Annex F), and JSON objects of the service's own."""

from __future__ import annotations

import asyncio
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from pydicom import DataElement, Dataset, Sequence
from pydicom.config import disable_value_validation

from .errors import InvalidResponse


@contextmanager
def reading_answer(transaction: str) -> Iterator[None]:
    """Turn what a value of the wrong type runs into, into InvalidResponse, and drop what it quotes."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        raise InvalidResponse(f"{transaction}: the answer is of another shape than expected") from None


async def datasets_of(transaction: str, decoded: Any) -> list[Dataset]:
    """Turn an array of DICOM JSON objects into datasets, letting others run in between: large ones take seconds.

    Raises:
        InvalidResponse: it is none.
    """
    if not isinstance(decoded, list):
        raise InvalidResponse(f"{transaction}: the answer is no array of DICOM JSON objects")
    datasets = []
    for item in decoded:
        datasets.append(dataset_of(transaction, item))
        await asyncio.sleep(0)
    return datasets


def dataset_of(transaction: str, decoded: Any) -> Dataset:
    """Turn a DICOM JSON object into a dataset.

    A value that its VR does not allow, which services hand on as they got it, is kept as text of VR UT: it shall not
    keep all the others from being read.

    Raises:
        InvalidResponse: it is none.
    """
    try:
        with _silence():
            return _dataset(decoded)
    except Exception:  # whatever a wrong type runs into inside pydicom
        raise InvalidResponse(f"{transaction}: the answer is not DICOM JSON") from None


@contextmanager
def _silence() -> Iterator[None]:
    """Keep pydicom from quoting what it finds invalid, in warnings and in its log."""
    log = logging.getLogger("pydicom")
    was_disabled = log.disabled
    log.disabled = True
    try:
        with disable_value_validation(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.disabled = was_disabled


def _dataset(decoded: dict[str, Any]) -> Dataset:
    try:
        return Dataset.from_json(decoded)
    except Exception:
        dataset = Dataset()
        for tag, element in decoded.items():
            dataset.add(_element(tag, element))
        return dataset


def _element(tag: str, element: dict[str, Any]) -> DataElement:
    """Read an element that may be invalid, or hold what is."""
    values = element.get("Value")
    if element.get("vr") == "SQ" and isinstance(values, list):
        items = (item if isinstance(item, dict) else {} for item in values)
        return DataElement(int(tag, 16), "SQ", Sequence(map(_dataset, items)))
    try:
        return next(iter(Dataset.from_json({tag: element})))
    except Exception:
        if values is None:
            values = element.get("InlineBinary", element.get("BulkDataURI", ""))
        several = values if isinstance(values, list) else [values]
        text = "\\".join(value if isinstance(value, str) else json.dumps(value) for value in several)
        return DataElement(int(tag, 16), "UT", text)


def items_of(decoded: Any) -> list[Any]:
    """Return a JSON array; an object would pass for an empty one.

    Raises:
        TypeError: it is none; see `reading_answer`.
    """
    if not isinstance(decoded, list):
        raise TypeError
    return decoded


def fields_of(decoded: Any) -> Mapping[str, Any]:
    """Return a JSON object of the service's own with its keys in lower case: sources disagree about their case."""
    return {name.lower(): value for name, value in decoded.items()}


def time_of(text: str) -> datetime:
    """Read a point in time, in UTC where it says no zone; digits beyond microseconds are dropped."""
    when = datetime.fromisoformat(text)
    return when if when.tzinfo else when.replace(tzinfo=UTC)
