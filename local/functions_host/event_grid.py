"""The webhook to which Event Grid delivers blob events, `POST /runtime/webhooks/blobs`.

It trusts its input as little and as much as the real one: types of events are not checked, an
unknown function is a silent loss, one bad event fails the rest of its batch.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote, urlsplit

from aiohttp import web

from local.functions_host.blob_trigger import trigger_message
from local.functions_host.keys import Keys

_TYPE_HEADER = "aeg-event-type"


class Webhook:
    """Turns events into messages on the internal queue.

    Args:
        feed: puts a message there; None if no function is triggered by blobs.
        keys: of the host.
        account_names: of the emulator's accounts.
    """

    def __init__(
        self, feed: Callable[[str], Awaitable[None]] | None, keys: Keys, account_names: frozenset[str]
    ) -> None:
        self._feed = feed
        self._keys = keys
        self._account_names = account_names

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one delivery."""
        extension = request.path.rstrip("/").rpartition("/")[2]
        if extension != "blobs" or self._feed is None:
            return web.Response(status=404)
        # In Azure the key is the system key blobs_extension; here the master key stands in for it.
        if not self._keys.admits_admin(request):
            return web.Response(status=401)
        event_type = request.headers.get(_TYPE_HEADER, "").lower()
        if event_type == "unsubscribe":
            return web.Response(status=202)
        if event_type not in {"notification", "subscriptionvalidation"}:
            return web.Response(status=400)
        return await self._answer_events(request, self._feed, event_type)

    async def _answer_events(
        self, request: web.Request, feed: Callable[[str], Awaitable[None]], event_type: str
    ) -> web.Response:
        try:
            content = json.loads(await request.read())
        except ValueError:
            return web.Response(status=400)
        events = content if isinstance(content, list) else [content]
        try:
            if event_type == "subscriptionvalidation":
                return web.json_response({"validationResponse": events[0]["data"]["validationCode"]})
            for event in events:
                await feed(self._message(request.query.get("functionName"), event["data"]))
        except (KeyError, TypeError, IndexError, ValueError):
            # A renamed blob's event has no url, and the real host trips over it, too.
            return web.Response(status=500)
        return web.Response(status=202)

    def _message(self, function_id: str | None, data: dict[str, Any]) -> str:
        container, name = self._parse_url(str(data["url"]))
        return trigger_message(function_id, container, name, str(data.get("eTag", "")))

    def _parse_url(self, url: str) -> tuple[str, str]:
        """Split a blob's URL; a raw `#` in it cuts the name short, as it does in Azure."""
        path = urlsplit(url).path.lstrip("/")
        account, _, rest = path.partition("/")
        # The emulator's URLs carry the account in the path, not in the host name.
        if account in self._account_names:
            path = rest
        container, slash, name = path.partition("/")
        if not slash:
            raise ValueError("not a blob's URL")
        return unquote(container), unquote(name)
