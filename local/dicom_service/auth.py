"""Bearer tokens (RFC 6750): everything below a version needs a valid one, unless the service is told otherwise."""

from __future__ import annotations

import jwt
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from local import tokens


class BearerAuth:
    """ASGI middleware that answers 401 to requests without a valid token."""

    def __init__(self, app: ASGIApp, secret: str | None) -> None:
        self._app = app
        self._secret = secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (ASGI)."""
        if self._secret is None or is_valid(Headers(scope=scope).get("authorization", ""), self._secret):
            await self._app(scope, receive, send)
            return
        challenge = {"WWW-Authenticate": f'Bearer authorization_uri="{tokens.ISSUER}"'}
        response = PlainTextResponse("A valid bearer token is needed.", 401, headers=challenge)
        await response(scope, receive, send)


def is_valid(authorization: str, secret: str) -> bool:
    """Tell whether an Authorization header holds a token for this service."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        return False
    try:
        tokens.verify(token.strip(), secret)
    except jwt.InvalidTokenError:
        return False
    return True
