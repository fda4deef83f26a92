"""What a retrieval says beside its UIDs: the query (PS3.18 §8.3.3, §8.3.5), and the numbers of frames."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import unquote, unquote_plus

from query_api.lookup import Adaptation, Lookup
from shared.accept import MediaRange, media_ranges
from shared.dicomweb import InvalidParameter
from shared.function_key import is_function_key
from shared.problems import invalid_parameter

_ACCEPT = "accept"
_FRAMES = re.compile(r"[1-9][0-9]{0,8}(,[1-9][0-9]{0,8})*", re.ASCII)
_QUALITY = re.compile(r"[1-9][0-9]?|100", re.ASCII)

# Of PS3.18 §8.3.5; the service draws without them.
IGNORED = ("annotation", "iccprofile", "viewport", "window")
_OF_PICTURES = ("quality", *IGNORED)


def retrieval_options(lookup: Lookup) -> Mapping[str, str]:
    """Return the parameters of a retrieval of data: `accept`, or none.

    Raises:
        InvalidParameter, Refused: there are others.
    """
    return _options(lookup, (_ACCEPT,))


def picture_options(lookup: Lookup) -> Mapping[str, str]:
    """Return the parameters of a picture, `quality` checked; what the service does not know is left out, and said so.

    Raises:
        InvalidParameter, Refused: one is not valid, there are others, or the caller wants nothing left out.
    """
    options = _options(lookup, (_ACCEPT, *_OF_PICTURES))
    if not _QUALITY.fullmatch(options.get("quality", "100")):
        raise invalid_parameter("quality", "It is a whole number from 1 to 100.")
    for name in IGNORED:
        if name in options:
            lookup.adapt(Adaptation(f"{name}-ignored", f"{name} is ignored: the DICOM service draws without it"))
    return options


def accepted(lookup: Lookup, options: Mapping[str, str]) -> list[MediaRange]:
    """Return what the caller takes, best first: by the query, which outdoes the headers (PS3.18 §8.7.8)."""
    if options.get(_ACCEPT):
        return media_ranges([options[_ACCEPT]])
    return media_ranges(lookup.http.headers.getlist("accept"))


def frame_numbers(lookup: Lookup) -> str:
    """Return the numbers of the frames that the path names, separated by commas.

    Raises:
        InvalidParameter: there is what is none.
    """
    numbers: str = lookup.http.path_params["frames"].replace("%2C", ",").replace("%2c", ",")
    if not _FRAMES.fullmatch(numbers):
        raise InvalidParameter("frames must be numbers from 1 on, separated by commas")
    return numbers


def _options(lookup: Lookup, known: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in filter(None, lookup.http.url.query.split("&")):
        name, _, value = pair.partition("=")
        name = unquote_plus(name).lower()
        if is_function_key(name):
            continue
        if name not in known:
            raise InvalidParameter(f"this retrieval takes no parameters but {', '.join(known)}")
        if name in found:
            raise invalid_parameter(name, "It can be given once.")
        # Not `unquote_plus`: a media type may have a plus.
        found[name] = unquote(value)
    return found
