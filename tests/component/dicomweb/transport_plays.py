"""What is done to the transport, each play ending in a short text that says what came of it."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Mapping
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ssl import SSLContext
from types import MappingProxyType
from typing import Any

import httpx

from shared.dicomweb.transport import AiohttpTransport
from tests.component.dicomweb.own_certificate import own_certificate
from tests.kit.scripted_server import End, Read, Script, answer, head, script, serve

Play = Callable[[], Awaitable[str]]
Ask = Callable[[httpx.AsyncClient, str], Awaitable[httpx.Response]]

MIB = bytes(1024 * 1024)
LARGE = 24  # MiB: more than the buffers of both sockets hold
NEXT = bytes(range(256))


@asynccontextmanager
async def client_over(
    *,
    connections: int = 64,
    tls: SSLContext | None = None,
    auth: httpx.Auth | None = None,
    times: Mapping[str, float] = MappingProxyType({}),
) -> AsyncIterator[httpx.AsyncClient]:
    """Run a client as the DICOM client sets it up; `times` are idle times, ten seconds unless given."""
    async with httpx.AsyncClient(
        transport=AiohttpTransport(max_connections=connections, tls=tls),
        timeout=httpx.Timeout(10, **times),
        auth=auth,
        trust_env=False,
        cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        headers={"Accept-Encoding": "identity"},
    ) as client:
        yield client


class Content(httpx.AsyncByteStream):
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


def request_with(
    client: httpx.AsyncClient, method: str, url: str, content: Content, length: int | None = None
) -> httpx.Request:
    """Return a request whose body is this one, of an announced length or in chunks."""
    framing = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
    request = client.build_request(method, url, headers=framing)
    request.stream = content
    return request


class AgainWithToken(httpx.Auth):
    """Sends a request again, with a token, after a 401."""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        response = yield request
        if response.status_code == 401:
            request.headers["Authorization"] = "Bearer second"
            yield request


async def outcome(response_or_error: Awaitable[httpx.Response]) -> str:
    """Return the status of an answer that was read to its end, or the name of the error's class."""
    try:
        response = await response_or_error
    except Exception as error:
        return type(error).__name__
    return str(response.status_code)


def get(client: httpx.AsyncClient, url: str) -> Awaitable[Any]:
    """Ask without a body."""
    return client.get(url)


def post(client: httpx.AsyncClient, url: str) -> Awaitable[Any]:
    """Send a large body that is one piece of memory."""
    return client.post(url, content=MIB * LARGE)


def upload(*chunks: bytes, length: int | None, then: Callable[[], Any] | None = None, method: str = "POST") -> Ask:
    """Return what sends a stream of an announced length, or in chunks; it may raise at its end."""

    def ask(client: httpx.AsyncClient, url: str) -> Awaitable[Any]:
        content = Content(*chunks, then=then)
        return client.send(request_with(client, method, url, content, length))

    return ask


LARGE_UPLOAD = upload(*[MIB] * LARGE, length=len(MIB) * LARGE)


async def raise_broken() -> None:
    raise ZeroDivisionError


async def raise_os_error() -> None:
    raise OSError


async def wait_for_ever() -> None:
    await asyncio.Event().wait()


def asked(ask: Ask, *scripts: Script, **times: float) -> Play:
    """Ask, then ask for something else; the text also counts the first requests that look whole to the server."""

    async def play() -> str:
        async with serve(*scripts, answer(204)) as server, client_over(times=times) as client:
            first = await outcome(ask(client, server.url))
            then = await outcome(client.post(server.url + "/next", content=NEXT))
        whole = [request for request in server.requests if request.is_complete]
        nexts = [request for request in whole if request.target.endswith("/next")]
        assert all(request.body == NEXT for request in nexts)
        return f"{first}, next {then}, {len(whole) - len(nexts)} whole"

    return play


def body_of(given: Script, **times: float) -> Play:
    """Read an answer's body as it came over the wire, then ask for something else."""

    async def play() -> str:
        async with serve(given, answer(204)) as server, client_over(times=times) as client:
            read = b""
            end = "ends"
            try:
                async with client.stream("GET", server.url) as response:
                    async for chunk in response.aiter_raw():
                        read += chunk
            except Exception as error:
                end = type(error).__name__
            then = await outcome(client.post(server.url + "/next", content=NEXT))
        return f"{read.decode('latin-1')} {end}, next {then}"

    return play


def target(suffix: str) -> Play:
    """Ask for an address; the text is what stands in the request's line."""

    async def play() -> str:
        async with serve(answer(204)) as server, client_over() as client:
            await client.get(server.url + suffix)
        return server.targets[0]

    return play


def sent_head(method: str, headers: list[tuple[str, str]]) -> Play:
    """Send headers; the text is all that arrived but Host and those of the client."""

    async def play() -> str:
        async with serve(answer(204)) as server, client_over() as client:
            await client.request(method, server.url, headers=headers)
        lines = server.requests[0].head.decode().split("\r\n")[1:-2]
        own = ("host:", "accept:", "accept-encoding:", "connection:", "user-agent:")
        return ", ".join(line for line in lines if not line.lower().startswith(own))

    return play


def reused(method: str, *, by: End) -> Play:
    """Ask on a connection that ends as it is used again; the text counts how often the server was asked."""

    async def play() -> str:
        async with serve(answer(204), script(by), answer(204)) as server, client_over() as client:
            await client.get(server.url)
            ask = get if method == "GET" else upload(MIB, length=len(MIB), method=method)
            second = await outcome(ask(client, server.url + "/second"))
            hits = [request for request in server.requests if request.target.endswith("/second")]
            return f"{second}, {len(hits)} sent"

    return play


