"""What the bodies of answers have in common: DICOM JSON (PS3.18 Annex F), and JSON objects of the service's own."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from pydicom import Dataset

from .errors import InvalidResponse


@contextmanager
def reading_answer(transaction: str) -> Iterator[None]:
    """Turn what a value of the wrong type runs into, into InvalidResponse, and drop what it quotes."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        raise InvalidResponse(f"{transaction}: the answer is of another shape than expected") from None


def datasets_of(transaction: str, decoded: Any) -> list[Dataset]:
    """Turn an array of DICOM JSON objects into datasets.

    Raises:
        InvalidResponse: it is none.
    """
    if not isinstance(decoded, list):
        raise InvalidResponse(f"{transaction}: the answer is no array of DICOM JSON objects")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote values
            return [Dataset.from_json(item) for item in decoded]
    except Exception:  # whatever a wrong type runs into inside from_json
        raise InvalidResponse(f"{transaction}: the answer is not DICOM JSON") from None


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
