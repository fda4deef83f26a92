"""Pages of the service: what is asked for at the same time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import aclosing

import pytest

from query_api.searching.attributes import Scope
from query_api.searching.paging import Search
from query_api.searching.rows import Rows
from shared.dicomweb import DICOMwebClient, JSONPage, Query, Resource
from shared.dicomweb.search import Kind

SCOPE = Scope("studies", Resource())
END = 450


class Service(DICOMwebClient):
    """A service of many studies, which answers some pages once another one was asked for.

    Args:
        waits: a page's offset → that of the page which must have been asked for.
        studies: how many it has.
    """

    def __init__(self, waits: dict[int, int], studies: int = 10_000) -> None:
        self._waits = waits
        self._studies = studies
        self.asked: dict[int, asyncio.Event] = defaultdict(asyncio.Event)

    async def search_json(self, kind: Kind, parent: Resource, query: Query) -> JSONPage:
        """Answer a search."""
        self.asked[query.offset].set()
        if query.offset in self._waits:
            await self.asked[self._waits[query.offset]].wait()
        positions = range(query.offset, min(query.offset + (query.limit or 0), self._studies))
        return JSONPage([{"0020000D": {"vr": "UI", "Value": [f"1.2.{n}"]}} for n in positions])


async def begun(waits: dict[int, int]) -> tuple[list[int], bool]:
    """Return how many results the first pages have, and whether there are more, from a service that waits."""
    async with asyncio.timeout(10):
        known, has_more = await Search(Service(waits), SCOPE, Query()).begin(0, END)
    return [len(page) for page in known], has_more


async def test_whether_there_is_more_is_asked_beside_the_first_page() -> None:
    """Neither waits for the other."""
    assert await begun({END: 0}) == await begun({0: END}) == ([200], True)


async def test_what_is_there_is_asked_for_while_the_first_page_is_dealt_with() -> None:
    """One page, so that it is there once that is written; and not more, for there may be nobody who takes it."""
    service = Service({})
    search = Search(service, SCOPE, Query())
    async with asyncio.timeout(10):
        known, has_more = await search.begin(0, END)
        assert service.asked.keys() == {0, END}
        async with aclosing(search.go_on(known, has_more, 0, END, Rows(SCOPE, "http://app"))) as pages:
            sizes = [len(await anext(pages))]
            await service.asked[200].wait()
            assert 400 not in service.asked
            sizes += [len(page) async for page in pages]
        assert sizes == [200, 200, 50]


@pytest.mark.parametrize(
    ("studies", "asked"),
    [
        (0, {0}),
        (150, {0, 200}),
        (200, {0, 200}),
        (300, {0, 200, 400}),
        (400, {0, 200, 400, 600, 800}),
        (500, {0, 200, 400, 600, 800}),
        (1000, {0, 200, 400, 600, 800}),
    ],
)
async def test_pages_that_may_not_be_there_are_asked_for_behind_whole_ones(studies: int, asked: set[int]) -> None:
    """Three at once, so that two are asked for in vain at most; behind a short page, one by one."""
    service = Service({200: 1000, 400: 800} if studies >= 400 else {}, studies)
    search = Search(service, SCOPE, Query())
    async with asyncio.timeout(10):
        known, has_more = await search.begin(0, 1000)
        assert not has_more
        async with aclosing(search.go_on(known, has_more, 0, 1000, Rows(SCOPE, "http://app"))) as pages:
            assert sum([len(page) async for page in pages]) == studies
    assert service.asked.keys() - {1000} == asked


async def test_pages_that_are_known_to_be_there_are_asked_for_side_by_side() -> None:
    """All but the first two do not wait for the one before."""
    service = Service({200: 800, 400: 800, 600: 800})
    async with asyncio.timeout(10):
        known, has_more = await Search(service, SCOPE, Query()).begin(0, 1000)
        pages = Search(service, SCOPE, Query()).go_on(known, has_more, 0, 1000, Rows(SCOPE, "http://app"))
        async with aclosing(pages):
            assert [len(page) async for page in pages] == [200] * 5
