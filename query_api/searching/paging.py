"""Searches of the service, page by page (PS3.18 §8.3.4.4)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, Final

from shared.dicomweb import DICOMwebClient, InvalidResponse, JSONPage, NotFound, Query
from shared.dicomweb.query import MAX_LIMIT

from .ahead import in_order, side_by_side
from .attributes import Scope
from .rows import Rows, without_probe

END: Final = 2**31 - 1  # the service takes no larger offset
# A page and four ahead: what a caller may ask for, 1,000 results, is then there after two answers' time.
_PAGES_AT_ONCE: Final = 5
# The same behind a whole page that may be the last one: two are asked for in vain at most.
_PAGES_IN_DOUBT: Final = 3

# Where as many came since the probe, which is there for a minute, pages move anyway.
_IN_FRONT: Final = 20

_Ask = Callable[[], Coroutine[Any, Any, JSONPage]]


class Search:
    """One search of the service, whose results have positions from 0 on."""

    def __init__(self, dicom: DICOMwebClient, scope: Scope, query: Query) -> None:
        self._dicom = dicom
        self._scope = scope
        self._query = query

    async def page(self, offset: int, limit: int) -> JSONPage:
        """Return what is at some positions; a service that gives less at a time is asked for the rest.

        Raises:
            InvalidResponse: there is no service that can search.
            DICOMwebError: the service does not answer, or not so.
        """
        page = await self._ask(offset, limit)
        while page.is_capped and 0 < len(page) < limit:
            more = await self._ask(offset + len(page), limit - len(page))
            page.extend(more)
            page.is_capped = more.is_capped and bool(more)
        return page

    async def pages(self, start: int, end: int, at_once: int) -> AsyncGenerator[JSONPage]:
        """Yield pages from one position to before another, or to the last one.

        A short page is no proof of the end: the Azure service drops unfinished instances after it has applied the
        limit.

        Args:
            start: the first position.
            end: the first position that is not wanted.
            at_once: how many pages are asked for at the same time.
        """
        async with aclosing(in_order(self._calls(start, end), at_once)) as pages:
            async for page in pages:
                if not page:
                    return
                yield page

    def may_hide_before(self, start: int) -> bool:
        """Say whether results before a position may be hidden; not by attributes, of which the probe has hardly any."""
        return start > 0 and not self._query.filters and self._scope.parent.level == "all"

    async def hidden_before(self, start: int) -> int:
        """Return how many results before a position are hidden: the probe's, which is among the newest, or none."""
        first = await self.page(0, min(start, _IN_FRONT))
        return len(first) - len(without_probe(first))

    async def begin(self, start: int, end: int) -> tuple[list[JSONPage], bool]:
        """Return the first pages, one or two, and whether there are results behind the last position.

        Nothing at the one position behind it is no proof of the end, as a short page is none: a whole page is.

        Args:
            start: the first position.
            end: the first position that is not wanted.
        """
        if end - start < MAX_LIMIT:
            return await self._begin_with_one_more(start, end)
        first, *others = self._calls(start, end)
        probe: _Ask = partial(self.page, end, 1)
        one_more, page = await side_by_side([probe, first])
        behind = without_probe(one_more)
        known, asked = [page], list[JSONPage]()
        if not behind and page and others:
            # A whole page has more behind it, as a rule: then what is behind the last position will be asked for, too.
            calls = [others[0]]
            if len(page) == MAX_LIMIT:
                calls.append(partial(self._ask, end, MAX_LIMIT))
            second, *asked = await side_by_side(calls)
            known.append(second)
        is_at_end = not known[-1] and end - start >= MAX_LIMIT * len(known)
        if not behind and not is_at_end:
            behind = without_probe(asked[0] if asked else await self._ask(end, MAX_LIMIT))
        return known, bool(behind)

    async def _begin_with_one_more(self, start: int, end: int) -> tuple[list[JSONPage], bool]:
        """Do the same with a page that reaches one position further: if it is full, there is more."""
        page = await self.page(start, end + 1 - start)
        if without_probe(page[end - start :]):
            del page[end - start :]
            return [page], True
        behind = await self._ask(end, MAX_LIMIT)
        while page and page[-1] in behind:  # it stands at the position behind, and something before it was dropped
            page.pop()
        return [page], bool(without_probe(behind))

    async def go_on(
        self, known: list[JSONPage], has_more: bool, start: int, end: int, rows: Rows, extra: Sequence[JSONPage] = ()
    ) -> AsyncGenerator[JSONPage]:
        """Yield the pages that are known from the beginning, then the others; none that is empty.

        Several are asked for ahead once the first was taken, where all are known to be there; fewer behind a whole
        page, and none behind a short one, which may be the last.

        Args:
            known: from `begin`.
            has_more: the same.
            start: the first position.
            end: the first position that is not wanted.
            rows: takes from pages what was given before, or is to be hidden.
            extra: pages to yield at the end.
        """
        following = list(self._calls(start, end))[len(known) :] if has_more or known[-1] else []
        calls = [*map(_knowing, known), *following, *map(_knowing, extra)]
        in_doubt = _PAGES_IN_DOUBT if len(known[-1]) == MAX_LIMIT else 1
        ahead = in_order(calls, _PAGES_AT_ONCE, at_first=2) if has_more else in_order(calls, in_doubt)
        async with aclosing(ahead) as pages:
            async for page in pages:
                if not page and not has_more:
                    return
                page[:] = rows.new(page)
                if page:
                    yield page

    def _calls(self, start: int, end: int) -> Iterator[_Ask]:
        for offset in range(start, end, MAX_LIMIT):
            yield partial(self.page, offset, min(MAX_LIMIT, end - offset))

    async def _ask(self, offset: int, limit: int) -> JSONPage:
        try:
            return await self._dicom.search_json(self._scope.kind, self._scope.parent, self._query.page(offset, limit))
        except NotFound:
            # A search knows no 404.
            raise InvalidResponse(f"search {self._scope.kind}: the service knows no searches at this address") from None


def _knowing(page: JSONPage) -> _Ask:
    async def known() -> JSONPage:
        return page

    return known
