"""The worker that runs functions through `azure_functions_runtime`, the library that Azure itself runs.

Only the library's public entry points are used. Its state is global: one app a process.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aiohttp import web

from local.functions_host.functions import HTTP_TRIGGER, Function, LoadError, TypedValue, describe
from local.functions_host.http_values import HttpAnswer, HttpCall, cut_connection
from local.functions_host.invocations import OUT_OF_TIME, Invocation, InvocationFailed, Invoker
from local.functions_host.output import say, where_reported
from local.functions_host.settings import HostSettings
from local.functions_host.workers import app_module
from local.functions_host.workers.forward import Forwarder
from local.functions_host.workers.protos import Message, Protos, request

_LONGEST_REASON = 400
# After a function has failed, its web server needs a moment to say so.
_ERROR_ANSWER_SECONDS = 2.0


class RuntimeWorker:
    """See `workers.Worker`."""

    name = "runtime"

    def __init__(self) -> None:
        self._library = importlib.import_module("azure_functions_runtime")
        self._protos = Protos()
        self._app = Path()
        self._forwarder: Forwarder | None = None
        self.streaming = False

    async def start(self, settings: HostSettings) -> Sequence[Function]:
        """Index the app, and wait for the extension's web server if there is one."""
        self._app = settings.app
        app_module.enter(settings)
        self._library.start_threadpool_executor()
        answer = await self._library.worker_init_request(
            request(
                "worker_init_request",
                self._protos,
                capabilities={},
                function_app_directory=str(settings.app),
            )
        )
        self._check(answer.result)
        if http_uri := answer.capabilities.get("HttpUri"):
            self.streaming = True
            self._forwarder = Forwarder(http_uri, settings.body_limit_bytes)
            await self._forwarder.wait_until_ready()
        return await self._functions()

    def _check(self, result: Any) -> None:
        if result.status == self._protos.StatusResult.Failure:
            place = where_reported(result.exception.message, result.exception.stack_trace, self._app)
            reason = " ".join(result.exception.message.split())[:_LONGEST_REASON]
            raise LoadError(f"function_app.py: {place}: {reason}")

    async def _functions(self) -> list[Function]:
        answer = await self._library.functions_metadata_request(request("functions_metadata_request", self._protos))
        return [
            describe(found.name, found.function_id, found.raw_bindings)
            for found in answer.function_metadata_results or []
        ]

    async def invoke(self, invocation: Invocation) -> Any:
        """Call a function."""
        answer = await self._library.invocation_request(self._invocation_request(invocation))
        if answer.result.status == self._protos.StatusResult.Failure:
            failure = answer.result.exception
            raise InvocationFailed(where_reported(failure.message, failure.stack_trace, self._app))
        if invocation.function.kind != HTTP_TRIGGER or self.streaming:
            return None
        return _answer(answer.return_value)

    def _invocation_request(self, invocation: Invocation) -> Any:
        trigger = invocation.function.trigger["name"]
        return request(
            "invocation_request",
            self._protos,
            invocation_id=invocation.id,
            function_id=invocation.function.function_id,
            input_data=[Message(name=trigger, data=_typed_data(invocation.data))],
            trigger_metadata={name: _typed_data(value) for name, value in invocation.metadata.items()},
            trace_context=SimpleNamespace(trace_parent=invocation.traceparent, trace_state="", attributes={}),
            retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
        )

    async def exchange(self, request: web.Request, invocation: Invocation, invoker: Invoker) -> web.StreamResponse:
        """Start the function, and forward the HTTP exchange to the worker's web server beside it."""
        assert self._forwarder is not None, "only apps that stream have exchanges"  # noqa: S101
        # The request itself takes the other way; only the route's parameters come this way.
        call = HttpCall(request.method, "", {}, {}, request["route_params"], b"")
        started = asyncio.get_running_loop().time()
        running = invoker.start(replace(invocation, data=TypedValue("http", call)))
        forwarding = asyncio.create_task(self._forwarder.forward(request, invocation))
        try:
            await asyncio.wait({running, forwarding}, return_when=asyncio.FIRST_COMPLETED)
            if running.done() and (running.cancelled() or running.exception() is not None):
                await asyncio.wait({forwarding}, timeout=_ERROR_ANSWER_SECONDS)
                if not forwarding.done():
                    raise InvocationFailed("no response")
            async with _limited(request, invocation, invoker.timeout_seconds and started + invoker.timeout_seconds):
                return await forwarding
        finally:
            forwarding.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await forwarding

    async def stop(self) -> None:
        """Let go of connections; threads that still run functions end with the process."""
        if self._forwarder is not None:
            await self._forwarder.close()


def create() -> RuntimeWorker:
    """Return the worker."""
    return RuntimeWorker()


@contextlib.asynccontextmanager
async def _limited(request: web.Request, invocation: Invocation, until: float | None) -> AsyncIterator[None]:
    """Break a response off at a time of the loop: to the host an invocation lasts until its response has been sent."""
    limit = asyncio.timeout_at(until)
    try:
        async with limit:
            yield
    except TimeoutError:
        if limit.expired():
            say(invocation.function.name, "response broken off", invocation.id, OUT_OF_TIME)
            cut_connection(request)
        raise


def _typed_data(value: TypedValue) -> Message:
    if isinstance(value.value, HttpCall):
        return Message(http=_rpc_http(value.value))
    if value.kind == "model_binding_data":
        reference = Message(
            version="1.0",
            source="AzureStorageBlobs",
            content_type="application/json",
            content=value.value,
        )
        return Message(model_binding_data=reference)
    return Message(**{value.kind: value.value})


def _rpc_http(call: HttpCall) -> Message:
    return Message(
        method=call.method,
        url=call.url,
        headers=call.headers,
        query=call.query,
        params=call.route_params,
        body=Message(bytes=call.body),
    )


def _answer(value: Any) -> HttpAnswer:
    """Turn what the library returned for a classic function into a response."""
    if value is not None and value.WhichOneof("data") == "string":
        return HttpAnswer(200, [("Content-Type", "text/plain; charset=utf-8")], value.string.encode())
    if value is None or value.WhichOneof("data") != "http":
        raise InvocationFailed("no HTTP response")
    http = value.http
    headers = list(http.headers.items())
    headers += [("Set-Cookie", _cookie_text(cookie)) for cookie in http.cookies or ()]
    return HttpAnswer(int(http.status_code), headers, http.body.bytes if http.body else b"")


def _cookie_text(cookie: Any) -> str:
    parts = [f"{cookie.name}={cookie.value}"]
    if _value(cookie.expires):
        parts.append(f"Expires={formatdate(_value(cookie.expires).seconds, usegmt=True)}")
    if _value(cookie.max_age) is not None:
        parts.append(f"Max-Age={_value(cookie.max_age):g}")
    for label, field in (("Domain", cookie.domain), ("Path", cookie.path)):
        if _value(field):
            parts.append(f"{label}={_value(field)}")
    parts += [name for name, flag in (("Secure", cookie.secure), ("HttpOnly", cookie.http_only)) if _value(flag)]
    if cookie.same_site:
        parts.append(f"SameSite={cookie.same_site}")
    return "; ".join(parts)


def _value(nullable: Any) -> Any:
    return None if nullable is None else nullable.value
