"""What kind of request a method and a path make: for roles, faults and counts."""

from __future__ import annotations

import re
from typing import Literal, get_args

Kind = Literal["store", "search", "retrieve", "metadata", "frames", "rendered", "delete", "changefeed"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_STUDY = r"/studies/[^/$]+"  # a dollar sign begins the name of an operation
_SERIES = rf"{_STUDY}/series/[^/]+"
_INSTANCE = rf"{_SERIES}/instances/[^/]+"
_SUBJECT = f"{_STUDY}|{_SERIES}|{_INSTANCE}"
_ROUTES: tuple[tuple[Kind, tuple[str, ...], str], ...] = (
    ("store", ("POST", "PUT"), f"/studies|{_STUDY}"),
    ("search", ("GET",), f"(?:{_STUDY}|{_SERIES})?/instances|(?:{_STUDY})?/series|/studies"),
    ("metadata", ("GET",), f"(?:{_SUBJECT})/metadata"),
    ("rendered", ("GET",), f"{_INSTANCE}(?:/frames/[^/]+)?/rendered"),
    ("frames", ("GET",), f"{_INSTANCE}/frames/[^/]*"),
    ("retrieve", ("GET",), _SUBJECT),
    ("delete", ("DELETE",), _SUBJECT),
    ("changefeed", ("GET",), "/changefeed(?:/latest)?"),
)
_PATTERNS = [(kind, methods, re.compile(rf"/v2(?:/partitions/[^/]+)?(?:{path})")) for kind, methods, path in _ROUTES]


def kind_of(method: str, path: str) -> Kind | None:
    """Return the kind of a request; None is any other."""
    method = "GET" if method == "HEAD" else method
    return next((kind for kind, methods, pattern in _PATTERNS if method in methods and pattern.fullmatch(path)), None)
