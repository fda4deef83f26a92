"""Search (PS3.18 §10.6): one page at a time, or all of them."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Literal, TypeAlias, TypeVar

from pydicom import Dataset

from . import media_types
from .answers import datasets_of, items_of, reading_answer
from .errors import InvalidResponse
from .messages import Answer, Request
from .query import MAX_LIMIT, Query
from .resource import Resource
from .transactions import Transactions

Kind = Literal["studies", "series", "instances"]
Row: TypeAlias = dict[str, Any]  # a result in DICOM JSON: elements by tag
T = TypeVar("T")

_MORE = re.compile(r"\b299\b.*\badditional results\b", re.IGNORECASE)


class _Found(list[T]):
    """What a search found, up to its limit.

    `is_capped`: the service says that there is more than it gives at a time (Warning 299, PS3.18 §10.6.3.1), which may
    be less than was asked for. `erroneous_attributes`: filters by which the search may have missed something: extended
    query tags that the Azure service could not index everywhere.
    """

    is_capped: bool = False
    erroneous_attributes: tuple[str, ...] = ()


class Page(_Found[Dataset]):
    """Results as datasets."""


class JSONPage(_Found[Row]):
    """Results as they came: DICOM JSON objects (PS3.18 Annex F) whose elements nobody has looked at."""


P = TypeVar("P", Page, JSONPage)


class SearchTransaction(Transactions):
    """Search for studies, series and instances; what is found is a dataset of the attributes that came back."""

    async def search_for_studies(self, query: Query | None = None) -> Page:
        """Return one page of studies, newest stored first; empty past the last page.

        Raises:
            StatusError: 400, an attribute that cannot be searched for at this level.
        """
        return await self._search("studies", Resource(), query)

    async def search_for_series(self, query: Query | None = None, *, study_instance_uid: str | None = None) -> Page:
        """Return one page of series, of one study or of all.

        Raises:
            StatusError: 400, an attribute that cannot be searched for at this level.
        """
        return await self._search("series", Resource(study_instance_uid), query)

    async def search_for_instances(
        self,
        query: Query | None = None,
        *,
        study_instance_uid: str | None = None,
        series_instance_uid: str | None = None,
    ) -> Page:
        """Return one page of instances, of one series, of one study or of all.

        Raises:
            StatusError: 400, an attribute that cannot be searched for at this level.
        """
        return await self._search("instances", Resource(study_instance_uid, series_instance_uid), query)

    def iter_studies(self, query: Query | None = None) -> AsyncGenerator[Dataset]:
        """Yield the studies of every page from `query.offset` on; `query.limit` is the size of a page.

        What is stored or deleted meanwhile moves the pages: a study may come twice or not at all.
        """
        return _all_pages(self.search_for_studies, query)

    def iter_series(
        self, query: Query | None = None, *, study_instance_uid: str | None = None
    ) -> AsyncGenerator[Dataset]:
        """Yield the series of every page, as `iter_studies` does."""
        return _all_pages(lambda page: self.search_for_series(page, study_instance_uid=study_instance_uid), query)

    def iter_instances(
        self,
        query: Query | None = None,
        *,
        study_instance_uid: str | None = None,
        series_instance_uid: str | None = None,
    ) -> AsyncGenerator[Dataset]:
        """Yield the instances of every page, as `iter_studies` does."""

        async def search(page: Query) -> Page:
            return await self.search_for_instances(
                page, study_instance_uid=study_instance_uid, series_instance_uid=series_instance_uid
            )

        return _all_pages(search, query)

    async def search_json(self, kind: Kind, parent: Resource, query: Query) -> JSONPage:
        """Return one page as DICOM JSON; for gateways, which pass results on.

        Args:
            kind: what to search for.
            parent: the study or series in which, or all studies.
            query: which of them, and what is wanted to know of each.

        Raises:
            StatusError: 400, an attribute that cannot be searched for at this level.
            InvalidResponse: the answer is no array of objects.
        """
        request = _request(kind, parent, query)

        async def read(answer: Answer) -> JSONPage:
            if answer.status_code == 204:
                return JSONPage()
            with reading_answer(request.transaction):
                rows = items_of(await answer.json())
                if not all(isinstance(row, dict) for row in rows):
                    raise TypeError
            return _with_warnings(JSONPage(rows), answer)

        return await self._session.fetch(request, read)

    async def _search(self, kind: Kind, parent: Resource, query: Query | None) -> Page:
        request = _request(kind, parent, query or Query())

        async def read(answer: Answer) -> Page:
            if answer.status_code == 204:
                return Page()
            return _with_warnings(Page(await datasets_of(request.transaction, await answer.json())), answer)

        return await self._session.fetch(request, read)


def _request(kind: Kind, parent: Resource, query: Query) -> Request:
    return Request(
        f"search {kind}",
        "GET",
        parent.search_path(kind),
        accept=media_types.DICOM_JSON,
        query=query.encode(),
        statuses=frozenset({200, 204}),
    )


def _with_warnings(page: P, answer: Answer) -> P:
    page.is_capped = bool(_MORE.search(answer.headers.get("warning", "")))
    erroneous = answer.headers.get("erroneous-dicom-attributes", "")
    page.erroneous_attributes = tuple(name.strip() for name in erroneous.split(",") if name.strip())
    return page


async def _all_pages(search: Callable[[Query], Awaitable[Page]], query: Query | None) -> AsyncGenerator[Dataset]:
    query = query or Query()
    limit = query.limit or MAX_LIMIT
    offset = begin_of_last = query.offset
    last = Page()
    # A short page does not prove the end: the Azure service drops unfinished instances after it has applied the limit.
    # Nor does it prove that the next one begins `limit` further: a service may give less than it was asked for.
    while page := await search(query.page(offset, limit)):
        if page == last:
            if offset >= begin_of_last + limit:
                raise InvalidResponse("search: the service gives the same page again, whatever the offset")
            offset = begin_of_last + limit
            continue
        told = last if len(last) < limit else ()
        for dataset in page:
            if dataset not in told:
                yield dataset
        begin_of_last, last = offset, page
        offset += min(len(page), limit)
