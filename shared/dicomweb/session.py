"""One request to the service: authentication, retries, and the one border where httpx's errors become ours."""

from __future__ import annotations

import asyncio
import copy
import json
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Self, TypeVar

import httpx

from .answers import reading_answer
from .body import Body
from .errors import DICOMwebError, InvalidParameter, InvalidResponse, RequestNotSent, ResponseLost, status_error
from .media_types import DICOM_JSON, JSON, media_type_of
from .retry import RetryPolicy, retry_after_seconds
from .transport import default_transport

# Idle times, not totals: a transfer of 4 GB lives as long as it moves. `read` covers the service's own work on what
# it was sent, and stays below the 230 s after which Azure's front end gives up on a lookup.
DEFAULT_TIMEOUT = httpx.Timeout(connect=10, read=200, write=60, pool=30)

_MAX_JSON_BYTES = 64 * 1024 * 1024
_MAX_REFUSAL_BYTES = 64 * 1024
# Methods whose repetition is answered alike. DELETE is idempotent as well, but its second answer would be a 404.
_REPEATABLE = frozenset({"GET", "PUT"})
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """One request: `transaction` is what errors call it ("retrieve series"), `query` is already encoded.

    `statuses` are the ones that are answers; every other one raises.
    """

    transaction: str
    method: str
    path: str
    accept: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    statuses: frozenset[int] = frozenset({200})


