"""What a blob's name says before its content is read."""

from __future__ import annotations

import re
from enum import StrEnum

_UNFINISHED = (".part", ".partial", ".tmp", ".filepart")
# Archives and compressed files, and the volumes of split ones (`.z01`, `.r00`). What is not here is ignored.
_ARCHIVE = re.compile(
    r"\.(?:7z|ace|arj|br|bz|bz2|cab|cpio|dmg|gz|iso|lha|lz|lz4|lzh|lzma|lzo|rar|tar|taz|tbz|tbz2|tgz|tlz|txz|tzst"
    r"|wim|xz|z|zip|zipx|zst|[rz][0-9]{2,})\Z"
)
# A letter's position in a name says nothing; a number behind a dot is a counter or the end of a UID.
_SUFFIX = re.compile(r"\.(?=[^.]*\D)[^.]+\Z")


class NameSays(StrEnum):
    """What to do with a blob, by its name."""

    OURS = "ours"
    CONTENT_DECIDES = "content_decides"  # no suffix: `IM0001`, `1.2.840.3`
    TEMPORARY = "temporary"  # somebody is still writing it, or hides it
    ARCHIVE = "archive"
    OTHER = "other"


def what_name_says(name: str, suffixes: tuple[str, ...]) -> NameSays:
    """Say what kind of blob this is; `suffixes` are ours, each with its dot, in lower case."""
    path = name.lower()
    base = path.rstrip("/").rpartition("/")[2]
    if base.endswith(_UNFINISHED) or any(segment.startswith(".") for segment in path.split("/")):
        return NameSays.TEMPORARY
    if base.endswith(suffixes):
        return NameSays.OURS
    if _ARCHIVE.search(base):
        return NameSays.ARCHIVE
    return NameSays.OTHER if _SUFFIX.search(base) else NameSays.CONTENT_DECIDES
