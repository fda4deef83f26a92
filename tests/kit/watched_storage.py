"""Storage clients that tell what they asked for, and let a test step in before or after any request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from aiohttp import ClientSession, DummyCookieJar, TCPConnector
from azure.core.pipeline.transport import AioHttpTransport
from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient, ExponentialRetry
from azure.storage.queue.aio import QueueServiceClient

from shared.clients import Clients
from shared.storage import _FIRST_GET_BYTES, _NEXT_GET_BYTES, Storage

Act = Callable[[], Awaitable[None]]


class Killed(BaseException):
    """The process ends here: nobody catches this."""


@dataclass
class Watch:
    """What has been asked for since, and where a test steps in.

    Args:
        at: the number of the request, from 1 on; 0 = none.
        act: what is done there; what it raises, the request raises.
        is_after: whether it comes after the request has taken effect, so that only its answer is lost.
    """

    at: int = 0
    act: Act | None = None
    is_after: bool = False
    requests: list[str] = field(default_factory=list)

    def step_in(self, at: int, act: Act, *, is_after: bool = False) -> None:
        """Count anew, and do something at a request."""
        self.at, self.act, self.is_after = at, act, is_after
        self.requests.clear()

    def leave(self) -> None:
        """Count anew, and do nothing more."""
        self.at, self.act = 0, None
        self.requests.clear()

    @property
    def stepped_in(self) -> bool:
        """Whether it came to the request where something was to be done."""
        return 0 < self.at <= len(self.requests)


class _Transport(AioHttpTransport):  # type: ignore[misc]  # azure-core hands it out without its type
    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    async def open(self) -> None:
        """Open it with a connection for each request: nothing is tried twice, not even where Azurite hung up idle."""
        if not self._has_been_opened:  # the SDK opens it for each request
            connector = TCPConnector(force_close=True)
            self.session = ClientSession(connector=connector, cookie_jar=DummyCookieJar(), auto_decompress=False)
        await super().open()

    async def send(self, request: Any, **options: Any) -> Any:
        watch = self._watch
        watch.requests.append(_kind_of(request))
        is_there = len(watch.requests) == watch.at
        if is_there and watch.act and not watch.is_after:
            await watch.act()
        response = await super().send(request, **options)
        if is_there and watch.act and watch.is_after:
            response.internal_response.close()
            await watch.act()
        return response


def _kind_of(request: Any) -> str:
    method = "COPY" if "x-ms-copy-source" in request.headers else request.method
    container = urlsplit(request.url).path.split("/")[2]  # the first segment is the account, in Azurite's URLs
    return f"{method} {container}"


@asynccontextmanager
async def watched(clients: Clients, watch: Watch, *, retries: int = 0) -> AsyncIterator[Clients]:
    """Yield the same clients over storage that is watched, and that tries nothing twice unless told to."""
    connection = str(clients.settings.dicom_storage)
    options: dict[str, Any] = {
        "retry_policy": ExponentialRetry(retry_total=retries),
        "max_single_get_size": _FIRST_GET_BYTES,
        "max_chunk_get_size": _NEXT_GET_BYTES,
    }
    async with (
        BlobServiceClient.from_connection_string(connection, transport=_Transport(watch), **options) as storage,
        QueueServiceClient.from_connection_string(connection, transport=_Transport(watch), **options) as queues,
        TableServiceClient.from_connection_string(
            connection, transport=_Transport(watch), retry_total=retries
        ) as tables,
    ):
        yield replace(clients, storage=Storage(storage, None, queues, tables))
