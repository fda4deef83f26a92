"""The HTTP functions: each lookup of the route table, and all other paths."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, Response

from shared.settings import trigger_settings

from .answering import look_up, refuse_path
from .lookup import Route
from .routes import ROUTES

blueprint = func.Blueprint()
# Where the platform vouches for who asks, `look_up` refuses whoever it does not vouch for.
_AUTH_LEVEL = func.AuthLevel.FUNCTION if trigger_settings().lookups_ask_for_key else func.AuthLevel.ANONYMOUS

# The host answers 404 to a method that a route does not list, so that the routes list all, to say 405 themselves.
# OPTIONS stays the platform's, which answers preflights.
_ALL_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def _lookup(route: Route) -> Callable[[Request], Awaitable[Response]]:
    async def lookup(req: Request) -> Response:
        return await look_up(req, route)

    return lookup


for _route in ROUTES:
    blueprint.function_name(_route.name)(
        blueprint.route(_route.path, methods=_ALL_METHODS, auth_level=_AUTH_LEVEL)(_lookup(_route))
    )


# The host tries functions in the order of their names: this one's must come last.
@blueprint.route("{*path}", methods=_ALL_METHODS, auth_level=_AUTH_LEVEL)
async def unknown_path(req: Request) -> Response:
    """Answer what no other function takes."""
    return await refuse_path(req)
