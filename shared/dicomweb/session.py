"""The connections to one service: authentication and retries."""

from __future__ import annotations

import asyncio
import copy
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, Self, TypeVar

import httpx

from .answers import reading_answer
from .authenticated import AuthenticatedTransport
from .draining import drain
from .errors import DICOMwebError, InvalidParameter, InvalidResponse, status_error
from .messages import Answer, Request, translating_httpx_errors
from .observing import Observer
from .retry import RetryPolicy, retry_after_seconds
from .transport import default_transport

# Idle times, not totals: a transfer of 4 GB lives as long as it moves. `read` covers the service's own work on what
# it was sent, and stays below the 230 s after which Azure's front end gives up on a lookup.
DEFAULT_TIMEOUT = httpx.Timeout(connect=10, read=200, write=60, pool=30)

# Methods whose repetition is answered alike. DELETE is idempotent as well, but its second answer would be a 404.
_REPEATABLE = frozenset({"GET", "PUT"})
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")

_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "dicom-dropbox"}

T = TypeVar("T")


class Session:
    """A pool of connections to one service.

    Args:
        base_url: the service's address with its version, without a slash at the end.
        auth: adds the bearer token.
        transport: below httpx's API; the default one if None.
        retry: when to repeat, and how often.
        observer: is told of each request.
    """

    def __init__(
        self,
        base_url: str,
        *,
        auth: httpx.Auth | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        timeout: httpx.Timeout = DEFAULT_TIMEOUT,
        retry: RetryPolicy | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._base_url = _checked(base_url)
        self._retry = retry or RetryPolicy()
        self._http = AuthenticatedTransport(transport or default_transport(), auth)
        self._extensions = {"timeout": timeout.as_dict()}
        self._observer = observer

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    def with_prefix(self, prefix: str) -> Self:
        """Return a session over the same connections, whose paths all start with `prefix`."""
        narrowed = copy.copy(self)
        narrowed._base_url += prefix
        return narrowed

    @asynccontextmanager
    async def send(self, request: Request) -> AsyncIterator[Answer]:
        """Send a request, again where that is safe, and give its answer while the context is open.

        Raises:
            RequestNotSent: the service cannot have seen it.
            ResponseLost: it was sent, and its outcome is unknown.
            StatusError: the status is none of `request.statuses`.
            InvalidParameter: its address or a header cannot be sent.
            Exception: whatever the source of its body raised.
        """
        response = await self._repeat(request, lambda attempt: self._send_once(request, attempt))
        try:
            yield Answer(request.transaction, response)
        finally:
            await response.aclose()

    async def fetch(self, request: Request, read: Callable[[Answer], Awaitable[T]]) -> T:
        """Send a request and return what `read` makes of its answer; one that breaks off is a lost one, as in `send`.

        Raises:
            DICOMwebError: see `send`, or whatever `read` raises.
        """

        async def once(attempt: int) -> T:
            response = await self._send_once(request, attempt)
            try:
                return await read(Answer(request.transaction, response))
            finally:
                await response.aclose()

        return await self._repeat(request, once)

    async def fetch_json(self, request: Request, build: Callable[[Any], T]) -> T:
        """Send a request and return what `build` makes of the JSON that answers it; None stands for a 204.

        Raises:
            DICOMwebError: see `send`; InvalidResponse if `build` finds another shape.
        """

        async def read(answer: Answer) -> T:
            decoded = None if answer.status_code == 204 else await answer.json()
            if decoded is None and answer.status_code != 204:
                raise InvalidResponse(f"{request.transaction}: the answer is null")
            with reading_answer(request.transaction):
                return build(decoded)

        return await self.fetch(request, read)

    async def fetch_nothing(self, request: Request) -> None:
        """Send a request whose answer has nothing to read.

        Raises:
            DICOMwebError: see `send`.
        """
        async with self.send(request):
            pass

    async def _repeat(self, request: Request, once: Callable[[int], Awaitable[T]]) -> T:
        started = time.monotonic()
        attempt = 1
        while True:
            try:
                return await once(attempt)
            except DICOMwebError as error:
                if request.is_sent_once:
                    raise
                attempt += 1
                elapsed = time.monotonic() - started
                pause = self._retry.pause_before(attempt, error, request.method in _REPEATABLE, elapsed)
                if pause is None:
                    raise
                await asyncio.sleep(pause)

    async def _send_once(self, request: Request, attempt: int) -> httpx.Response:
        if self._observer is None:
            return await self._exchange(request, {})
        with self._observer.attempt(request.transaction, attempt) as observed:
            response = await self._exchange(request, observed.headers)
            observed.answered(response.status_code)
            return response

    async def _exchange(self, request: Request, headers: Mapping[str, str]) -> httpx.Response:
        with translating_httpx_errors(request.transaction):
            response = await self._http.send(self._build(request, headers), send_by=request.send_by)
        if response.status_code in request.statuses and response.status_code not in (204, 304):
            return response
        # A 204 has no body, but having read its end keeps the connection.
        await drain(response)
        if response.status_code in request.statuses:
            return response
        wait = retry_after_seconds(response.headers.get("retry-after"))
        raise status_error(request.transaction, response.status_code, wait)

    def _build(self, request: Request, also: Mapping[str, str]) -> httpx.Request:
        headers = {"Accept": request.accept, **_HEADERS, **also, **request.headers}
        if request.body is not None:
            headers["Content-Length"] = str(request.body.length)
        if not all(map(_HEADER_VALUE.fullmatch, headers.values())):
            raise InvalidParameter(f"{request.transaction}: a header holds what cannot be sent")
        try:
            url = _url(self._base_url + request.path + (f"?{request.query}" if request.query else ""))
        except (httpx.InvalidURL, UnicodeEncodeError):
            raise InvalidParameter(f"{request.transaction}: such an address cannot be sent") from None
        # A stream of our own, not `content=`: httpx would wrap it in one that can be read only once.
        stream = request.body or httpx.ByteStream(b"")
        headers["Host"] = url.netloc.decode("ascii")
        return httpx.Request(request.method, url, headers=headers, stream=stream, extensions=self._extensions)


@lru_cache(maxsize=16)  # of stores, which come one after the other, all have the same
def _url(address: str) -> httpx.URL:
    return httpx.URL(address)


def _checked(base_url: str) -> str:
    try:
        url = httpx.URL(base_url)
        is_address = url.scheme in ("http", "https") and bool(url.host) and (url.port is None or 0 < url.port < 65536)
    except (httpx.InvalidURL, TypeError):
        is_address = False
    # Not by the URL's parts: a query or fragment that is empty would take in the paths that are added.
    if not is_address or not isinstance(base_url, str) or set(base_url) & set("?#@ \t"):
        raise InvalidParameter("base_url must be an http or https address without query, fragment, user and blanks")
    return base_url.rstrip("/")
