"""Search (PS3.18 §10.6): one page at a time, or all of them."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Literal

from pydicom import Dataset

from . import media_types
from .answers import datasets_of
from .errors import InvalidResponse
from .messages import Answer, Request
from .query import MAX_LIMIT, Query
from .resource import Resource
from .transactions import Transactions

_MORE = re.compile(r"\b299\b.*\badditional results\b", re.IGNORECASE)


class Page(list[Dataset]):
    """What a search found, up to its limit.

    `is_capped`: the service says that there is more than it gives at a time (Warning 299, PS3.18 §10.6.3.1), which may
    be less than was asked for. `erroneous_attributes`: filters by which the search may have missed something: extended
    query tags that the Azure service could not index everywhere.
    """

    is_capped: bool = False
    erroneous_attributes: tuple[str, ...] = ()


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

    async def _search(
        self, kind: Literal["studies", "series", "instances"], parent: Resource, query: Query | None
    ) -> Page:
        request = Request(
            f"search {kind}",
            "GET",
            parent.search_path(kind),
            accept=media_types.DICOM_JSON,
            query=(query or Query()).encode(),
            statuses=frozenset({200, 204}),
        )

        async def read(answer: Answer) -> Page:
            if answer.status_code == 204:
                return Page()
            page = Page(await datasets_of(request.transaction, await answer.json()))
            page.is_capped = bool(_MORE.search(answer.headers.get("warning", "")))
            erroneous = answer.headers.get("erroneous-dicom-attributes", "")
            page.erroneous_attributes = tuple(name.strip() for name in erroneous.split(",") if name.strip())
            return page

        return await self._session.fetch(request, read)


async def _all_pages(search: Callable[[Query], Awaitable[Page]], query: Query | None) -> AsyncGenerator[Dataset]:
    query = query or Query()
    limit = query.limit or MAX_LIMIT
    offset = query.offset
    last = Page()
    # A short page is no proof of the end: the Azure service drops unfinished instances after it has applied the limit.
    while page := await search(query.page(offset, limit)):
        if page == last:
            raise InvalidResponse("search: the service gives the same page again, whatever the offset")
        for dataset in page:
            yield dataset
        offset += min(len(page), limit) if page.is_capped else limit
        last = page
