"""The client of a DICOMweb service, with what the Azure service adds to PS3.18."""

from __future__ import annotations

import copy
from contextlib import AbstractAsyncContextManager
from typing import Self

import httpx

from . import media_types
from .change_feed import ChangeFeed
from .delete import DeleteTransaction
from .extended_query_tags import ExtendedQueryTags
from .messages import Answer, Request
from .metadata import MetadataTransaction
from .observing import Observer
from .operations import Operations
from .partitions import Partition, partition_path, partitions_of
from .retrieve import RetrieveTransaction
from .retry import RetryPolicy
from .search import SearchTransaction
from .session import DEFAULT_TIMEOUT, Session
from .store import StoreTransaction


class DICOMwebClient(StoreTransaction, SearchTransaction, RetrieveTransaction, MetadataTransaction, DeleteTransaction):
    """Store, search, retrieve and delete, each as one coroutine; close it, or use it as a context manager.

    Every method raises `DICOMwebError` once a request is under way (see `errors`), and `InvalidParameter` before
    that, for a UID, a number or a range that no service would take.

    Args:
        base_url: the service's address with its version, such as `https://….dicom.azurehealthcareapis.com/v2`.
        auth: adds the bearer token to each request.
        transport: below httpx's API; the default one if None.
        single_part: False for services that know multipart alone, such as Orthanc. The Azure service knows both; it
            may take a multipart request that was cut short for a whole one.
        observer: is told of each request; None: nobody is.
    """

    def __init__(
        self,
        base_url: str,
        *,
        auth: httpx.Auth | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        timeout: httpx.Timeout = DEFAULT_TIMEOUT,
        retry: RetryPolicy | None = None,
        single_part: bool = True,
        observer: Observer | None = None,
    ) -> None:
        session = Session(base_url, auth=auth, transport=transport, timeout=timeout, retry=retry, observer=observer)
        super().__init__(session, single_part=single_part)
        # These belong to the whole service, whichever partition a client is bound to.
        self._service = session
        self.change_feed = ChangeFeed(self._service)
        self.extended_query_tags = ExtendedQueryTags(self._service)
        self.operations = Operations(self._service)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection; of a client bound to a partition, which shares them, nothing."""
        if self._session is self._service:
            await self._service.aclose()

    def partition(self, name: str) -> Self:
        """Return a client that stores, searches, retrieves and deletes in one partition, over the same connections.

        Storing makes a partition that is not there yet; anything else in such a one is a StatusError, 400.
        """
        bound = copy.copy(self)
        bound._session = self._service.with_prefix(partition_path(name))
        return bound

    async def list_partitions(self) -> list[Partition]:
        """Return the partitions of the service.

        Raises:
            StatusError: 400, the service was made without them.
        """
        request = Request("list partitions", "GET", "/partitions", accept=media_types.JSON)
        return await self._service.fetch_json(request, partitions_of)

    def send(self, request: Request) -> AbstractAsyncContextManager[Answer]:
        """Send a request of the caller's own making; for gateways, which pass bytes on without reading them.

        Raises:
            DICOMwebError: see `Session.send`.
        """
        return self._session.send(request)
