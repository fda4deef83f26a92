"""The client of a DICOMweb service, with what the Azure service adds to PS3.18: deletion."""

from __future__ import annotations

import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any, Self

import httpx
from pydicom import Dataset

from . import media_types
from .body import Body
from .errors import InvalidParameter, InvalidResponse
from .parts import Part, parts_of
from .resource import Resource
from .retry import RetryPolicy
from .search import MAX_LIMIT, Query
from .session import DEFAULT_TIMEOUT, Answer, Request, Session
from .store import StoreResult, parse_store_response

# 200: all stored. 202: some failed, or all stored with warnings. 204: nothing was in the request, as the service saw
# it. 409: none stored. Each but 204 has a dataset that says it for each instance.
_STORE_STATUSES = frozenset({200, 202, 204, 409})


class DICOMwebClient:
    """Store, search, retrieve and delete, each as one coroutine; close it, or use it as a context manager.

    Every method raises `DICOMwebError` once a request is under way (see `errors`), and `InvalidParameter` before
    that, for a UID or number that no service would take.

    Args:
        base_url: the service's address with its version, such as `https://….dicom.azurehealthcareapis.com/v2`.
        auth: adds the bearer token to each request.
        transport: below httpx's API; the default one if None.
    """

    def __init__(
        self,
        base_url: str,
        *,
        auth: httpx.Auth | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        timeout: httpx.Timeout = DEFAULT_TIMEOUT,
        retry: RetryPolicy | None = None,
    ) -> None:
        self._session = Session(base_url, auth=auth, transport=transport, timeout=timeout, retry=retry)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._session.aclose()

    def send(self, request: Request) -> AbstractAsyncContextManager[Answer]:
        """Send a request of the caller's own making; for gateways, which pass bytes on without reading them.

        Raises:
            DICOMwebError: see `Session.send`.
        """
        return self._session.send(request)

    # Store Transaction, PS3.18 §10.5

    async def store_instance(self, source: Body, *, study_instance_uid: str | None = None) -> StoreResult:
        """Store one instance, a Part 10 file, as a single-part request.

        Single-part, since a multipart request that is cut short may be answered as if it were whole.

        Args:
            source: the file's bytes, which can be read again for each attempt.
            study_instance_uid: the study that it must belong to.

        Returns:
            What the service says of the instance: look at `StoreResult.outcome_of`, not at the status.

        Raises:
            Busy, RequestNotSent: not stored, later.
            ResponseLost: perhaps stored; a repetition is answered ALREADY_STORED then.
            InvalidResponse: the answer cannot be read: perhaps stored.
        """
        request = Request(
            "store instance",
            "POST",
            Resource(study_instance_uid).path,
            accept=media_types.DICOM_JSON,
            headers={"Content-Type": media_types.DICOM},
            body=source,
            statuses=_STORE_STATUSES,
        )
        async with self._session.send(request) as answer:
            if answer.status_code == 204:
                return StoreResult(204, ())
            return parse_store_response(answer.status_code, await answer.json())

    # Search Transaction, PS3.18 §10.6

    async def search_for_studies(self, query: Query | None = None) -> list[Dataset]:
        """Return one page of studies, newest stored first; empty past the last page."""
        return await self._page("studies", Resource(), query)

    async def search_for_series(
        self, query: Query | None = None, *, study_instance_uid: str | None = None
    ) -> list[Dataset]:
        """Return one page of series, of one study or of all."""
        return await self._page("series", Resource(study_instance_uid), query)

    async def search_for_instances(
        self,
        query: Query | None = None,
        *,
        study_instance_uid: str | None = None,
        series_instance_uid: str | None = None,
    ) -> list[Dataset]:
        """Return one page of instances, of one series, of one study or of all."""
        parent = Resource(study_instance_uid, series_instance_uid)
        return await self._page("instances", parent, query)

    def iter_studies(self, query: Query | None = None) -> AsyncGenerator[Dataset]:
        """Yield the studies of every page from `query.offset` on; `query.limit` is the size of a page."""
        return self._all_pages(self.search_for_studies, query)

    def iter_series(
        self, query: Query | None = None, *, study_instance_uid: str | None = None
    ) -> AsyncGenerator[Dataset]:
        """Yield the series of every page."""
        return self._all_pages(lambda page: self.search_for_series(page, study_instance_uid=study_instance_uid), query)

    def iter_instances(
        self,
        query: Query | None = None,
        *,
        study_instance_uid: str | None = None,
        series_instance_uid: str | None = None,
    ) -> AsyncGenerator[Dataset]:
        """Yield the instances of every page."""

        async def search(page: Query) -> list[Dataset]:
            return await self.search_for_instances(
                page, study_instance_uid=study_instance_uid, series_instance_uid=series_instance_uid
            )

        return self._all_pages(search, query)

    async def _page(self, level: str, parent: Resource, query: Query | None) -> list[Dataset]:
        request = Request(
            f"search {level}",
            "GET",
            parent.search_path(level),
            accept=media_types.DICOM_JSON,
            query=(query or Query()).encode(),
            statuses=frozenset({200, 204}),
        )
        async with self._session.send(request) as answer:
            if answer.status_code == 204:
                return []
            return _datasets(request.transaction, await answer.json())

    async def _all_pages(
        self, search: Callable[[Query], Awaitable[list[Dataset]]], query: Query | None
    ) -> AsyncGenerator[Dataset]:
        query = query or Query()
        limit = query.limit or MAX_LIMIT
        offset = query.offset
        # A short page is no proof of the end: the service drops unfinished instances after it has applied the limit.
        while page := await search(query.page(offset, limit)):
            for dataset in page:
                yield dataset
            offset += limit

    # Retrieve Transaction, PS3.18 §10.4

    @asynccontextmanager
    async def retrieve_instance(
        self, *, study_instance_uid: str, series_instance_uid: str, sop_instance_uid: str
    ) -> AsyncIterator[Part]:
        """Give one instance as it is stored, to be read while the context is open.

        Raises:
            NotFound: there is none under these UIDs.
        """
        resource = Resource(study_instance_uid, series_instance_uid, sop_instance_uid)
        async with self._retrieve(resource, media_types.INSTANCE) as parts:
            async for part in parts:
                yield part
                return
        raise InvalidResponse("retrieve instance: the answer has no part")

    @asynccontextmanager
    async def retrieve_series(
        self, *, study_instance_uid: str, series_instance_uid: str
    ) -> AsyncIterator[AsyncIterator[Part]]:
        """Give the instances of a series, one part each, in no stated order.

        Raises:
            NotFound: there is none under these UIDs.
        """
        async with self._retrieve(Resource(study_instance_uid, series_instance_uid), media_types.INSTANCES) as parts:
            yield parts

    @asynccontextmanager
    async def retrieve_study(self, *, study_instance_uid: str) -> AsyncIterator[AsyncIterator[Part]]:
        """Give the instances of a study, one part each, in no stated order.

        Raises:
            NotFound: there is none under this UID.
        """
        async with self._retrieve(Resource(study_instance_uid), media_types.INSTANCES) as parts:
            yield parts

    @asynccontextmanager
    async def retrieve_frames(
        self,
        frames: Sequence[int],
        *,
        study_instance_uid: str,
        series_instance_uid: str,
        sop_instance_uid: str,
    ) -> AsyncIterator[AsyncIterator[Part]]:
        """Give frames as they are stored, one part each, in the order asked for.

        Args:
            frames: numbers from 1 on.

        Raises:
            NotFound: the instance, or a frame of it, is not there.
        """
        if not frames or min(frames) < 1:
            raise InvalidParameter("frames are numbered from 1 on, and at least one must be named")
        resource = Resource(study_instance_uid, series_instance_uid, sop_instance_uid)
        accept = media_types.FRAME if len(frames) == 1 else media_types.FRAMES
        suffix = "/frames/" + ",".join(map(str, frames))
        async with self._retrieve(resource, accept, suffix=suffix, level="frames") as parts:
            yield parts

    async def retrieve_study_metadata(self, *, study_instance_uid: str) -> list[Dataset]:
        """Return the attributes of a study's instances, without bulk data (PS3.18 §10.4.1.1.2)."""
        return await self._metadata(Resource(study_instance_uid))

    async def retrieve_series_metadata(self, *, study_instance_uid: str, series_instance_uid: str) -> list[Dataset]:
        """Return the attributes of a series' instances, without bulk data."""
        return await self._metadata(Resource(study_instance_uid, series_instance_uid))

    async def retrieve_instance_metadata(
        self, *, study_instance_uid: str, series_instance_uid: str, sop_instance_uid: str
    ) -> Dataset:
        """Return the attributes of an instance, without bulk data."""
        datasets = await self._metadata(Resource(study_instance_uid, series_instance_uid, sop_instance_uid))
        if len(datasets) != 1:
            raise InvalidResponse("retrieve instance metadata: the answer is not of one instance")
        return datasets[0]

    @asynccontextmanager
    async def _retrieve(
        self, resource: Resource, accept: str, *, suffix: str = "", level: str | None = None
    ) -> AsyncIterator[AsyncIterator[Part]]:
        request = Request(f"retrieve {level or resource.level}", "GET", resource.path + suffix, accept=accept)
        async with (
            self._session.send(request) as answer,
            aclosing(parts_of(request.transaction, answer)) as parts,
        ):
            yield parts

    async def _metadata(self, resource: Resource) -> list[Dataset]:
        transaction = f"retrieve {resource.level} metadata"
        request = Request(transaction, "GET", f"{resource.path}/metadata", accept=media_types.DICOM_JSON)
        async with self._session.send(request) as answer:
            return _datasets(transaction, await answer.json())

    # Delete: not in PS3.18, an extension of the Azure service

    async def delete_study(self, *, study_instance_uid: str) -> None:
        """Delete a study with all that is in it, at once and for good.

        Raises:
            NotFound: there is none under this UID.
        """
        await self._delete(Resource(study_instance_uid))

    async def delete_series(self, *, study_instance_uid: str, series_instance_uid: str) -> None:
        """Delete a series; with the last one of its study goes the study."""
        await self._delete(Resource(study_instance_uid, series_instance_uid))

    async def delete_instance(
        self, *, study_instance_uid: str, series_instance_uid: str, sop_instance_uid: str
    ) -> None:
        """Delete an instance; with the last one of its series goes the series."""
        await self._delete(Resource(study_instance_uid, series_instance_uid, sop_instance_uid))

    async def _delete(self, resource: Resource) -> None:
        request = Request(
            f"delete {resource.level}",
            "DELETE",
            resource.path,
            accept=media_types.DICOM_JSON,
            statuses=frozenset({204}),
        )
        async with self._session.send(request):
            pass


def _datasets(transaction: str, decoded: Any) -> list[Dataset]:
    """Turn an array of DICOM JSON objects into datasets (PS3.18 Annex F)."""
    if not isinstance(decoded, list):
        raise InvalidResponse(f"{transaction}: the answer is no array of DICOM JSON objects")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote values
            return [Dataset.from_json(item) for item in decoded]
    except Exception:  # whatever a wrong type runs into inside from_json
        raise InvalidResponse(f"{transaction}: the answer is not DICOM JSON") from None
