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
    """A service of endless studies, which answers some pages once another one was asked for.

    Args:
        waits: a page's offset → that of the page which must have been asked for.
    """

    def __init__(self, waits: dict[int, int]) -> None:
        self._waits = waits
        self.asked: dict[int, asyncio.Event] = defaultdict(asyncio.Event)

    async def search_json(self, kind: Kind, parent: Resource, query: Query) -> JSONPage:
        """Answer a search."""
        self.asked[query.offset].set()
        if query.offset in self._waits:
            await self.asked[self._waits[query.offset]].wait()
        positions = range(query.offset, query.offset + (query.limit or 0))
        return JSONPage([{"0020000D": {"vr": "UI", "Value": [f"1.2.{n}"]}} for n in positions])


async def begun(waits: dict[int, int]) -> tuple[list[int], bool]:
    """Return how many results the first pages have, and whether there are more, from a service that waits."""
    async with asyncio.timeout(10):
        known, has_more = await Search(Service(waits), SCOPE, Query()).begin(0, END)
    return [len(page) for page in known], has_more


async def test_whether_there_is_more_is_asked_beside_the_first_page() -> None:
    """Neither waits for the other."""
    assert await begun({END: 0}) == await begun({0: END}) == ([200], True)


@pytest.mark.parametrize("has_more", [False, True])
async def test_each_page_is_asked_for_while_the_one_before_is_dealt_with(has_more: bool) -> None:
    """So that it is there once that is written; and not sooner, for there may be none, or nobody who takes it."""
    service = Service({})
    search = Search(service, SCOPE, Query())
    async with asyncio.timeout(10):
        known, _ = await search.begin(0, END)
        assert service.asked.keys() == {0, END}
        sizes = []
        async with aclosing(search.go_on(known, has_more, 0, END, Rows(SCOPE, "http://app"))) as pages:
            for following in (200, 400):
                sizes.append(len(await anext(pages)))
                await service.asked[following].wait()
                assert max(service.asked.keys() - {END}) == following
            sizes += [len(page) async for page in pages]
        assert sizes == [200, 200, 50]


async def test_pages_that_are_known_to_be_there_are_asked_for_side_by_side() -> None:
    """All but the first two do not wait for the one before."""
    service = Service({200: 800, 400: 800, 600: 800})
    async with asyncio.timeout(10):
        known, has_more = await Search(service, SCOPE, Query()).begin(0, 1000)
        pages = Search(service, SCOPE, Query()).go_on(known, has_more, 0, 1000, Rows(SCOPE, "http://app"))
        async with aclosing(pages):
            assert [len(page) async for page in pages] == [200] * 5
