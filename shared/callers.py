"""Who asks: a principal that the platform vouches for, or the bearer of a function key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from starlette.requests import Request as HttpRequest

from shared.function_key import KEY_HEADER, is_function_key
from shared.settings import Settings

# What App Service authentication hands on, once it has verified the token and dropped what the caller put there.
_PRINCIPAL_HEADER: Final = "x-ms-client-principal"
# The claims of Entra ID's tokens, as they stand there and as App Service renames them.
_OBJECT_ID: Final = ("oid", "http://schemas.microsoft.com/identity/claims/objectidentifier")
_APPLICATION: Final = ("azp", "appid")
_ROLES: Final = ("roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role")
FINGERPRINT_DIGITS: Final = 32


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Args:
        kind: what is known of them; `unknown`: neither a principal nor a key, as on a host that asks for none.
        id: the principal's object id, or the fingerprint of the key; None where it is not known.
        name: of the fingerprint, in the setting CALLERS.
        roles: of the principal: its app roles, and the id of the application by which it asks.
    """

    kind: Literal["principal", "key", "unknown"]
    id: str | None = None
    name: str | None = None
    roles: frozenset[str] = frozenset()


def caller_of(http: HttpRequest, settings: Settings) -> Caller:
    """Return who asks."""
    if settings.website_auth_enabled and (header := http.headers.get(_PRINCIPAL_HEADER)):
        return _principal(header)
    key = _function_key(http)
    if not key:
        return Caller("unknown")
    if settings.audit_key is None:
        return Caller("key")
    fingerprint = fingerprint_of(key, settings.audit_key)
    return Caller("key", fingerprint, settings.callers.get(fingerprint))


def fingerprint_of(key: str, audit_key: str) -> str:
    """Return what stands for a function key in the access record: nobody can make a key of it."""
    digest = hmac.new(audit_key.encode(), key.encode("utf-8", "surrogateescape"), hashlib.sha256)
    return digest.hexdigest()[:FINGERPRINT_DIGITS]


def partitions_of(caller: Caller, settings: Settings) -> frozenset[str] | None:
    """Return the partitions that a caller may see; None where there are no rules, or they allow all.

    Whoever has no role with a rule sees nothing.
    """
    rules = settings.caller_partitions
    if rules is None:
        return None
    allowed = frozenset[str]().union(*(rules.get(role, frozenset()) for role in caller.roles))
    return None if "*" in allowed else allowed


def _principal(header: str) -> Caller:
    claims = list(_claims(header))
    object_ids = [value for kind, value in claims if kind in _OBJECT_ID]
    if len(object_ids) != 1:
        return Caller("unknown")  # what cannot be read has no rights
    roles = frozenset(value for kind, value in claims if kind in (*_ROLES, *_APPLICATION))
    return Caller("principal", object_ids[0], None, roles)


def _claims(header: str) -> Iterable[tuple[str, str]]:
    try:
        claims: Any = json.loads(base64.b64decode(header, validate=True))["claims"]
        return [(str(claim["typ"]), str(claim["val"])) for claim in claims if isinstance(claim, Mapping)]
    except (ValueError, LookupError, TypeError, RecursionError):
        return []


def _function_key(http: HttpRequest) -> str | None:
    """Return the key as the host finds it: the header goes before the query."""
    if header := http.headers.get(KEY_HEADER):
        return header
    return next((value for name, value in http.query_params.multi_items() if is_function_key(name)), None)
