"""A credential of azure-identity as an `httpx.Auth`."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable

import httpx
from azure.core.credentials import AccessToken
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError

from shared.dicomweb import RequestNotSent
from shared.settings.rules import LOOPBACK_HOSTS
from shared.telemetry.recording import FETCH_TOKEN, span

_RENEW_BEFORE_EXPIRY_SECONDS = 300
_REST_AFTER_FAILURE_SECONDS = 30
_REST_AFTER_REPLACEMENT_SECONDS = 60


class EntraAuth(httpx.Auth):
    """Adds the bearer token; one caller at a time fetches it, all others wait and share what comes of it.

    The token in use is kept here: some credentials keep theirs too (managed identities), others do not (`az login`
    starts a process for each). One that keeps its tokens would give a refused one again: so a 401 makes a new
    credential, once, and repeats the request if that gives another token. If the service refuses that token too, the
    app fetches no other one for a minute: a lasting refusal must not cost a token for each request. The token goes to
    https and to this machine, nowhere else.

    Args:
        new_credential: makes a credential; called at once, and after a token was refused.
        scope: of the tokens.
    """

    def __init__(self, new_credential: Callable[[], AsyncTokenCredential], scope: str) -> None:
        self._new_credential = new_credential
        self._credential = new_credential()
        self._scope = scope
        self._lock = asyncio.Lock()
        self._token: AccessToken | None = None
        self._failures = 0
        self._failed_at = -math.inf
        self._replaced_at = -math.inf

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

        Where the credential fails, a token that is still valid serves on. Shortly after a refused token was replaced,
        the `refused` one is returned.

        Raises:
            RequestNotSent: none was obtained.
        """
        failures_before = self._failures
        async with self._lock:
            kept = self._token
            if kept is not None and kept.token == refused and self._may_replace():
                await self._replace_credential()
                kept = None
            if kept is not None and not self._should_renew(kept):
                return kept.token
            if self._failures > failures_before:  # of whoever asked while we waited: to ask again would only queue
                return self._or_fail(kept)
            return await self._fetch(kept)

    def _should_renew(self, kept: AccessToken) -> bool:
        rested = time.monotonic() - self._failed_at > _REST_AFTER_FAILURE_SECONDS
        left = _seconds_left(kept)
        return left <= 0 or (left < _RENEW_BEFORE_EXPIRY_SECONDS and rested)

    def _may_replace(self) -> bool:
        return time.monotonic() - self._replaced_at > _REST_AFTER_REPLACEMENT_SECONDS

    async def _fetch(self, kept: AccessToken | None) -> str:
        try:
            with span(FETCH_TOKEN):
                self._token = await self._credential.get_token(self._scope)
        except AzureError as error:
            self._failures += 1
            self._failed_at = time.monotonic()
            return self._or_fail(kept, type(error).__name__)
        return self._token.token

    @staticmethod
    def _or_fail(kept: AccessToken | None, why: str = "as for others just now") -> str:
        if kept is None or _seconds_left(kept) <= 0:
            raise RequestNotSent(f"token: none was obtained ({why})") from None
        return kept.token

    async def aclose(self) -> None:
        """Close the credential, and so its connections."""
        await self._credential.close()

    async def _replace_credential(self) -> None:
        self._token = None
        self._replaced_at = time.monotonic()
        # The new one stands before anything is awaited: a closed one would fail for ever.
        old, self._credential = self._credential, self._new_credential()
        await old.close()


def _seconds_left(token: AccessToken) -> float:
    return token.expires_on - time.time()
