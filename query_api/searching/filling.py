"""What was asked for and the service does not give: found out by searching what is below each result."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, Final

from shared.dicomweb import DICOMwebClient, Query, Resource
from shared.dicomweb.search import Row

from .adaptations import Adapt, adaptation
from .ahead import in_order
from .attributes import (
    MODALITIES_IN_STUDY,
    MODALITY,
    NUMBER_OF_SERIES_RELATED_INSTANCES,
    NUMBER_OF_STUDY_RELATED_INSTANCES,
    NUMBER_OF_STUDY_RELATED_SERIES,
    Scope,
    names_of,
)
from .paging import END, Search
from .planning import Plan
from .rows import Rows, values_of

MAX_FILLED: Final = 100
_AT_ONCE: Final = 8


def lacking(plan: Plan, found: Sequence[Row]) -> set[str]:
    """Return the tags that were asked for and that no result has: a study without them may have nothing to count."""
    return {tag for tag in plan.found_out if found and all(tag not in row for row in found)}


async def fill(dicom: DICOMwebClient, plan: Plan, rows: Rows, found: list[Row], adapt: Adapt) -> list[Row]:
    """Return results with what all of them lack, or as they are where these are too many.

    Args:
        dicom: the service.
        plan: what was asked for.
        rows: knows what results are about.
        found: all results.
        adapt: is told what was done, and may refuse it.

    Raises:
        DICOMwebError: the service does not answer, or not so.
    """
    tags = sorted(lacking(plan, found))
    if not tags:
        return found
    if len(found) > MAX_FILLED:
        adapt(adaptation("not-filled-in", names_of(tags)))
        return found
    adapt(adaptation("filled-in", names_of(tags)))
    calls = [partial(_filled, dicom, rows.resource(row), row, tags) for row in found]
    async with aclosing(in_order(calls, _AT_ONCE)) as filled:
        return [row async for row in filled]


async def _filled(dicom: DICOMwebClient, resource: Resource | None, row: Row, tags: list[str]) -> Row:
    if resource is None:
        return row
    below = _of_series if resource.level == "series" else _of_study
    known = await below(dicom, resource)
    return row | {tag: known[tag] for tag in tags}


async def _of_series(dicom: DICOMwebClient, resource: Resource) -> Row:
    instances = await _all(Search(dicom, Scope("instances", resource), Query()))
    return {NUMBER_OF_SERIES_RELATED_INSTANCES: _number(len(instances))}


async def _of_study(dicom: DICOMwebClient, resource: Resource) -> Row:
    query = Query(includefield=(MODALITY, NUMBER_OF_SERIES_RELATED_INSTANCES))
    series = await _all(Search(dicom, Scope("series", resource), query))
    modalities = {value for row in series for value in values_of(row, MODALITY)}
    counts = [count for row in series for count in values_of(row, NUMBER_OF_SERIES_RELATED_INSTANCES)]
    if len(counts) < len(series):
        counts = [len(await _all(Search(dicom, Scope("instances", resource), Query())))]
    return {
        MODALITIES_IN_STUDY: {"vr": "CS", "Value": sorted(modalities)} if modalities else {"vr": "CS"},
        NUMBER_OF_STUDY_RELATED_SERIES: _number(len(series)),
        NUMBER_OF_STUDY_RELATED_INSTANCES: _number(sum(map(int, counts))),
    }


def _number(count: int) -> dict[str, Any]:
    return {"vr": "IS", "Value": [count]}


async def _all(search: Search) -> list[Row]:
    async with aclosing(search.pages(0, END, at_once=1)) as pages:
        return [row async for page in pages for row in page]
