"""Attributes that an operator has had indexed besides the usual ones: extended query tags of the Azure service."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from shared.dicomweb import DICOMwebClient, DICOMwebError, ExtendedQueryTag

from .attributes import Attribute, Level, vr_of

_KEPT_SECONDS: Final = 60.0
_PATIENCE_SECONDS: Final = 10.0


class ExtendedAttributes:
    """What can be searched for besides; known for a minute."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._known: tuple[float, Mapping[str, Attribute] | None] | None = None

    async def of(self, dicom: DICOMwebClient) -> Mapping[str, Attribute] | None:
        """Return them by tag; None if the service does not tell. Concurrent callers share one question."""
        async with self._lock:
            if self._known is None or time.monotonic() - self._known[0] > _KEPT_SECONDS:
                self._known = (time.monotonic(), await _listed(dicom))
            return self._known[1]


async def _listed(dicom: DICOMwebClient) -> Mapping[str, Attribute] | None:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            tags = await dicom.extended_query_tags.list()
    except (DICOMwebError, TimeoutError):
        return None
    return {tag.path.upper(): _attribute(tag) for tag in tags if _is_searchable(tag)}


def _is_searchable(tag: ExtendedQueryTag) -> bool:
    return tag.status == "ready" and tag.query_status == "enabled"


def _attribute(tag: ExtendedQueryTag) -> Attribute:
    path = tag.path.upper()
    return Attribute(path, tag.vr or vr_of(path), Level[tag.level.upper()])
