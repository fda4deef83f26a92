"""Doing a search: the service's pages as they come, or, where they are not ours, its results gathered and chosen."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from query_api.refusals import refused
from shared.dicomweb import DICOMwebClient, JSONPage
from shared.dicomweb.query import MAX_LIMIT
from shared.dicomweb.search import Row

from .ahead import in_order
from .attributes import names_of
from .paging import END, Search
from .planning import Plan, Step
from .rows import Rows

_PAGES_AT_ONCE: Final = 4
_STEPS_AT_ONCE: Final = 8


@dataclass(frozen=True)
class Found:
    """What a search finds.

    Args:
        first: the first results.
        rest: yields the others; it is to be closed. None where the first are all.
        has_more: whether there are more than all these.
        erroneous_attributes: filters by which some may have been missed.
    """

    first: list[Row]
    rest: AsyncGenerator[list[Row]] | None
    has_more: bool
    erroneous_attributes: tuple[str, ...] = ()

    async def all(self) -> list[Row]:
        """Return all results at once."""
        if self.rest is None:
            return self.first
        async with aclosing(self.rest) as rest:
            return self.first + [row async for rows in rest for row in rows]

    async def aclose(self) -> None:
        """End what is under way."""
        if self.rest is not None:
            await self.rest.aclose()


async def find(dicom: DICOMwebClient, plan: Plan, rows: Rows, scan_limit: int) -> Found:
    """Do a search; whether there is more is known, and the first results are there, when this returns.

    Args:
        dicom: the service.
        plan: what to ask of it.
        rows: tells results apart.
        scan_limit: of results that are looked through for patterns.

    Raises:
        Refused: 400, there are too many of these.
        DICOMwebError: the service does not answer, or not so.
    """
    if plan.is_direct:
        return await _find_directly(Search(dicom, plan.scope, plan.steps[0].query), plan, rows)
    if plan.offset > scan_limit:
        raise refused("too-broad", members={"parameter": "offset", "detail": _too_far(scan_limit)})
    return await _Gathering(dicom, plan, rows, scan_limit).find()


def _too_far(scan_limit: int) -> str:
    return (
        f"The app passes over {scan_limit} results of a search with several values or wildcards at most, for it has to "
        "gather them first. Search for one value at a time."
    )


async def _find_directly(search: Search, plan: Plan, rows: Rows) -> Found:
    start, end = plan.offset, plan.offset + plan.limit
    if plan.finds_one:
        page = await search.page(start, 1)
        return Found(rows.new(page), None, has_more=False, erroneous_attributes=page.erroneous_attributes)
    known, has_more = await search.begin(start, end)
    if plan.limit <= MAX_LIMIT:
        return Found(rows.new(known[0]), None, has_more, known[0].erroneous_attributes)
    pages = search.go_on(known, has_more, start, end, rows)
    try:
        first = await anext(pages, JSONPage())
        return Found(first, pages, has_more, first.erroneous_attributes)
    except BaseException:
        await pages.aclose()
        raise


class _Gathering:
    def __init__(self, dicom: DICOMwebClient, plan: Plan, rows: Rows, scan_limit: int) -> None:
        self._dicom = dicom
        self._plan = plan
        self._rows = rows
        self._scan_limit = scan_limit
        self._scanned = 0
        self._wanted = plan.offset + plan.limit + 1
        self._erroneous: dict[str, None] = {}

    async def find(self) -> Found:
        found: list[Row] = []
        # One after the other where results are looked through: how many that are shall not depend on who is faster.
        at_once = 1 if any(step.patterns for step in self._plan.steps) else _STEPS_AT_ONCE
        async with aclosing(in_order(self._calls(), at_once)) as steps:
            async for rows in steps:
                found += self._rows.new(rows)
                if len(found) >= self._wanted:
                    break
        page = found[self._plan.offset : self._wanted - 1]
        return Found(page, None, len(found) >= self._wanted, tuple(self._erroneous))

    def _calls(self) -> Iterator[Callable[[], Coroutine[Any, Any, list[Row]]]]:
        for step in self._plan.steps:
            yield partial(self._gather, step)

    async def _gather(self, step: Step) -> list[Row]:
        """Return as many of a step's results as may be needed."""
        found: list[Row] = []
        async with aclosing(self._pages(step)) as pages:
            async for page in pages:
                self._erroneous |= dict.fromkeys(page.erroneous_attributes)
                found += self._matching(step, page)
                if len(found) >= self._wanted:
                    break
        return found

    def _pages(self, step: Step) -> AsyncGenerator[JSONPage]:
        search = Search(self._dicom, self._plan.scope, step.query)
        if self._plan.finds_one:
            return search.pages(0, 1, at_once=1)
        # Not to the limit's position: of the results before it the service may have dropped some.
        return search.pages(0, END, _PAGES_AT_ONCE if step.patterns else 1)

    def _matching(self, step: Step, page: JSONPage) -> list[Row]:
        if not step.patterns:
            return page
        self._scanned += len(page)
        if self._scanned > self._scan_limit:
            names = names_of(pattern.tag for pattern in step.patterns)
            raise refused("too-broad", members={"detail": self._why(names)})
        return [row for row in page if all(pattern.matches(row) for pattern in step.patterns)]

    def _why(self, names: str) -> str:
        return (
            f"{names}: the app looks for wildcards in {self._scan_limit} results of the DICOM service at most, and "
            "there are more. Search for something else besides, without wildcards, such as a range of StudyDate."
        )
