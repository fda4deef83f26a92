"""WADO-RS: the caller's retrieval as a request to the service (PS3.18 §10.4)."""

from __future__ import annotations

import re

from starlette.requests import Request as HttpRequest

from shared.dicomweb import InvalidParameter, Request, Resource, media_types
from shared.dicomweb.multipart import media_type_of

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
    """Return what to ask the service for.

    It answers a wildcard with a form that depends on the resource, and a media type without a transfer syntax with
    406 where there are several instances: what the caller leaves open, we fill in.
    """
    asked = [one.strip() for one in ",".join(http.headers.getlist("accept")).split(",") if one.strip()]
    filled = [_fill_in(one, default, multipart) for one in asked]
    return default if not filled or default in filled else ", ".join(filled)


def _fill_in(media_range: str, default: str, multipart: str) -> str:
    media_type, parameters = media_type_of(media_range)
    if media_range.startswith("*/*"):
        return default
    if media_type == "multipart/related" and parameters.get("type", "*/*") == "*/*":
        return multipart
    return media_range if "transfer-syntax" in parameters else f"{media_range}; transfer-syntax=*"
