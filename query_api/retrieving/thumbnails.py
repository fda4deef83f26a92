"""Thumbnails (PS3.18 §10.4.1.1.5), which the service does not have: it draws the middle frame of the middle instance.

Instances without a picture, such as reports, are passed over. A study is shown by the first of its series, in the order
of their numbers, that has a picture which the service can draw.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from pydicom import Dataset
from starlette.responses import Response

from query_api.lookup import Lookup
from query_api.refusals import refused
from shared.dicomweb import NotAcceptable, NotFound, Query, Resource
from shared.dicomweb.query import MAX_LIMIT
from shared.dicomweb.search import Page

from .opening import transaction_of
from .rendered import draw, wanted

# What one thumbnail may cost the service: as many searches as show 5,000 instances, and a few. What lies beyond is not
# looked at.
MOST_SEARCHES: Final = 30

_NO_NUMBER: Final = 2**31  # as good as any, and after all of those that have one
_OF_PICTURES: Final = ("InstanceNumber", "NumberOfFrames", "Rows", "Columns")


async def thumbnail(lookup: Lookup) -> Response:
    """Answer with a picture that stands for a study, a series or an instance.

    Raises:
        NotFound: there is nothing under these UIDs.
        Refused: nothing of it can be drawn.
    """
    resource = lookup.resource
    picture = wanted(lookup)
    searches = _Searches(lookup)
    for series in await searches.series(resource) if resource.level == "study" else [resource]:
        if pictures := [one for one in await searches.instances(series) if _has_picture(one)]:
            try:
                return await draw(lookup, _middle_frame(series, pictures), picture)
            except (NotAcceptable, NotFound):  # a film, say; or it has rows and columns, and yet no pixels
                continue
    raise refused("no-picture")


class _Searches:
    """The searches for one thumbnail: so many, and no more."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._left = MOST_SEARCHES

    async def series(self, study: Resource) -> list[Resource]:
        """Return a study's series, in the order of their numbers.

        Raises:
            NotFound: there are none.
        """
        uid = str(study.study_instance_uid)

        async def search(query: Query) -> Page:
            return await self._lookup.dicom.search_for_series(query, study_instance_uid=uid)

        found = await self._all(search, Query(includefield=("SeriesNumber",)))
        found.sort(key=lambda one: (_number(one, "SeriesNumber", _NO_NUMBER), _uid(one, "SeriesInstanceUID")))
        return [Resource.series(uid, _uid(one, "SeriesInstanceUID")) for one in found]

    async def instances(self, resource: Resource) -> list[Dataset]:
        """Return the instances of a series, or one of them.

        Raises:
            NotFound: there are none.
        """
        sop_instance_uid = resource.sop_instance_uid
        filters = {} if sop_instance_uid is None else {"SOPInstanceUID": sop_instance_uid}

        async def search(query: Query) -> Page:
            return await self._lookup.dicom.search_for_instances(
                query,
                study_instance_uid=resource.study_instance_uid,
                series_instance_uid=resource.series_instance_uid,
            )

        return await self._all(search, Query(filters, includefield=_OF_PICTURES))

    async def _all(self, search: Callable[[Query], Awaitable[Page]], query: Query) -> list[Dataset]:
        if self._left == 0:
            return []
        found: list[Dataset] = []
        while self._left > 0:
            self._left -= 1
            page = await search(query.page(len(found), MAX_LIMIT))
            found += page
            if len(page) < MAX_LIMIT:
                break
        if not found:
            raise NotFound(transaction_of(self._lookup), 404)
        return found


def _has_picture(instance: Dataset) -> bool:
    return _number(instance, "Rows", 0) > 0 and _number(instance, "Columns", 0) > 0


def _middle_frame(series: Resource, pictures: Sequence[Dataset]) -> str:
    """Return the path of the middle frame of the middle instance, by instance number."""
    ordered = sorted(
        pictures, key=lambda one: (_number(one, "InstanceNumber", _NO_NUMBER), _uid(one, "SOPInstanceUID"))
    )
    middle = ordered[len(ordered) // 2]
    study_uid, series_uid = str(series.study_instance_uid), str(series.series_instance_uid)
    instance = Resource.instance(study_uid, series_uid, _uid(middle, "SOPInstanceUID"))
    return f"{instance.path}/frames/{_number(middle, 'NumberOfFrames', 1) // 2 + 1}"


def _number(dataset: Dataset, keyword: str, otherwise: int) -> int:
    try:
        return int(str(dataset.get(keyword)))
    except ValueError:  # none, several, or what is no number
        return otherwise


def _uid(dataset: Dataset, keyword: str) -> str:
    return str(dataset.get(keyword, "")).rstrip(" \0")
