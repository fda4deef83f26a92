"""Media types, and what we ask for by resource (PS3.18 §8.7): never `*/*`, which the Azure service answers with 406
or with another form than expected.

`transfer-syntax=*` takes the stored bytes unchanged; without it the service refuses a study of several instances,
even where all are already in the default syntax.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.message import Message
from functools import lru_cache
from typing import Literal, get_args

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2

DICOM = "application/dicom"
DICOM_JSON = "application/dicom+json"
JSON = "application/json"
RELATED = "multipart/related"
OCTET_STREAM = "application/octet-stream"
RenderedMediaType = Literal["image/jpeg", "image/png"]
RENDERED: tuple[str, ...] = get_args(RenderedMediaType)

INSTANCE = "application/dicom; transfer-syntax=*"
INSTANCES = 'multipart/related; type="application/dicom"; transfer-syntax=*'
FRAME = "application/octet-stream; transfer-syntax=*"
FRAMES = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'


@lru_cache(maxsize=64)  # nearly all answers have one of a few
def media_type_of(content_type: str) -> tuple[str, Mapping[str, str]]:
    """Split a Content-Type into the media type in lower case and its parameters (RFC 9110 §8.3.1)."""
    message = Message()
    message["content-type"] = content_type
    try:
        parameters = message.get_params(failobj=[], unquote=True)
    except (TypeError, ValueError):  # continuations (RFC 2231) that are none
        return "", {}
    # A value with a charset (RFC 2231) comes as a tuple; no DICOMweb parameter has one.
    return message.get_content_type(), {name.lower(): value for name, value in parameters[1:] if isinstance(value, str)}


def format_media_type(media_type: str, parameters: Mapping[str, str]) -> str:
    """Put a media type and its parameters together; values are quoted where they must be."""
    return "; ".join([media_type, *(f"{name}={_quote(value)}" for name, value in parameters.items())])


def _quote(value: str) -> str:
    if _TOKEN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
