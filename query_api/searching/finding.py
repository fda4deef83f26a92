"""Doing a search: the service's pages as they come, or, where they are not ours, its results gathered and chosen."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Final

from query_api.refusals import refused
from shared.dicomweb import DICOMwebClient, JSONPage
from shared.dicomweb.query import MAX_LIMIT
from shared.dicomweb.search import Row
from shared.probe_uids import is_of_probe

from .ahead import in_order, side_by_side
from .attributes import names_of
from .paging import END, Search
from .planning import Plan, Step
from .rows import Rows, without_probe

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
    if is_of_probe(plan.scope.parent.study_instance_uid):
        return Found([], None, has_more=False)
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
    hidden, (known, is_followed) = await _begin(search, start, end)
    if hidden:
        start, end = start + hidden, end + hidden
        known, is_followed = await search.begin(start, end)
    extra, has_more = list[JSONPage](), is_followed
    if is_followed and any(len(without_probe(page)) < len(page) for page in known):
        # The next one takes the place of what is hidden: many take a page that is not full for the last one.
        extra, has_more = await search.begin(end, end + 1)
    erroneous_attributes = known[0].erroneous_attributes
    if plan.limit <= MAX_LIMIT:
        return Found(rows.new(chain(known[0], *extra)), None, has_more, erroneous_attributes)
    pages = search.go_on(known, is_followed, start, end, rows, extra)
    try:
        return Found(await anext(pages, JSONPage()), pages, has_more, erroneous_attributes)
    except BaseException:
        await pages.aclose()
        raise


async def _begin(search: Search, start: int, end: int) -> tuple[int, tuple[list[JSONPage], bool]]:
    """Return how many results before a position are hidden, and meanwhile begin as if there were none, as a rule."""
    if not search.may_hide_before(start):
        return 0, await search.begin(start, end)
    calls: list[Callable[[], Coroutine[Any, Any, Any]]] = [
        partial(search.hidden_before, start),
        partial(search.begin, start, end),
    ]
    hidden, begun = await side_by_side(calls)
    return hidden, begun


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
        shown = without_probe(page)
        if not step.patterns:
            return shown
        self._scanned += len(shown)
        if self._scanned > self._scan_limit:
            names = names_of(pattern.tag for pattern in step.patterns)
            raise refused("too-broad", members={"detail": self._why(names)})
        return [row for row in shown if all(pattern.matches(row) for pattern in step.patterns)]

    def _why(self, names: str) -> str:
        return (
            f"{names}: the app looks for wildcards in {self._scan_limit} results of the DICOM service at most, and "
            "there are more. Search for something else besides, without wildcards, such as a range of StudyDate."
        )
