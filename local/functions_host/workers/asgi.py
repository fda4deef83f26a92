"""Streaming HTTP functions in this process, without a second web server.

The extension's own web app (FastAPI with one catch-all route) answers, so what a function may return
and how its errors look are the extension's doing, as in Azure. Only the hop from the host to that
app is missing; the headers that the hop would add or remove are added and removed here.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote_to_bytes

from aiohttp import web
from multidict import CIMultiDict

from local.functions_host.http_values import (
    BodyTooLarge,
    cut_connection,
    forwarded_headers,
    limited_body,
    make_response,
)
from local.functions_host.invocations import OUT_OF_TIME, Invocation, InvocationFailed, Invoker
from local.functions_host.output import say, where_raised
from local.functions_host.settings import HostSettings
from local.functions_host.workers.load_checks import extensions_base

Message = MutableMapping[str, Any]
AsgiApp = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Any]

_EXCHANGE = "functions_host.exchange"
# In Azure a function sees the address of the worker's own server, not the one that the client
# called. Port 9 (discard) makes a link built from it fail here too.
_WORKER_HOST = "127.0.0.1:9"


class InProcessWebApp:
    """The extension's web app, called directly."""

    def __init__(self, settings: HostSettings) -> None:
        base = extensions_base()
        assert base is not None, "made only for apps that stream"  # noqa: S101
        extension = importlib.import_module(base.ModuleTrackerMeta.get_module())
        self._synchronizer = base.RequestTrackerMeta.get_synchronizer()
        self._settings = settings
        web_app = extension.WebApp()
        web_app.route(self._catch_all(base.RequestTrackerMeta.get_request_type()))
        self._asgi_app: AsgiApp = web_app.get_app()

    def _catch_all(self, request_type: type) -> Callable[..., Awaitable[Any]]:
        async def catch_all(request: Any) -> Any:
            return await request.scope[_EXCHANGE].call_function(request)

        # FastAPI reads the annotation, and only the extension knows the type.
        catch_all.__annotations__ = {"request": request_type}
        return catch_all

    async def exchange(self, request: web.Request, invocation: Invocation, invoker: Invoker) -> web.StreamResponse:
        """Run one request through the app (see `Worker.exchange`)."""
        exchange = _Exchange(request, invocation, invoker, self)
        return await exchange.run(self._asgi_app, self._settings)

    def set_route_params(self, live_request: Any, route_params: MutableMapping[str, str]) -> None:
        """Give the function its route parameters, the extension's way."""
        self._synchronizer.sync_route_params(live_request, route_params)


class _Exchange:
    """One request: the ASGI messages on one side, aiohttp on the other."""

    def __init__(
        self, request: web.Request, invocation: Invocation, invoker: Invoker, web_app: InProcessWebApp
    ) -> None:
        self._request = request
        self._invocation = invocation
        self._invoker = invoker
        self._web_app = web_app
        self._response: web.StreamResponse | None = None
        self._finished = False
        self._too_large = False
        self._body_ended = False
        self._gone = asyncio.Event()
        self._result: Any = None

    async def run(self, asgi_app: AsgiApp, settings: HostSettings) -> web.StreamResponse:
        self._body = limited_body(self._request, settings.body_limit_bytes)
        # To the host an invocation lasts until its response has been sent.
        limit = asyncio.timeout(self._invoker.timeout_seconds)
        try:
            async with limit:
                await asgi_app(self._scope(), self._receive, self._send)
        except Exception as error:
            # The extension's app has answered 500 by now unless the response had begun.
            if self._response is not None and not self._finished:
                self._report_broken(OUT_OF_TIME if limit.expired() else where_raised(error, settings.app))
        finally:
            self._gone.set()
            await self._close_result()
        if self._response is None:
            raise BodyTooLarge if self._too_large else InvocationFailed("no response")
        return self._response

    async def call_function(self, live_request: Any) -> Any:
        self._web_app.set_route_params(live_request, dict(self._request["route_params"]))
        running = self._invoker.start(replace(self._invocation, data=live_request))
        try:
            self._result = await asyncio.shield(running)
        except InvocationFailed as failure:
            raise failure.__cause__ or failure from None
        except asyncio.CancelledError:
            running.add_done_callback(_answer_nobody)
            raise
        if self._result is None:
            raise InvocationFailed("no response")
        return self._result

    def _report_broken(self, where: str) -> None:
        say(self._invocation.function.name, "response broken off", self._invocation.id, where)
        cut_connection(self._request)

    async def _close_result(self) -> None:
        """End the body's generator now; without this a hang-up would leave it to the collector."""
        await _close(self._result)

    def _scope(self) -> Message:
        raw_path, _, query = self._request.raw_path.partition("?")
        headers = forwarded_headers(self._request, self._invocation.id)
        headers["Host"] = _WORKER_HOST
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": self._request.method,
            "scheme": "http",
            "path": unquote_to_bytes(raw_path).decode("utf-8", "replace"),
            "raw_path": raw_path.encode("latin-1", "replace"),
            "query_string": query.encode("latin-1", "replace"),
            "root_path": "",
            "headers": [
                (name.lower().encode("latin-1"), value.encode("utf-8", "surrogateescape"))
                for name, value in headers.items()
            ],
            "client": ("127.0.0.1", 0),
            "server": ("127.0.0.1", 9),
            _EXCHANGE: self,
        }

    async def _receive(self) -> Message:
        try:
            chunk = await anext(self._body, b"")
        except BodyTooLarge:
            self._too_large = True
            return {"type": "http.disconnect"}
        except Exception:
            return {"type": "http.disconnect"}
        if chunk or not self._body_ended:
            self._body_ended = not chunk
            return {"type": "http.request", "body": chunk, "more_body": bool(chunk)}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._too_large and self._response is None:
            return  # the front answers 413 in place of what the function makes of a cut body
        if message["type"] == "http.response.start":
            pairs = [(n.decode("latin-1"), v.decode("utf-8", "surrogateescape")) for n, v in message["headers"]]
            self._response = make_response(message["status"], CIMultiDict(pairs))
            await self._response.prepare(self._request)
        elif self._response is not None:
            await self._send_body(self._response, message)

    async def _send_body(self, response: web.StreamResponse, message: Message) -> None:
        if body := message.get("body", b""):
            await response.write(bytes(body))
        if not message.get("more_body", False):
            await response.write_eof()
            self._finished = True


async def _close(result: Any) -> None:
    close = getattr(getattr(result, "body_iterator", None), "aclose", None)
    if close is not None:
        # What a generator raises while it is being closed has no one left to hear it.
        with contextlib.suppress(Exception):
            await close()


def _answer_nobody(task: asyncio.Task[Any]) -> None:
    """Send a response whose client left before the function returned it: it finds that nobody is there."""
    if not task.cancelled() and task.exception() is None:
        sending = asyncio.get_running_loop().create_task(_send_to_nobody(task.result()))
        _unfinished.add(sending)
        sending.add_done_callback(_unfinished.discard)


async def _send_to_nobody(result: Any) -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        raise OSError("the client is gone")

    # As in the web server: what a response raises then has no one left to hear it.
    with contextlib.suppress(Exception):
        await result({"type": "http", "method": "GET", "asgi": {"spec_version": "2.4"}}, receive, send)
    await _close(result)


# asyncio keeps weak references only.
_unfinished: set[asyncio.Task[None]] = set()
