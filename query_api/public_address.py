"""The app's address as the caller sees it."""

from __future__ import annotations

import re

from starlette.requests import Request as HttpRequest

# What a host and a path may be made of (RFC 3986 §3.2.2, §3.3); anything else in a header is not used.
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?", re.ASCII)
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]{1,64}){0,8}/?", re.ASCII)


def public_address(http: HttpRequest, route_path: str, public_url: str | None) -> str:
    """Return the address that stands above all routes, such as `https://example.org/api`, without a slash at its end.

    The Functions host tells the address that was called in X-Forwarded headers, and replaces those of a gateway before
    it, which needs the setting if it rewrites the host or the path; what the request itself names is the worker's own.

    Args:
        http: the caller's request.
        route_path: of its route, with parameters in braces: what the path has before it is the app's prefix.
        public_url: the setting PUBLIC_URL.
    """
    if public_url is not None:
        return public_url
    host = _first(http, "x-forwarded-host")
    if not _HOST.fullmatch(host):
        host = http.url.netloc
    scheme = _first(http, "x-forwarded-proto").lower()
    if scheme not in ("http", "https"):
        scheme = http.url.scheme
    prefix = _first(http, "x-forwarded-prefix")
    if not _PREFIX.fullmatch(prefix):
        prefix = ""
    above = _above(http.scope["path"], route_path)
    return f"{scheme}://{host}{prefix.rstrip('/')}{above}"


def _first(http: HttpRequest, header: str) -> str:
    """Return a header's first value: that of the gateway nearest to the caller."""
    return http.headers.get(header, "").partition(",")[0].strip()


def _above(path: str, route_path: str) -> str:
    segments = path.rstrip("/").split("/")
    return "/".join(segments[: len(segments) - len(route_path.split("/"))])
