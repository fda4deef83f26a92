"""Names of blobs and of their versions: what may be one, and what a copy is called (pure)."""

from __future__ import annotations

import hashlib
import re

LONGEST_NAME = 1024  # as `name_length` counts
_ETAG = re.compile(r"[!#-~]{1,128}")  # RFC 9110 §8.8.3, without quotation marks; its length is ours
_SHORTENED = re.compile(r"~[0-9a-f]{64}\Z")


def name_length(name: str) -> int:
    """Return the length of a blob's name as storage counts it: in UTF-16 code units.

    Raises:
        UnicodeEncodeError: it holds half of a surrogate pair, so no blob has this name.
    """
    return len(name.encode("utf-16-le")) // 2


def is_name(value: object) -> bool:
    """Say whether a blob can have this name, and no request for it leads to another blob.

    Clients and storage resolve the segments `.` and `..`, and storage turns a backslash into a slash.
    """
    if not isinstance(value, str) or "\\" in value or not {".", ".."}.isdisjoint(value.split("/")):
        return False
    try:
        return 1 <= name_length(value) <= LONGEST_NAME
    except UnicodeEncodeError:  # half of a surrogate pair
        return False


def bare_etag(value: object) -> str | None:
    """Return a version without the quotation marks that it is sent with; None for what can be no version."""
    bare = value.strip('"') if isinstance(value, str) else ""
    return bare if _ETAG.fullmatch(bare) else None


def with_suffix(name: str, suffix: str) -> str:
    """Append to a blob's name; if it gets too long, a hash of the whole name takes the place of its end.

    No two names become one: a name that looks like a shortened one gets a hash, too, however short it is.
    """
    if name_length(name + suffix) <= LONGEST_NAME and not _SHORTENED.search(name):
        return name + suffix
    ending = f"~{hashlib.sha256(name.encode()).hexdigest()}{suffix}"
    beginning = name.encode("utf-16-le")[: 2 * (LONGEST_NAME - len(ending))]
    return beginning.decode("utf-16-le", "ignore") + ending  # without half of a character


def beginning_of(name: str) -> str:
    """Return what a name begins with from which `with_suffix` may have made this one, before its suffix."""
    return _SHORTENED.sub("", name)


def may_be_shortened(name: str) -> bool:
    """Say whether `with_suffix` may have put a hash into another name, and so have made this one, before its suffix."""
    return _SHORTENED.search(name) is not None


def copy_names(name: str, etag: str) -> tuple[str, str, str]:
    """Return what a copy of a version is called: the first of these names that no other version has.

    The file's own name; `<name>~<etag>`; and the same with a hash, in case a file of that name was dropped.
    """
    digest = hashlib.sha256(f"{name}~{etag}".encode()).hexdigest()[:32]
    return name, with_suffix(name, f"~{etag}"), with_suffix(name, f"~{etag}~{digest}")
