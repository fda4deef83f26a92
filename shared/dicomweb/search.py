"""Search (PS3.18 §10.6): one page at a time, or all of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Literal

from pydicom import Dataset

from . import media_types
from .answers import datasets_of
from .query import MAX_LIMIT, Query
from .resource import Resource
from .session import Answer, Request, Transactions


class SearchTransaction(Transactions):
    """Search for studies, series and instances; what is found is a dataset of the attributes that came back."""

    async def search_for_studies(self, query: Query | None = None) -> list[Dataset]:
        """Return one page of studies, newest stored first; empty past the last page.

        Raises:
            StatusError: 400, an attribute that cannot be searched for at this level.
        """
        return await self._search("studies", Resource(), query)

    async def search_for_series(
        self, query: Query | None = None, *, study_instance_uid: str | None = None
    ) -> list[Dataset]:
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
    ) -> list[Dataset]:
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

        async def search(page: Query) -> list[Dataset]:
            return await self.search_for_instances(
                page, study_instance_uid=study_instance_uid, series_instance_uid=series_instance_uid
            )

        return _all_pages(search, query)

    async def _search(
        self, level: Literal["studies", "series", "instances"], parent: Resource, query: Query | None
    ) -> list[Dataset]:
        request = Request(
            f"search {level}",
            "GET",
            parent.search_path(level),
            accept=media_types.DICOM_JSON,
            query=(query or Query()).encode(),
            statuses=frozenset({200, 204}),
        )

        async def read(answer: Answer) -> list[Dataset]:
            return [] if answer.status_code == 204 else datasets_of(request.transaction, await answer.json())

        return await self._session.fetch(request, read)


async def _all_pages(
    search: Callable[[Query], Awaitable[list[Dataset]]], query: Query | None
) -> AsyncGenerator[Dataset]:
    query = query or Query()
    limit = query.limit or MAX_LIMIT
    offset = query.offset
    # A short page is no proof of the end: the service drops unfinished instances after it has applied the limit.
    while page := await search(query.page(offset, limit)):
        for dataset in page:
            yield dataset
        offset += limit
