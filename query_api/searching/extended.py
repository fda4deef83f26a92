"""Attributes that an operator has had indexed besides the usual ones: extended query tags of the Azure service."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Final

from shared.dicomweb import DICOMwebClient, DICOMwebError, ExtendedQueryTag
from shared.kept import Kept

from .attributes import Attribute, Level, vr_of

_KEPT_SECONDS: Final = 60.0
_PATIENCE_SECONDS: Final = 10.0


class ExtendedAttributes:
    """What can be searched for besides; known for a minute."""

    def __init__(self) -> None:
        self._known: Kept[Mapping[str, Attribute] | None] = Kept(_KEPT_SECONDS)

    async def of(self, dicom: DICOMwebClient) -> Mapping[str, Attribute] | None:
        """Return them by tag; None if the service does not tell."""
        return await self._known.get(partial(_listed, dicom))


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
