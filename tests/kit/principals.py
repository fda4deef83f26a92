"""Callers as App Service authentication tells of them."""

from __future__ import annotations

import base64
import json


def principal(*claims: tuple[str, str]) -> str:
    """Return the value of the header `x-ms-client-principal` for a token with these claims."""
    body = {"auth_typ": "aad", "claims": [{"typ": kind, "val": value} for kind, value in claims]}
    return base64.b64encode(json.dumps(body).encode()).decode()
