"""A token endpoint of the managed-identity form: `python -m local.identity --port N`.

It answers as App Service does, so that azure-identity runs unchanged against it: GET with `api-version`,
`resource` and the header X-IDENTITY-HEADER. It gives a token for whatever resource it is asked for, with the role
that it is started with, or the one that a request names as `role`, for which App Service has no word.
The environment holds IDENTITY_HEADER, what a caller has to send, and LOCAL_TOKEN_SECRET, the signing key.
"""

from __future__ import annotations

import argparse
import hmac
import json
import os
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from local import tokens
from local.ports import HOST

PATH = "/msi/token"
API_VERSION = "2019-08-01"
LIFETIME_SECONDS = 3600


def url(port: int) -> str:
    """Return what IDENTITY_ENDPOINT has to say for the endpoint on `port`."""
    return f"http://{HOST}:{port}{PATH}"


class Endpoint(ThreadingHTTPServer):
    """The endpoint on a port of the loopback interface."""

    daemon_threads = True

    def __init__(self, port: int, *, header: str, secret: str, role: tokens.Role = "owner") -> None:
        super().__init__((HOST, port), _Handler)
        self.header = header
        self.secret = secret
        self.role = role


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint
    timeout = 60

    def do_GET(self) -> None:
        """Answer a request for a token."""
        status, body = self._answer()
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def _answer(self) -> tuple[HTTPStatus, dict[str, Any]]:
        target = urlsplit(self.path)
        query = parse_qs(target.query)
        if target.path != PATH:
            return HTTPStatus.NOT_FOUND, {"message": "no such path"}
        sent = self.headers.get("X-IDENTITY-HEADER", "")
        if not hmac.compare_digest(sent.encode(), self.server.header.encode()):
            return HTTPStatus.UNAUTHORIZED, {"message": "X-IDENTITY-HEADER is missing or wrong"}
        if query.get("api-version") != [API_VERSION]:
            return HTTPStatus.BAD_REQUEST, {"message": f"api-version has to be {API_VERSION}"}
        resources = query.get("resource", [])
        if len(resources) != 1:
            return HTTPStatus.BAD_REQUEST, {"message": "one resource has to be named"}
        role = query.get("role", [self.server.role])[0]
        if role not in tokens.ROLES:
            return HTTPStatus.BAD_REQUEST, {"message": f"role has to be one of {', '.join(tokens.ROLES)}"}
        return HTTPStatus.OK, self._token(resources[0], role)

    def _token(self, resource: str, role: tokens.Role) -> dict[str, str]:
        expires_on = int(time.time()) + LIFETIME_SECONDS
        token = tokens.issue(self.server.secret, audience=resource, lifetime_seconds=LIFETIME_SECONDS, role=role)
        return {
            "access_token": token,
            "expires_on": str(expires_on),
            "resource": resource,
            "token_type": "Bearer",
        }

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: what a request holds is nobody's business."""


def main() -> None:
    """Serve until a signal ends the process; there is no state to save."""
    parser = argparse.ArgumentParser(description="A token endpoint of the managed-identity form.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--role", choices=tokens.ROLES, default="owner", help="what its tokens allow at the service")
    options = parser.parse_args()
    header, secret = os.environ["IDENTITY_HEADER"], os.environ["LOCAL_TOKEN_SECRET"]
    Endpoint(options.port, header=header, secret=secret, role=options.role).serve_forever()


if __name__ == "__main__":
    main()
