"""The HTTP front: routing, keys, limits, and the host's own endpoints beside the app's."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import hdrs, web
from multidict import CIMultiDict

from local.functions_host.cors import Cors
from local.functions_host.functions import Function, TypedValue
from local.functions_host.http_values import (
    INVOCATION_ID_HEADER,
    BodyTooLarge,
    HttpAnswer,
    HttpCall,
    cut_connection,
    drop_default_type,
    limited_body,
    make_response,
)
from local.functions_host.invocations import HostStopping, Invocation, InvocationFailed, Invoker
from local.functions_host.keys import Keys
from local.functions_host.output import say
from local.functions_host.routes import Route, find
from local.functions_host.settings import HostSettings
from local.functions_host.tracing import HEADER, continued
from local.functions_host.workers import Worker

# Long enough to read what a refused client is still sending, so that it sees the answer.
_LINGER_SECONDS = 2.0

# Kestrel's limit for a request line (MaxRequestLineSize), and one for aiohttp that is never reached before it.
_LINE_BYTES = 8192
_PARSED_LINE_BYTES = 1024 * 1024

OwnEndpoint = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(frozen=True)
class App:
    """What the front needs of the running host."""

    settings: HostSettings
    worker: Worker
    invoker: Invoker
    routes: Sequence[Route]
    keys: Keys
    # Below these paths the host answers itself.
    own_endpoints: Mapping[str, OwnEndpoint]


class Front:
    """Serves the app on a socket that already listens."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._cors = Cors(app.settings.cors_origins)
        self._site: web.SockSite | None = None
        server = web.Application(client_max_size=app.settings.body_limit_bytes)
        server.router.add_route("*", "/{path:.*}", self._handle, expect_handler=self._expect)
        server.on_response_prepare.append(drop_default_type)
        server.on_response_prepare.append(self._add_cors)
        self._runner = web.AppRunner(
            server,
            handle_signals=False,
            access_log=None,
            handler_cancellation=True,
            auto_decompress=False,
            max_line_size=_PARSED_LINE_BYTES,
            lingering_time=_LINGER_SECONDS,
            shutdown_timeout=0.5,
        )

    async def start(self, listening: socket.socket) -> None:
        """Begin to answer."""
        await self._runner.setup()
        self._site = web.SockSite(self._runner, listening)
        await self._site.start()

    async def close_door(self) -> None:
        """Accept no more connections; open ones go on."""
        if self._site is not None:
            await self._site.stop()
            self._site = None

    async def stop(self) -> None:
        """Close all connections."""
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if len(f"{request.method} {request.raw_path} HTTP/1.1\r\n") > _LINE_BYTES:
            return _closing(414)
        try:
            return self._cors.preflight(request) or await self._dispatch(request)
        except BodyTooLarge:
            return _closing(413)
        except InvocationFailed:
            return web.Response(status=500, text="Internal Server Error")
        except HostStopping:
            return web.Response(status=503)
        except Exception as error:
            say("HTTP front", "failed", type(error).__name__)
            cut_connection(request)
            return web.Response(status=500, text="Internal Server Error")

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        raw_path = request.raw_path.partition("?")[0]
        for path, endpoint in self._app.own_endpoints.items():
            if raw_path.lower().startswith(path):
                return await endpoint(request)
        found = find(self._app.routes, request.method, raw_path)
        if found is None:
            return web.Response(status=404)
        function, request["route_params"] = found
        if not self._app.keys.admits(request, function):
            return web.Response(status=401)
        return await self._call(request, function)

    async def _call(self, request: web.Request, function: Function) -> web.StreamResponse:
        if (request.content_length or 0) > self._app.settings.body_limit_bytes:
            raise BodyTooLarge
        traceparent = continued(request.headers.get(HEADER))
        if self._app.worker.streaming:
            invocation = Invocation(function, None, traceparent=traceparent)
            return await self._app.worker.exchange(request, invocation, self._app.invoker)
        return await self._call_classic(request, function, traceparent)

    async def _call_classic(self, request: web.Request, function: Function, traceparent: str) -> web.StreamResponse:
        call = await _copy_to_memory(request, self._app.settings.body_limit_bytes)
        invocation = Invocation(function, TypedValue("http", call), traceparent=traceparent)
        answer = await self._app.invoker.run(invocation)
        return await _send(request, answer)

    async def _expect(self, request: web.Request) -> None:
        """Ask for the body, unless it will be refused for its size anyway."""
        wants = request.headers.get(hdrs.EXPECT, "").lower() == "100-continue"
        if wants and (request.content_length or 0) <= self._app.settings.body_limit_bytes:
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0

    async def _add_cors(self, request: web.Request, response: web.StreamResponse) -> None:
        headers = self._cors.headers(request)
        vary = headers.popall(hdrs.VARY, [])
        response.headers.update(headers)
        # What the answer depends on besides is the app's to say: that stays.
        for value in set(vary) - set(response.headers.getall(hdrs.VARY, [])):
            response.headers.add(hdrs.VARY, value)


def _closing(status: int) -> web.Response:
    """Return an empty answer after which the connection is closed, whatever else the caller sends."""
    response = web.Response(status=status)
    response.force_close()
    return response


async def _copy_to_memory(request: web.Request, limit_bytes: int) -> HttpCall:
    # The host copies a body only where a length is declared: a chunked one arrives empty.
    body = b""
    if request.content_length:
        body = b"".join([chunk async for chunk in limited_body(request, limit_bytes)])
    headers = {name.lower(): ",".join(request.headers.getall(name)) for name in request.headers}
    query = {name: ",".join(v for v in request.query.getall(name) if v) for name in request.query}
    return HttpCall(
        method=request.method,
        url=f"{request.scheme}://{request.host}{request.raw_path}",
        headers={name: value for name, value in headers.items() if name != INVOCATION_ID_HEADER},
        query={name: value for name, value in query.items() if value},
        route_params=request["route_params"],
        body=body,
    )


async def _send(request: web.Request, answer: HttpAnswer) -> web.StreamResponse:
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in answer.headers:
        # Of a repeated header the host keeps the last, cookies apart.
        if name.lower() == "set-cookie":
            headers.add(name, value)
        else:
            headers[name] = value
    headers[hdrs.CONTENT_LENGTH] = str(len(answer.body))
    response = make_response(answer.status, headers)
    await response.prepare(request)
    await response.write_eof(answer.body)
    return response
