"""Puts the host together: index the app, open storage, start the listeners, serve HTTP, stop calmly."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence

from azure.core.exceptions import AzureError

from local.functions_host import blob_listener, queue_trigger, timers
from local.functions_host.admin import Admin
from local.functions_host.blob_trigger import BlobCalls, BlobSource, read_source
from local.functions_host.event_grid import Webhook
from local.functions_host.front import App, Front
from local.functions_host.functions import (
    BLOB_TRIGGER,
    HTTP_TRIGGER,
    QUEUE_TRIGGER,
    TIMER_TRIGGER,
    Function,
    LoadError,
    NoAccount,
)
from local.functions_host.invocations import Invoker
from local.functions_host.keys import Keys
from local.functions_host.listeners import Listeners
from local.functions_host.output import say
from local.functions_host.routes import Route, compile_routes, list_methods
from local.functions_host.settings import HostSettings, is_disabled
from local.functions_host.storage import HOSTS_CONTAINER, Account, Accounts
from local.functions_host.workers import Worker

GRACE_SECONDS = 5.0


class Host:
    """A running function app."""

    def __init__(self, settings: HostSettings, worker: Worker, keys: Keys) -> None:
        self._settings = settings
        self._worker = worker
        self._keys = keys
        self._accounts = Accounts()
        self._invoker = Invoker(worker, settings.function_timeout_seconds)
        self._listeners = Listeners()
        self._front: Front | None = None
        self._blob_calls: BlobCalls | None = None
        self._by_hand: set[asyncio.Task[None]] = set()

    async def start(self, listening: socket.socket) -> None:
        """Start everything; HTTP comes last, so that an answer means that all else listens.

        Raises:
            LoadError: the app is bad, or its storage does not answer.
        """
        functions = await self._worker.start(self._settings)
        enabled = [function for function in functions if not is_disabled(function.name)]
        routes = compile_routes(enabled, self._settings.route_prefix)
        sources = list(self._sources(functions))
        due = [timers.read_timer(function) for function in _of(enabled, TIMER_TRIGGER)]
        _list(functions, routes)
        try:
            feed = await self._listen(enabled, sources, due)
        except AzureError as error:
            raise LoadError(f"storage does not answer ({type(error).__name__})") from None
        await self._serve(listening, functions, routes, feed)

    def _sources(self, functions: Sequence[Function]) -> Iterator[BlobSource]:
        """Yield what the blob triggers listen to; as in Azure, one that cannot listen leaves the others alone."""
        for function in _of(functions, BLOB_TRIGGER):
            try:
                yield read_source(function, self._accounts)
            except NoAccount as error:
                say(function.name, "listener failed", str(error))

    async def _listen(
        self, functions: Sequence[Function], sources: Sequence[BlobSource], due: Sequence[timers.Timer]
    ) -> Callable[[str], Awaitable[None]] | None:
        if all(function.kind == HTTP_TRIGGER for function in functions):
            return None  # needs no storage
        host_account = await self._accounts.host_account()
        for function in _of(functions, QUEUE_TRIGGER):
            try:
                await queue_trigger.listen(function, self._accounts, self._invoker, self._settings, self._listeners)
            except NoAccount as error:  # as for blob triggers
                say(function.name, "listener failed", str(error))
        for timer in due:
            self._start_timer(timer, host_account)
        if not sources:
            return None
        self._blob_calls, feed = await blob_listener.listen(
            sources, host_account, self._invoker, self._settings, self._listeners
        )
        return feed

    def _start_timer(self, timer: timers.Timer, host_account: Account) -> None:
        path = f"timers/{self._settings.host_id}/{timer.function.qualified_name}/status"
        blob = host_account.blobs.get_blob_client(HOSTS_CONTAINER, path)
        loop = timers.TimerLoop(timer, blob, self._invoker)
        self._listeners.add(timer.function.name, loop)

    async def _serve(
        self,
        listening: socket.socket,
        functions: Sequence[Function],
        routes: Sequence[Route],
        feed: Callable[[str], Awaitable[None]] | None,
    ) -> None:
        admin = Admin(functions, self._keys, self._settings.host_id, self._fire)
        webhook = Webhook(feed, self._keys, self._accounts.names())
        endpoints = {"/admin/": admin.answer, "/runtime/": webhook.answer}
        app = App(self._settings, self._worker, self._invoker, routes, self._keys, endpoints)
        self._front = Front(app)
        await self._front.start(listening)

    async def _fire(self, function: Function, text: str) -> None:
        """Start a function by hand, without waiting for it."""
        if function.kind == BLOB_TRIGGER and self._blob_calls is not None:
            task = asyncio.create_task(self._blob_calls.by_hand(function, text))
            self._by_hand.add(task)
            task.add_done_callback(self._by_hand.discard)
        elif function.kind == QUEUE_TRIGGER:
            self._invoker.start(queue_trigger.by_hand(function, text))
        else:
            self._invoker.start(timers.timer_call(function, is_past_due=False))

    async def stop(self) -> None:
        """Take no more work, let what runs finish for a while, cancel the rest, close everything."""
        await self._listeners.stop()
        if self._front is not None:
            await self._front.close_door()
        await self._invoker.drain(GRACE_SECONDS)
        await self._listeners.finish()
        if self._front is not None:
            await self._front.stop()
        await self._worker.stop()
        await self._accounts.close()


def _of(functions: Sequence[Function], kind: str) -> list[Function]:
    return [function for function in functions if function.kind == kind]


def _list(functions: Sequence[Function], routes: Sequence[Route]) -> None:
    templates = {route.function.name: route.template for route in routes}
    for function in sorted(functions, key=lambda f: f.name.lower()):
        say(function.name, function.kind, _where(function, templates))


def _where(function: Function, templates: dict[str, str]) -> str:
    trigger = function.trigger
    if is_disabled(function.name):
        return "disabled"
    if function.kind == HTTP_TRIGGER:
        return f"/{templates[function.name]}  {list_methods(trigger)}"
    return str(trigger.get("path") or trigger.get("queueName") or trigger.get("schedule"))
