"""The two ways to run the app's functions, behind one small interface.

`runtime` is the official `azure_functions_runtime` library, which Azure itself runs from Python 3.13
on; `sdk` is the `azure.functions` package alone, for older Pythons.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

from aiohttp import web

from local.functions_host.functions import Function, LoadError
from local.functions_host.invocations import Invocation, Invoker
from local.functions_host.settings import HostSettings

CHOICES = ("auto", "runtime", "sdk")


class Worker(Protocol):
    """Indexes the app and calls its functions."""

    name: str
    # Whether HTTP functions get the live request (the streaming extension) or a copy in memory.
    streaming: bool

    async def start(self, settings: HostSettings) -> Sequence[Function]:
        """Index the app.

        Raises:
            LoadError: some function is bad; the whole app fails.
        """

    async def invoke(self, invocation: Invocation) -> Any:
        """Call a function and return its result; for classic HTTP, an `HttpAnswer`.

        Raises:
            InvocationFailed: the function raised.
        """

    async def exchange(self, request: web.Request, invocation: Invocation, invoker: Invoker) -> web.StreamResponse:
        """Run a streaming HTTP function against a live request and pass its response through.

        Raises:
            InvocationFailed: the function ended without a response.
            BodyTooLarge: the request's body passed the limit before a response began.
        """

    async def stop(self) -> None:
        """Let go of connections and threads."""


def choose(wanted: str) -> Worker:
    """Return the worker of that name; `auto` takes the official runtime where it can be imported.

    Raises:
        LoadError: the worker wanted is not installed.
    """
    has_runtime = importlib.util.find_spec("azure_functions_runtime") is not None
    if wanted == "runtime" and not has_runtime:
        raise LoadError("the worker 'runtime' needs azure-functions-runtime (Python 3.13 or newer)")
    name = wanted if wanted != "auto" else ("runtime" if has_runtime else "sdk")
    # Imported late: the official runtime must not be touched when the other worker was asked for.
    module = importlib.import_module(f"local.functions_host.workers.{name}")
    return cast(Worker, module.create())


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes event loops as Azure's worker does: from Python 3.13 on uvloop, if it is installed."""
    if sys.version_info >= (3, 13) and importlib.util.find_spec("uvloop"):
        return cast(Callable[[], asyncio.AbstractEventLoop], importlib.import_module("uvloop").new_event_loop)
    return None
