"""A credential of azure-identity as an `httpx.Auth`."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator

import httpx
from azure.core.credentials import AccessToken
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError

from shared.dicomweb import RequestNotSent
from shared.setting_rules import LOOPBACK_HOSTS

_RENEW_BEFORE_EXPIRY_SECONDS = 300
_REST_AFTER_FAILURE_SECONDS = 30


class EntraAuth(httpx.Auth):
    """Adds the bearer token; one caller at a time fetches it, all others wait, and reuse it.

    The credential may keep its tokens itself (managed identities do) or not (`az login` starts a process for each):
    so the one in use is kept here. A 401 asks the credential once more, and repeats the request if it gives another
    token. The token goes to https and to this machine, nowhere else.
    """

    def __init__(self, credential: AsyncTokenCredential, scope: str) -> None:
        self._credential = credential
        self._scope = scope
        self._lock = asyncio.Lock()
        self._token: AccessToken | None = None
        self._asked_in_vain_at = -math.inf

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Sign the request, and once more if its token was refused.

        Raises:
            RequestNotSent: no token was obtained, or the address is not one to show it to.
        """
        if request.url.scheme != "https" and request.url.host not in LOOPBACK_HOSTS:
            raise RequestNotSent("token: it is shown to https addresses only")
        token = await self.token()
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code != 401:
            return
        fresh = await self.token(refused=token)
        if fresh != token:
            request.headers["Authorization"] = f"Bearer {fresh}"
            yield request

    async def token(self, refused: str | None = None) -> str:
        """Return a token that is good for some minutes if one can be had, and is not the `refused` one.

        Where the credential fails, a token that is still valid serves on.

        Raises:
            RequestNotSent: none was obtained.
        """
        async with self._lock:
            kept = self._token if self._token and self._token.token != refused else None
            if kept is None or (_seconds_left(kept) < _RENEW_BEFORE_EXPIRY_SECONDS and self._may_ask()):
                try:
                    kept = self._token = await self._credential.get_token(self._scope)
                except AzureError as error:
                    self._asked_in_vain_at = time.monotonic()
                    if kept is None or _seconds_left(kept) <= 0:
                        raise RequestNotSent(f"token: none was obtained ({type(error).__name__})") from None
            elif _seconds_left(kept) <= 0:
                raise RequestNotSent("token: none was obtained a moment ago")
            return kept.token

    def _may_ask(self) -> bool:
        """Not again at once after a failure: callers with a token that is still valid must not queue for it."""
        return time.monotonic() - self._asked_in_vain_at > _REST_AFTER_FAILURE_SECONDS


def _seconds_left(token: AccessToken) -> float:
    return token.expires_on - time.time()
