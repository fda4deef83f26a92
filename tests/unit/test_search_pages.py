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
    """A service of many studies, which answers a page of `waits` once the page it names was asked for."""

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


NONE: dict[int, int] = {}
BEHIND = {200: 1000, 400: 800}  # answered only if the pages behind are asked for at the same time
BESIDE = {200: 800, 400: 800, 600: 800}


@pytest.mark.parametrize(
    ("waits", "studies", "more", "asked"),
    [
        pytest.param(NONE, 0, False, {0}, id="nothing behind an empty page"),
        pytest.param(NONE, 150, False, {0, 200}, id="one page behind a short one"),
        pytest.param(NONE, 200, False, {0, 200}, id="one page behind a whole one"),
        pytest.param(NONE, 300, False, {0, 200, 400}, id="one by one behind a short page"),
        pytest.param(BEHIND, 400, False, {0, 200, 400, 600, 800}, id="three at once, two in vain"),
        pytest.param(BEHIND, 500, False, {0, 200, 400, 600, 800}, id="three at once, the first short"),
        pytest.param(BEHIND, 1000, False, {0, 200, 400, 600, 800}, id="three at once, all whole"),
        pytest.param(BESIDE, 10_000, True, {0, 200, 400, 600, 800}, id="side by side if known to be there"),
    ],
)
async def test_pages_are_asked_for(waits: dict[int, int], studies: int, more: bool, asked: set[int]) -> None:
    """Side by side as far as they are there for certain or likely, and few in vain."""
    service = Service(waits, studies)
    search = Search(service, SCOPE, Query())
    async with asyncio.timeout(10):
        known, has_more = await search.begin(0, 1000)
        assert has_more == more
        async with aclosing(search.go_on(known, has_more, 0, 1000, Rows(SCOPE, "http://app"))) as pages:
            sizes = [len(page) async for page in pages]
    assert sum(sizes) == min(studies, 1000)
    assert not more or sizes == [200] * 5
    assert service.asked.keys() - {1000} == asked
