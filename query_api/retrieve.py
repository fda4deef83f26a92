"""WADO-RS: the caller's retrieval as a request to the service (PS3.18 §10.4)."""

from __future__ import annotations

import re

from starlette.requests import Request as HttpRequest

from shared.dicomweb import InvalidParameter, Request, Resource, media_types

_FRAMES = re.compile(r"[1-9][0-9]{0,8}(,[1-9][0-9]{0,8})*", re.ASCII)


def dicom(http: HttpRequest) -> Request:
    """A study, a series or an instance, as it is stored."""
    resource = _resource(http)
    default = media_types.INSTANCE if resource.level == "instance" else media_types.INSTANCES
    return _retrieve(http, resource.level, resource.path, _accept(http, default))


def metadata(http: HttpRequest) -> Request:
    """The attributes of a study's, a series' or an instance's instances."""
    resource = _resource(http)
    return _retrieve(http, f"{resource.level} metadata", f"{resource.path}/metadata", media_types.DICOM_JSON)


def frames(http: HttpRequest) -> Request:
    """Frames of an instance: one by itself, several as multipart."""
    numbers = http.path_params["frames"].replace("%2C", ",").replace("%2c", ",")
    if not _FRAMES.fullmatch(numbers):
        raise InvalidParameter("frames must be numbers from 1 on, separated by commas")
    default = media_types.FRAMES if "," in numbers else media_types.FRAME
    return _retrieve(http, "frames", f"{_resource(http).path}/frames/{numbers}", _accept(http, default))


def _resource(http: HttpRequest) -> Resource:
    parameters = http.path_params
    return Resource(parameters["study"], parameters.get("series"), parameters.get("instance"))


def _retrieve(http: HttpRequest, what: str, path: str, accept: str) -> Request:
    passed = {"If-None-Match": value} if (value := http.headers.get("if-none-match")) else {}
    return Request(f"retrieve {what}", "GET", path, accept=accept, headers=passed, statuses=frozenset({200, 304}))


def _accept(http: HttpRequest, default: str) -> str:
    """Return what to ask the service for.

    It answers `*/*` with another form than a plain client expects, and a media type without a transfer syntax with
    406 where there are several instances: what the caller leaves open, we fill in.
    """
    asked = http.headers.get("accept", "")
    if not asked or "*/*" in asked:
        return default
    return ", ".join(_with_transfer_syntax(one) for one in asked.split(","))


def _with_transfer_syntax(media_range: str) -> str:
    media_range = media_range.strip()
    return media_range if "transfer-syntax" in media_range.lower() else f"{media_range}; transfer-syntax=*"
