"""The host's own API, at the root and not under the app's route prefix."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from local.functions_host.functions import HTTP_TRIGGER, Function
from local.functions_host.keys import Keys

_FUNCTIONS = "/admin/functions/"


class Admin:
    """Answers below `/admin`.

    Args:
        fire: starts a function by hand with an input.
    """

    def __init__(
        self,
        functions: Sequence[Function],
        keys: Keys,
        host_id: str,
        fire: Callable[[Function, str], Awaitable[None]],
    ) -> None:
        self._functions = {function.name.lower(): function for function in functions}
        self._keys = keys
        self._host_id = host_id
        self._fire = fire

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request."""
        path = request.path.rstrip("/")
        if path == "/admin/host/ping" and request.method in {"GET", "POST"}:
            return web.Response()
        if not self._keys.admits_admin(request):
            return web.Response(status=401)
        if path == "/admin/host/status" and request.method == "GET":
            return web.json_response({"id": self._host_id, "state": "Running"})
        if path == "/admin/host/held" and request.method == "GET":  # not of Azure: for those who look for leaks
            return web.json_response({"tasks": len(asyncio.all_tasks()), "blocks": sys.getallocatedblocks()})
        if path.startswith(_FUNCTIONS) and request.method == "POST":
            return await self._call(request, path.removeprefix(_FUNCTIONS))
        return web.Response(status=404)

    async def _call(self, request: web.Request, name: str) -> web.Response:
        function = self._functions.get(name.lower())
        if function is None:
            return web.Response(status=404)
        if function.kind == HTTP_TRIGGER:
            return web.Response(status=400)
        try:
            text = _input(await request.text())
        except ValueError:
            return web.Response(status=400)
        await self._fire(function, text)
        return web.Response(status=202)


def _input(body: str) -> str:
    content = json.loads(body) if body.strip() else {}
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")
    return str(content.get("input") or "")
