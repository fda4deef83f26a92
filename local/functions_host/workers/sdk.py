"""The worker that runs functions in this process through the `azure.functions` package alone."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure.functions as func
from aiohttp import web
from azure.functions.decorators.function_app import Function as SdkFunction

from local.functions_host.functions import Function, LoadError, TypedValue, describe
from local.functions_host.http_values import HttpAnswer, HttpCall
from local.functions_host.invocations import Invocation, InvocationFailed, Invoker
from local.functions_host.output import where_raised
from local.functions_host.settings import HostSettings
from local.functions_host.tracing import attach
from local.functions_host.workers import app_module
from local.functions_host.workers.asgi import InProcessWebApp
from local.functions_host.workers.load_checks import (
    Signature,
    extensions_base,
    is_streaming,
    read_signature,
)

Datum = func.meta.Datum


class SdkWorker:
    """See `workers.Worker`."""

    name = "sdk"

    def __init__(self) -> None:
        self.streaming = False
        self._signatures: dict[str, Signature] = {}
        self._app = Path()
        self._threads: ThreadPoolExecutor | None = None
        self._web_app: InProcessWebApp | None = None

    async def start(self, settings: HostSettings) -> Sequence[Function]:
        """Index the app."""
        self._app = settings.app
        app_module.enter(settings)
        functions = [self._add(function) for function in app_module.load(settings.app)]
        self.streaming = is_streaming()
        if self.streaming:
            _check_init_indexing()
            self._web_app = InProcessWebApp(settings)
        count = os.environ.get("PYTHON_THREADPOOL_THREAD_COUNT")
        self._threads = ThreadPoolExecutor(int(count) if count else None, thread_name_prefix="function")
        return functions

    def _add(self, function: SdkFunction) -> Function:
        name = str(function.get_function_name())
        signature = read_signature(function)
        self._signatures[name] = signature
        raw_bindings = [json.loads(raw) for raw in function.get_raw_bindings()]
        for binding in raw_bindings:
            if binding["name"] == signature.parameter:
                binding["properties"] = {"SupportsDeferredBinding": signature.wants_client}
        function_id = str(uuid.uuid5(uuid.NAMESPACE_OID, name))
        return describe(name, function_id, [json.dumps(binding) for binding in raw_bindings])

    async def invoke(self, invocation: Invocation) -> Any:
        """Call a function."""
        signature = self._signatures[invocation.function.name]
        attach(invocation.traceparent)
        try:
            result = await self._call(signature, invocation)
            if result is not None and not signature.has_return:
                raise RuntimeError("a function without a $return binding returned a value")
            live = not isinstance(invocation.data, TypedValue)
            return result if live or not signature.has_return else _answer(result)
        except Exception as error:
            raise InvocationFailed(where_raised(error, self._app)) from error

    async def _call(self, signature: Signature, invocation: Invocation) -> Any:
        arguments = {signature.parameter: _decode(signature, invocation)}
        if signature.wants_context:
            arguments["context"] = HostContext(invocation, self._app)
        if signature.is_async:
            return await signature.call(**arguments)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: signature.call(**arguments))

    async def exchange(self, request: web.Request, invocation: Invocation, invoker: Invoker) -> web.StreamResponse:
        """Run a streaming HTTP function in this process."""
        assert self._web_app is not None, "only apps that stream have exchanges"  # noqa: S101
        return await self._web_app.exchange(request, invocation, invoker)

    async def stop(self) -> None:
        """Let the threads go; one that still runs a function cannot be stopped."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)


def create() -> SdkWorker:
    """Return the worker."""
    return SdkWorker()


def _check_init_indexing() -> None:
    wanted = os.environ.get("PYTHON_ENABLE_INIT_INDEXING", "").lower() in {"1", "true"}
    if sys.version_info < (3, 13) and not wanted:
        raise LoadError(
            "function_app.py imports azurefunctions.extensions.http.fastapi: up to Python 3.12 this needs "
            "the setting PYTHON_ENABLE_INIT_INDEXING=1"
        )


def _decode(signature: Signature, invocation: Invocation) -> Any:
    data = invocation.data
    if not isinstance(data, TypedValue):
        return data  # a live request
    if signature.wants_client:
        return _client(signature, data)
    if signature.annotation in (str, bytes):
        return data.value
    metadata = {name: Datum(item.value, item.kind) for name, item in invocation.metadata.items()}
    converter = func.get_binding_registry().get(signature.binding_type)
    return converter.decode(_datum(data), trigger_metadata=metadata)


def _client(signature: Signature, data: TypedValue) -> Any:
    base = extensions_base()
    assert base is not None, "the annotation came from the extension"  # noqa: S101
    content = SimpleNamespace(
        version="1.0", source="AzureStorageBlobs", content_type="application/json", content=data.value
    )
    converter = base.get_binding_registry().get(signature.binding_type)
    datum = base.Datum(content, data.kind)
    return converter.decode(datum, trigger_metadata={}, pytype=signature.annotation)


def _datum(data: TypedValue) -> Datum:
    if not isinstance(data.value, HttpCall):
        return Datum(data.value, data.kind)
    call = data.value
    parts: dict[str, Any] = {"method": Datum(call.method, "string"), "url": Datum(call.url, "string")}
    for name, texts in (("headers", call.headers), ("query", call.query), ("params", call.route_params)):
        parts[name] = _string_datums(texts)
    return Datum(parts | {"body": Datum(call.body, "bytes")}, "http")


def _string_datums(texts: Mapping[str, str]) -> dict[str, Datum]:
    return {name: Datum(text, "string") for name, text in texts.items()}


def _answer(result: Any) -> HttpAnswer:
    """Turn a classic function's result into a response, through the SDK's own converter."""
    datum = func.get_binding_registry().get("http").encode(result, expected_type=None)
    if datum.type == "string":
        return HttpAnswer(200, [("Content-Type", "text/plain; charset=utf-8")], datum.value.encode())
    value = datum.value
    headers = [(name, item.value) for name, item in value["headers"].items()]
    for cookie in value.get("cookies") or ():
        headers += [("Set-Cookie", morsel.OutputString()) for morsel in cookie.values()]
    return HttpAnswer(int(value["status_code"].value), headers, value["body"].value)


class HostContext(func.Context):
    """What a function gets as its `context`; local runs have no host retries."""

    _local = threading.local()

    def __init__(self, invocation: Invocation, app: Path) -> None:
        self._invocation = invocation
        self._app = app

    @property
    def invocation_id(self) -> str:
        """The invocation's id."""
        return self._invocation.id

    @property
    def thread_local_storage(self) -> Any:
        """Thread-local storage of the process."""
        return self._local

    @property
    def function_name(self) -> str:
        """The function's name."""
        return self._invocation.function.name

    @property
    def function_directory(self) -> str:
        """The app's folder."""
        return str(self._app)

    @property
    def trace_context(self) -> Any:
        """The host's own span."""
        return SimpleNamespace(trace_parent=self._invocation.traceparent, trace_state="", attributes={})

    @property
    def retry_context(self) -> Any:
        """An empty retry context."""
        return SimpleNamespace(retry_count=0, max_retry_count=0, exception=None)
