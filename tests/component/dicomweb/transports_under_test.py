"""Three transports behind one face: ours, that of httpx, and httpx2, which has a client and errors of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ssl import SSLContext
from types import MappingProxyType, ModuleType
from typing import Any

import httpx
import httpx2

from shared.dicomweb.transport import AiohttpTransport


@dataclass(frozen=True)
class Subject:
    """A transport, and the library whose client drives it."""

    name: str
    library: ModuleType
    new_transport: Callable[[int, SSLContext | None], Any]

    @asynccontextmanager
    async def client(
        self,
        *,
        connections: int = 64,
        tls: SSLContext | None = None,
        auth: Any = None,
        times: Mapping[str, float] = MappingProxyType({}),
    ) -> AsyncIterator[Any]:
        """Run a client as the DICOM client sets it up; `times` are idle times, ten seconds unless given."""
        async with self.library.AsyncClient(
            transport=self.new_transport(connections, tls),
            timeout=self.library.Timeout(10, **times),
            auth=auth,
            trust_env=False,
            cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
            headers={"Accept-Encoding": "identity"},
        ) as client:
            yield client


def _with_own_pool(library: ModuleType) -> Callable[[int, SSLContext | None], Any]:
    def new_transport(connections: int, tls: SSLContext | None) -> Any:
        limits = library.Limits(max_connections=connections, max_keepalive_connections=connections)
        return library.AsyncHTTPTransport(limits=limits, trust_env=False, verify=tls or True)

    return new_transport


SUBJECTS = (
    Subject("ours", httpx, lambda connections, tls: AiohttpTransport(max_connections=connections, tls=tls)),
    Subject("httpx", httpx, _with_own_pool(httpx)),
    Subject("httpx2", httpx2, _with_own_pool(httpx2)),
)


class Content(httpx.AsyncByteStream, httpx2.AsyncByteStream):
    """A body of chunks that can be sent again, and may give up; it knows how often it was opened and closed."""

    def __init__(self, *chunks: bytes, then: Callable[[], Any] | None = None) -> None:
        self._chunks = chunks
        self._then = then
        self.opened = 0
        self.closed = 0

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        self.opened += 1
        try:
            for chunk in self._chunks:
                yield chunk
            if self._then:
                await self._then()
        finally:
            self.closed += 1


def request_with(client: Any, method: str, url: str, content: Content, length: int | None = None) -> Any:
    """Return a request whose body is this one, of an announced length or in chunks."""
    framing = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
    request = client.build_request(method, url, headers=framing)
    request.stream = content
    return request


def again_with_token(library: ModuleType) -> Any:
    """Return an authentication that sends a request again, with a token, after a 401."""

    def auth_flow(_: object, request: Any) -> Generator[Any, Any, None]:
        response = yield request
        if response.status_code == 401:
            request.headers["Authorization"] = "Bearer second"
            yield request

    return type("AgainWithToken", (library.Auth,), {"auth_flow": auth_flow})()


async def outcome(response_or_error: Any) -> str:
    """Return the status of an answer that was read to its end, or the name of the error's class."""
    try:
        response = await response_or_error
    except Exception as error:
        return type(error).__name__
    return str(response.status_code)
