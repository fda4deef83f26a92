"""Bearer tokens of the local stack: issued by `local.identity`, checked by `local.dicom_service`.

They have the shape of Entra ID's access tokens, signed with a secret that `make up` draws for each run. In Azure a
role is assigned to an identity, here the token says which one its bearer has: DICOM Data Owner may do everything,
DICOM Data Reader read and search; of the apps that `infra/` deploys, ingest may do that and store, retention that and
delete.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, Literal, get_args

import httpx
import jwt

DICOM_AUDIENCE = "https://dicom.healthcareapis.azure.com"
Role = Literal["owner", "reader", "ingest", "retention"]
ROLES: tuple[Role, ...] = get_args(Role)
ISSUER = "https://sts.windows.net/00000000-0000-0000-0000-000000000000/"


def issue(secret: str, *, audience: str = DICOM_AUDIENCE, lifetime_seconds: int = 3600, role: Role = "owner") -> str:
    """Sign an access token for `audience` that is valid from now for `lifetime_seconds`."""
    now = int(time.time())
    claims = {
        "aud": audience,
        "iss": ISSUER,
        "iat": now,
        "nbf": now,
        "exp": now + lifetime_seconds,
        "roles": [role],
        "oid": "00000000-0000-0000-0000-000000000001",
        "tid": "00000000-0000-0000-0000-000000000000",
    }
    return jwt.encode(claims, secret, algorithm="HS256")


def verify(token: str, secret: str) -> dict[str, Any]:
    """Return the claims of a valid token for the DICOM service.

    Raises:
        jwt.InvalidTokenError: the signature, the audience, the issuer or the time is wrong.
    """
    claims: dict[str, Any] = jwt.decode(
        token, secret, algorithms=["HS256"], audience=DICOM_AUDIENCE, issuer=ISSUER, options={"require": ["exp"]}
    )
    return claims


class Bearer(httpx.Auth):
    """Adds one token to each request, whatever becomes of it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Sign a request."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request
