"""WADO-RS: the caller's retrieval as a request to the service (PS3.18 §10.4)."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from urllib.request import parse_http_list

from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from query_api.lookup import Lookup
from shared.dicomweb import InvalidParameter, Request, media_types
from shared.dicomweb.media_types import format_media_type, media_type_of

from .passing import not_modified, pass_through

_AS_STORED = (media_types.DICOM, media_types.OCTET_STREAM)
_FRAMES = re.compile(r"[1-9][0-9]{0,8}(,[1-9][0-9]{0,8})*", re.ASCII)


async def dicom(lookup: Lookup) -> Response:
    """Answer with a study, a series or an instance, as it is stored; an instance as a plain file unless asked for
    otherwise.
    """
    resource = lookup.resource
    default = media_types.INSTANCE if resource.level == "instance" else media_types.INSTANCES
    accept = _accept(lookup.http, default, media_types.INSTANCES)
    return await _forward(lookup, _retrieve(lookup.http, resource.level, resource.path, accept))


async def metadata(lookup: Lookup) -> Response:
    """Answer with the attributes of a study's, a series' or an instance's instances."""
    resource = lookup.resource
    what = f"{resource.level} metadata"
    return await _forward(lookup, _retrieve(lookup.http, what, f"{resource.path}/metadata", media_types.DICOM_JSON))


async def frames(lookup: Lookup) -> Response:
    """Answer with frames of an instance, as multipart unless asked for otherwise (PS3.18 §8.7.3.3)."""
    numbers = lookup.http.path_params["frames"].replace("%2C", ",").replace("%2c", ",")
    if not _FRAMES.fullmatch(numbers):
        raise InvalidParameter("frames must be numbers from 1 on, separated by commas")
    accept = _accept(lookup.http, media_types.FRAMES, media_types.FRAMES)
    return await _forward(lookup, _retrieve(lookup.http, "frames", f"{lookup.resource.path}/frames/{numbers}", accept))


async def _forward(lookup: Lookup, request: Request) -> Response:
    async with AsyncExitStack() as upstream:
        answer = await upstream.enter_async_context(lookup.dicom.send(request))
        if answer.status_code == 304:
            return not_modified(answer)
        response = await pass_through(upstream, answer, request.accept)
    return response  # noqa: RET504  (inside, mypy would miss a return: the stack may swallow exceptions)


def _retrieve(http: HttpRequest, what: str, path: str, accept: str) -> Request:
    passed = {"If-None-Match": value} if (value := http.headers.get("if-none-match")) else {}
    return Request(f"retrieve {what}", "GET", path, accept=accept, headers=passed, statuses=frozenset({200, 304}))


def _accept(http: HttpRequest, default: str, multipart: str) -> str:
    """Return what to ask the service for: what the caller asks for, with what it leaves open filled in.

    The service answers a wildcard with a form that depends on the resource, and a media type without a transfer
    syntax with 406 where there are several instances.
    """
    ranges = parse_http_list(", ".join(http.headers.getlist("accept")))
    return ", ".join(_fill_in(one, default, multipart) for one in ranges if one) or default


def _fill_in(media_range: str, default: str, multipart: str) -> str:
    media_type, asked = media_type_of(media_range)
    if media_type == "*/*":
        media_type, filled = media_type_of(default)
    elif media_type == "multipart/related" and asked.get("type", "*/*").lower() in ("*/*", *_AS_STORED):
        filled = media_type_of(multipart)[1]
        asked = {name: value for name, value in asked.items() if (name, value) != ("type", "*/*")}
    elif media_type in _AS_STORED:
        filled = {"transfer-syntax": "*"}
    else:
        return media_range
    return format_media_type(media_type, filled | asked)