async def closed_while_idle() -> str:
    """Send on a connection that the server has closed since."""
    async with serve(answer(204).then(End.FIN), answer(204)) as server, client_over() as client:
        await client.get(server.url)
        await server.requests[0].gone.wait()
        await asyncio.sleep(0.01)
        return await outcome(client.post(server.url, content=NEXT))


async def early_information() -> str:
    """Get a 100 at once, in an upload that takes longer than an answer may."""

    async def slowly() -> None:
        for _ in range(4):
            await asyncio.sleep(0.1)

    ask = upload(MIB, MIB, length=2 * len(MIB), then=slowly)
    return await asked(ask, script(head(100), Read.ALL, head(204)).after(Read.HEAD), read=0.3)()


def cancelled(given: Script, ask: Ask) -> Play:
    """Cancel, on the only connection that there may be; the text says what then works."""

    async def play() -> str:
        async with serve(given, answer(204)) as server, client_over(connections=1, times={"pool": 1}) as client:
            task = asyncio.ensure_future(ask(client, server.url))
            first = await server.arrival()
            await asyncio.sleep(0.05)  # until it is well into it: buffers full, head read
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            then = await outcome(client.post(server.url + "/next", content=NEXT))
            server.hear()
            await asyncio.wait_for(first.gone.wait(), 5)
        return f"closed, next {then}"

    return play


def closes(given: Script, **times: float) -> Play:
    """See that the body's iterator is closed once the request has ended, however it did."""

    async def play() -> str:
        content = Content(*[MIB] * LARGE)
        async with serve(given) as server, client_over(times=times) as client:
            request = request_with(client, "POST", server.url, content, len(MIB) * LARGE)
            ended = await outcome(client.send(request))
            return f"{ended}, {content.opened} opened, {content.closed} closed"

    return play


def given_back(*, read: bool) -> Play:
    """Close an answer, read or not; the text counts the connections that two requests took."""

    async def play() -> str:
        body = MIB * LARGE
        async with serve(answer(200, body)) as server, client_over() as client:
            for _ in range(2):
                async with client.stream("GET", server.url) as response:
                    if read:
                        await response.aread()
            return f"{server.connections} connections"

    return play


async def gzip_raw() -> str:
    """Read a compressed answer raw, and decoded."""
    packed = gzip.compress(NEXT)
    async with (
        serve(answer(200, packed, {"Content-Encoding": "gzip"})) as server,
        client_over() as client,
    ):
        async with client.stream("GET", server.url) as response:
            raw = b"".join([chunk async for chunk in response.aiter_raw()])
        decoded = (await client.get(server.url)).content
    return f"raw {raw == packed}, decoded {decoded == NEXT}"


async def sent_again_after_401() -> str:
    """Be sent back for a token: the whole body goes out a second time."""
    content = Content(MIB, MIB)
    auth = AgainWithToken()
    async with serve(answer(401), answer(204)) as server, client_over(auth=auth) as client:
        ended = await outcome(client.send(request_with(client, "POST", server.url, content, 2 * len(MIB))))
    bodies = [request.body == MIB * 2 for request in server.requests]
    return f"{ended}, whole {bodies}, {content.opened} opened, {content.closed} closed"


async def two_loops() -> str:
    """Use a client in one loop, in another one, and in the first again."""
    async with serve(answer(204, headers={"Connection": "close"})) as server, client_over() as client:

        async def ask() -> str:
            return await outcome(client.get(server.url))

        return f"{await ask()}, {await asyncio.to_thread(asyncio.run, ask())}, {await ask()}"


async def exhausted() -> str:
    """Ask for a second connection where there may be one."""
    async with (
        serve(script(End.STALL), answer(204)) as server,
        client_over(connections=1, times={"pool": 0.05}) as client,
    ):
        first = asyncio.ensure_future(client.get(server.url))
        await server.arrival()
        second = await outcome(client.get(server.url))
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        return f"{second}, then {await outcome(client.get(server.url))}"


async def not_listening() -> str:
    """Connect to a port that is bound, where nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        async with client_over() as client:
            return await outcome(client.get(f"http://127.0.0.1:{bound.getsockname()[1]}"))


async def not_accepting() -> str:
    """Connect to a port whose queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        with socket.create_connection(address):
            async with client_over(times={"connect": 0.1}) as client:
                return await outcome(client.get(f"http://127.0.0.1:{address[1]}"))


async def no_such_host() -> str:
    """Connect to a name that is none."""
    async with client_over() as client:
        return await outcome(client.get("http://no-such-host.invalid"))


async def no_tls() -> str:
    """Speak TLS with a server that does not."""
    async with serve(answer(400).after(Read.NOTHING)) as server, client_over() as client:
        return await outcome(client.get(server.url.replace("http:", "https:")))


async def untrusted_certificate() -> str:
    """Meet a server whose certificate nobody vouches for."""
    async with serve(answer(204), tls=own_certificate()[0]) as server, client_over() as client:
        return await outcome(client.get(server.url.replace("http:", "https:")))


def over_tls(ask: Ask, given: Script, **times: float) -> Play:
    """Ask a server that is trusted, over TLS."""

    async def play() -> str:
        theirs, ours = own_certificate()
        async with serve(given, answer(204), tls=theirs) as server, client_over(tls=ours, times=times) as client:
            url = server.url.replace("http:", "https:")
            return f"{await outcome(ask(client, url))}, next {await outcome(client.get(url))}"

    return play
