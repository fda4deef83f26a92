"""CORS as the platform in front of a function app does it; off unless origins are given."""

from __future__ import annotations

from aiohttp import hdrs, web
from multidict import CIMultiDict


class Cors:
    """The allowed origins; `*` allows any."""

    def __init__(self, origins: tuple[str, ...]) -> None:
        self._origins = origins

    def preflight(self, request: web.Request) -> web.Response | None:
        """Answer a preflight; None if the request is none or no origins are configured."""
        is_preflight = (
            request.method == hdrs.METH_OPTIONS
            and hdrs.ORIGIN in request.headers
            and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
        )
        if not self._origins or not is_preflight:
            return None
        # A foreign origin gets the same 204 without the headers: the browser then refuses.
        headers = self.headers(request)
        if headers:
            headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = request.headers[hdrs.ACCESS_CONTROL_REQUEST_METHOD]
            wanted = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS)
            if wanted:
                headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = wanted
        return web.Response(status=204, headers=headers)

    def headers(self, request: web.BaseRequest) -> CIMultiDict[str]:
        """Return what an ordinary response to this request carries."""
        origin = request.headers.get(hdrs.ORIGIN)
        headers: CIMultiDict[str] = CIMultiDict()
        if origin is None or not self._origins:
            return headers
        if "*" in self._origins:
            headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*"
        elif origin in self._origins:
            headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            headers[hdrs.VARY] = hdrs.ORIGIN
        return headers
