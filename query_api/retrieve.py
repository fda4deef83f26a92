"""WADO-RS: the caller's retrieval as a request to the service (PS3.18 §10.4)."""

from __future__ import annotations

import re
from urllib.request import parse_http_list

from starlette.requests import Request as HttpRequest

from shared.dicomweb import InvalidParameter, Request, Resource, media_types
from shared.dicomweb.media_types import format_media_type, media_type_of

_AS_STORED = (media_types.DICOM, media_types.OCTET_STREAM)
_FRAMES = re.compile(r"[1-9][0-9]{0,8}(,[1-9][0-9]{0,8})*", re.ASCII)


def dicom(http: HttpRequest) -> Request:
    """A study, a series or an instance, as it is stored; an instance as a plain file unless asked for otherwise."""
    resource = _resource(http)
    default = media_types.INSTANCE if resource.level == "instance" else media_types.INSTANCES
    return _retrieve(http, resource.level, resource.path, _accept(http, default, media_types.INSTANCES))


def metadata(http: HttpRequest) -> Request:
    """The attributes of a study's, a series' or an instance's instances."""
    resource = _resource(http)
    return _retrieve(http, f"{resource.level} metadata", f"{resource.path}/metadata", media_types.DICOM_JSON)


def frames(http: HttpRequest) -> Request:
    """Frames of an instance, as multipart unless asked for otherwise (PS3.18 §8.7.3.3)."""
    numbers = http.path_params["frames"].replace("%2C", ",").replace("%2c", ",")
    if not _FRAMES.fullmatch(numbers):
        raise InvalidParameter("frames must be numbers from 1 on, separated by commas")
    accept = _accept(http, media_types.FRAMES, media_types.FRAMES)
    return _retrieve(http, "frames", f"{_resource(http).path}/frames/{numbers}", accept)


def _resource(http: HttpRequest) -> Resource:
    parameters = http.path_params
    return Resource(parameters["study"], parameters.get("series"), parameters.get("instance"))


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
