"""Thumbnails (PS3.18 §10.4.1.1.5), which the service does not have: it draws the middle frame of the middle instance.

Instances without a picture, such as reports, are passed over. A study is shown by the first of its series, in the order
of their numbers, that has a picture which the service can draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from itertools import chain
from typing import Final

from starlette.responses import Response

from query_api.lookup import Lookup
from query_api.refusals import refused
from query_api.searching.attributes import SERIES_INSTANCE_UID, SOP_INSTANCE_UID, Scope
from query_api.searching.paging import Search
from query_api.searching.rows import uid_of, values_of
from shared.dicomweb import NotAcceptable, NotFound, Query, Resource
from shared.dicomweb.query import MAX_LIMIT
from shared.dicomweb.search import Row

from .opening import transaction_of
from .rendered import draw, wanted

# What one thumbnail may cost the service: as many searches as show 5,000 instances, and two for each of a few series
# without pictures. What lies beyond is not looked at.
MOST_SEARCHES: Final = 40

_NO_NUMBER: Final = 2**31  # as good as any, and after all of those that have one
_PAGES_AT_FIRST: Final = 2  # the first and, for most, the end behind it
_PAGES_AT_ONCE: Final = 4

_SERIES_NUMBER: Final = "00200011"
_INSTANCE_NUMBER: Final = "00200013"
_NUMBER_OF_FRAMES: Final = "00280008"
_ROWS: Final = "00280010"
_COLUMNS: Final = "00280011"
_OF_PICTURES: Final = (_INSTANCE_NUMBER, _NUMBER_OF_FRAMES, _ROWS, _COLUMNS)


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
        found = await self._all(Scope("series", study), Query(includefield=(_SERIES_NUMBER,)))
        found.sort(key=lambda one: (_number(one, _SERIES_NUMBER, _NO_NUMBER), _uid(one, SERIES_INSTANCE_UID)))
        return [Resource.series(uid, _uid(one, SERIES_INSTANCE_UID)) for one in found]

    async def instances(self, resource: Resource) -> list[Row]:
        """Return the instances of a series, or one of them.

        Raises:
            NotFound: there are none.
        """
        series = Resource.series(str(resource.study_instance_uid), str(resource.series_instance_uid))
        sop_instance_uid = resource.sop_instance_uid
        filters = {} if sop_instance_uid is None else {SOP_INSTANCE_UID: sop_instance_uid}
        return await self._all(Scope("instances", series), Query(filters, includefield=_OF_PICTURES))

    async def _all(self, scope: Scope, query: Query) -> list[Row]:
        if self._left == 0:
            return []
        search = Search(self._lookup.dicom, scope, query)
        is_of_one = SOP_INSTANCE_UID in query.filters
        found = list(await search.page(0, 1)) if is_of_one else await self._page_after_page(search)
        if not found:
            raise NotFound(transaction_of(self._lookup), 404)
        return found

    async def _page_after_page(self, search: Search) -> list[Row]:
        """Return all results: those of some pages at once, and so on until one has none, which alone is the end."""
        found: list[Row] = []
        offset, at_once = 0, _PAGES_AT_FIRST
        while self._left > 0:
            count = min(at_once, self._left)
            self._left -= count
            end = offset + count * MAX_LIMIT
            async with aclosing(search.pages(offset, end, count)) as some:
                pages = [page async for page in some]
            found += chain.from_iterable(pages)
            if len(pages) < count:
                break
            offset, at_once = end, _PAGES_AT_ONCE
        return found


def _has_picture(instance: Row) -> bool:
    return _number(instance, _ROWS, 0) > 0 and _number(instance, _COLUMNS, 0) > 0


def _middle_frame(series: Resource, pictures: Sequence[Row]) -> str:
    """Return the path of the middle frame of the middle instance, by instance number."""
    ordered = sorted(
        pictures, key=lambda one: (_number(one, _INSTANCE_NUMBER, _NO_NUMBER), _uid(one, SOP_INSTANCE_UID))
    )
    middle = ordered[len(ordered) // 2]
    study_uid, series_uid = str(series.study_instance_uid), str(series.series_instance_uid)
    instance = Resource.instance(study_uid, series_uid, _uid(middle, SOP_INSTANCE_UID))
    return f"{instance.path}/frames/{_number(middle, _NUMBER_OF_FRAMES, 1) // 2 + 1}"


def _number(row: Row, tag: str, otherwise: int) -> int:
    try:
        [value] = values_of(row, tag)
        return int(str(value))
    except ValueError:  # none, several, or what is no number
        return otherwise


def _uid(row: Row, tag: str) -> str:
    return uid_of(row, tag) or ""
