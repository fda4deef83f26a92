"""Bearer tokens (RFC 6750) and roles: everything below a version needs them, unless the service is told otherwise."""

from __future__ import annotations

import re
from typing import Any

import jwt
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from local import tokens
from local.dicom_service.web.kinds import kind_of

_READ_KINDS = ("search", "retrieve", "metadata", "frames", "rendered", "changefeed")
_OTHER_READS = re.compile(r"/v2/(?:partitions|extendedquerytags(?:/.*)?)")


class BearerAuth:
    """ASGI middleware that answers 401 to requests without a valid token, and 403 to what its role does not allow."""

    def __init__(self, app: ASGIApp, secret: str | None) -> None:
        self._app = app
        self._secret = secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (ASGI)."""
        refusal = None if self._secret is None else _refusal(scope, self._secret)
        await (refusal or self._app)(scope, receive, send)


def _refusal(scope: Scope, secret: str) -> PlainTextResponse | None:
    claims = _claims(Headers(scope=scope).get("authorization", ""), secret)
    if claims is None:
        challenge = {"WWW-Authenticate": f'Bearer authorization_uri="{tokens.ISSUER}"'}
        return PlainTextResponse("A valid bearer token is needed.", 401, headers=challenge)
    if not _is_allowed(claims.get("roles"), scope["method"], scope["path"]):
        return PlainTextResponse("The bearer of this token has no role that allows this.", 403)
    return None


def _claims(authorization: str, secret: str) -> dict[str, Any] | None:
    """Return what an Authorization header's token says; None if it is not one for this service."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        return None
    try:
        return tokens.verify(token.strip(), secret)
    except jwt.InvalidTokenError:
        return None


def _is_allowed(roles: object, method: str, path: str) -> bool:
    return isinstance(roles, list) and any(role in roles for role in _roles_for(method, path))


def _roles_for(method: str, path: str) -> tuple[tokens.Role, ...]:
    """Return the roles of which each allows a request."""
    if _is_read(method, path):
        return tokens.ROLES
    match kind_of(method, path):
        case "store":
            return ("owner", "ingest")
        case "delete":
            return ("owner", "retention")
    return ("owner",)


def _is_read(method: str, path: str) -> bool:
    is_other_read = method in ("GET", "HEAD") and _OTHER_READS.fullmatch(path) is not None
    return is_other_read or kind_of(method, path) in _READ_KINDS
