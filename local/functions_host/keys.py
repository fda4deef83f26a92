"""Function keys, checked as the host checks them."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass

from aiohttp import web

from local.functions_host.functions import Function

_HEADER = "x-functions-key"
_QUERY = "code"


@dataclass(frozen=True)
class Keys:
    """The two keys of a local host, or none at all when `enabled` is false, as under `func start`."""

    enabled: bool
    function: str = ""
    master: str = ""

    def admits(self, request: web.Request, function: Function) -> bool:
        """Tell whether a request may call an HTTP function."""
        level = str(function.trigger.get("authLevel", "FUNCTION")).upper()
        if not self.enabled or level == "ANONYMOUS":
            return True
        accepted = [self.master] if level == "ADMIN" else [self.function, self.master]
        return _holds(request, accepted)

    def admits_admin(self, request: web.Request) -> bool:
        """Tell whether a request may use the host's own API."""
        return not self.enabled or _holds(request, [self.master])


def load_keys(enabled: bool) -> tuple[Keys, bool]:
    """Take the keys from the environment, or draw them.

    Returns:
        The keys, and whether any was drawn and must be told.
    """
    if not enabled:
        return Keys(False), False
    given = {name: os.environ.get(name, "") for name in ("LOCAL_FUNCTION_KEY", "LOCAL_MASTER_KEY")}
    keys = [value or secrets.token_urlsafe(24) for value in given.values()]
    return Keys(True, *keys), not all(given.values())


def _holds(request: web.Request, accepted: list[str]) -> bool:
    # The header, where present, decides alone: a wrong one is not saved by a right query.
    given = request.headers.get(_HEADER) or request.query.get(_QUERY, "")
    return any(secrets.compare_digest(given.encode(), key.encode()) for key in accepted)