class Answer:
    """A response whose status is one that was asked for; its body is read by the caller, once."""

    def __init__(self, transaction: str, response: httpx.Response) -> None:
        self._transaction = transaction
        self._response = response

    @property
    def status_code(self) -> int:
        """The HTTP status."""
        return self._response.status_code

    @property
    def headers(self) -> httpx.Headers:
        """The response's headers."""
        return self._response.headers

    @property
    def content_type(self) -> str:
        """The Content-Type as it was sent; empty if there was none."""
        return str(self._response.headers.get("content-type", ""))

    @property
    def tells_its_end(self) -> bool:
        """Whether a body that is cut short can be told from a whole one (RFC 9112 §6.3)."""
        return bool(self.headers.keys() & {"content-length", "transfer-encoding"})

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Yield the body as it comes, decompressed.

        Raises:
            ResponseLost: the connection failed before the body's end.
        """
        with _border(self._transaction):
            async for chunk in self._response.aiter_bytes():
                yield chunk

    async def json(self) -> Any:
        """Read and decode a body of JSON, DICOM's or plain.

        Raises:
            InvalidResponse: it is of another media type, too large, or no JSON.
            ResponseLost: the connection failed before the body's end.
        """
        # Orthanc names no media type where a store failed; what is no JSON fails all the same.
        if self.content_type and media_type_of(self.content_type)[0] not in (DICOM_JSON, JSON):
            raise InvalidResponse(f"{self._transaction}: the answer is not JSON")
        content = bytearray()
        async for chunk in self.chunks():
            content += chunk
            if len(content) > _MAX_JSON_BYTES:
                raise InvalidResponse(f"{self._transaction}: the answer is too large")
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise InvalidResponse(f"{self._transaction}: the answer is no JSON") from None


class Session:
    """A pool of connections to one service.

    Args:
        base_url: the service's address with its version, without a slash at the end.
        auth: adds the bearer token.
        transport: below httpx's API; the default one if None.
        retry: when to repeat, and how often.
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
        self._base_url = base_url.rstrip("/")
        self._retry = retry or RetryPolicy()
        self._http = httpx.AsyncClient(
            transport=transport or default_transport(),
            auth=auth,
            timeout=timeout,
            trust_env=False,
            follow_redirects=False,
            cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
            headers={"Accept-Encoding": "identity", "User-Agent": "dicom-dropbox"},
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    def below(self, prefix: str) -> Self:
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
        response = await self._repeat(request, lambda: self._send_once(request))
        try:
            yield Answer(request.transaction, response)
        finally:
            await response.aclose()

    async def fetch(self, request: Request, read: Callable[[Answer], Awaitable[T]]) -> T:
        """Send a request and return what `read` makes of its answer; one that breaks off is a lost one, as in `send`.

        Raises:
            DICOMwebError: see `send`, or whatever `read` raises.
        """

        async def once() -> T:
            response = await self._send_once(request)
            try:
                return await read(Answer(request.transaction, response))
            finally:
                await response.aclose()

        return await self._repeat(request, once)

    async def fetch_json(self, request: Request, build: Callable[[Any], T]) -> T:
        """Send a request and return what `build` makes of the JSON that answers it.

        Raises:
            DICOMwebError: see `send`; InvalidResponse if `build` finds another shape.
        """

        async def read(answer: Answer) -> T:
            decoded = await answer.json()
            with reading_answer(request.transaction):
                return build(decoded)

        return await self.fetch(request, read)

    async def _repeat(self, request: Request, once: Callable[[], Awaitable[T]]) -> T:
        started = time.monotonic()
        attempt = 1
        while True:
            try:
                return await once()
            except DICOMwebError as error:
                attempt += 1
                elapsed = time.monotonic() - started
                pause = self._retry.pause_before(attempt, error, request.method in _REPEATABLE, elapsed)
                if pause is None:
                    raise
                await asyncio.sleep(pause)

    async def _send_once(self, request: Request) -> httpx.Response:
        with _border(request.transaction):
            response = await self._http.send(self._build(request), stream=True)
            if response.status_code in (204, 304):
                await response.aread()  # there is no body; having read its end keeps the connection
        if response.status_code in request.statuses:
            return response
        await _drain(response)
        wait = retry_after_seconds(response.headers.get("retry-after"))
        raise status_error(request.transaction, response.status_code, wait)

    def _build(self, request: Request) -> httpx.Request:
        headers = {"Accept": request.accept, **request.headers}
        if request.body is not None:
            headers["Content-Length"] = str(request.body.length)
        if not all(map(_HEADER_VALUE.fullmatch, headers.values())):
            raise InvalidParameter(f"{request.transaction}: a header holds what cannot be sent")
        url = self._base_url + request.path + (f"?{request.query}" if request.query else "")
        try:
            built = self._http.build_request(request.method, url, headers=headers)
        except (httpx.InvalidURL, UnicodeEncodeError):
            raise InvalidParameter(f"{request.transaction}: such an address cannot be sent") from None
        if request.body is not None:
            # Not `content=`: httpx would wrap the body in a stream that can be read only once.
            built.stream = request.body
        return built


class Transactions:
    """Some transactions of a client, all over one session.

    Args:
        session: to the service, or to one partition of it.
        single_part: whether what is one instance or one frame travels by itself, not as multipart of one part.
    """

    def __init__(self, session: Session, *, single_part: bool = True) -> None:
        self._session = session
        self._single_part = single_part


async def _drain(response: httpx.Response) -> None:
    """Read the rest of a short error answer, so that its connection can be reused: new ones would add to the load."""
    with suppress(httpx.HTTPError):
        passed = 0
        async for chunk in response.aiter_bytes():
            passed += len(chunk)
            if passed > _MAX_REFUSAL_BYTES:
                break
    await response.aclose()


@contextmanager
def _border(transaction: str) -> Iterator[None]:
    """Translate httpx's errors, without chaining them: their messages hold the URL."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
        raise RequestNotSent(
            f"{transaction}: no connection to the service ({type(error).__name__}): check its address and the network"
        ) from None
    except httpx.DecodingError:
        raise InvalidResponse(f"{transaction}: the answer's compression is broken") from None
    except httpx.HTTPError as error:
        raise ResponseLost(
            f"{transaction}: the connection was lost ({type(error).__name__}): its outcome is unknown, look before "
            "you repeat it"
        ) from None
