"""What a setting's value must be like: each rule returns the value, or says in a ValueError what is allowed.

No message holds the value: some are secrets.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from pydicom.datadict import tag_for_keyword

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

_HOST = re.compile(r"[A-Za-z0-9.-]+|[0-9a-f:]+")
_API_VERSION = re.compile(r"/v[0-9]+(\.[0-9]+)?(-prerelease)?")
_SUFFIX = re.compile(r"\.[A-Za-z0-9_-]{1,32}")
_CONTAINER = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

# A role's value (Entra ID allows more; none of those who separate here) and a partition's name.
_ROLE = re.compile(r"[A-Za-z0-9._:/-]{1,120}", re.ASCII)
_PARTITION = re.compile(r"\*|[A-Za-z0-9_.-]{1,64}", re.ASCII)
_CALLER = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_FINGERPRINT = re.compile(r"[0-9a-f]{32}", re.ASCII)

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# NCRONTAB: seconds, minutes, hours, days, months, days of the week; least, greatest, names from the least on.
_FIELDS: tuple[tuple[int, int, tuple[str, ...]], ...] = (
    (0, 59, ()),
    (0, 59, ()),
    (0, 23, ()),
    (1, 31, ()),
    (1, 12, _MONTHS),
    (0, 6, _DAYS),
)


def address(value: str) -> str:
    """Require an https address without credentials, query or fragment; http on the same machine only."""
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname or "", parts.port
    except ValueError:  # whose text quotes the value
        raise ValueError("must be an address") from None
    if not _HOST.fullmatch(host) or set(value) & set("?#@<> "):
        raise ValueError("must be an address without credentials, query, fragment or placeholders")
    if parts.scheme != "https" and not (parts.scheme == "http" and host in LOOPBACK_HOSTS):
        raise ValueError("must be an https address (http only on the same machine)")
    return value.rstrip("/")


def service_address(value: str) -> str:
    """Require an address that ends with the version of the DICOM service's API."""
    value = address(value)
    if not _API_VERSION.fullmatch(urlsplit(value).path):
        raise ValueError("must end with the version of the API, /v2")
    return value


def connection_string(value: str) -> str:
    """Require a connection string that names a storage account and how to get in."""
    pairs = [pair.partition("=") for pair in value.rstrip(";").split(";")]
    given = {name.lower() for name, _, text in pairs if text}
    usable = given & {"accountname", "blobendpoint"} and given & {"accountkey", "sharedaccesssignature"}
    if not (usable or "usedevelopmentstorage" in given) or not all(name and equals for name, equals, _ in pairs):
        raise ValueError("must be a connection string: an account or endpoint, and a key or signature")
    return value


def container(value: str) -> str:
    """Require a container's name: 3 to 63 small letters, digits and single dashes."""
    if not 3 <= len(value) <= 63 or not _CONTAINER.fullmatch(value):
        raise ValueError("must be a container's name: 3 to 63 small letters, digits and single dashes")
    return value


def words(value: str) -> list[str]:
    """Return the words of a text, which are separated by spaces or commas."""
    return value.replace(",", " ").split()


def some_of(allowed: Sequence[str], value: object) -> object:
    """Take names from a text, separated by spaces or commas; require each to be one of those that are allowed."""
    if not isinstance(value, str):
        return value
    named = words(value)
    if not named or not set(named) <= set(allowed):
        raise ValueError(f"must be some of {', '.join(allowed)}, separated by spaces")
    return tuple(name for name in allowed if name in named)


def suffixes(value: object) -> object:
    """Take suffixes from a text, separated by spaces or commas; require each to be a dot and letters or digits."""
    if isinstance(value, str):
        value = tuple(words(value.lower()))
    if not isinstance(value, tuple | list) or not value or not all(map(_is_suffix, value)):
        raise ValueError("must be suffixes such as `.dcm .ima`: a dot, then letters, digits, dashes")
    return tuple(str(suffix).lower() for suffix in value)


def caller_partitions(value: object) -> object:
    """Take rules such as `Radiology=site-a,site-b Admin=*`; require each role once, with one partition or more."""
    if not isinstance(value, str):
        return value
    pairs = _pairs(value)
    rules = {role: frozenset(names.split(",")) for role, names in pairs}
    are_good = all(_ROLE.fullmatch(role) and all(map(_PARTITION.fullmatch, names)) for role, names in rules.items())
    if not rules or len(rules) < len(pairs) or not are_good:
        raise ValueError("must be rules such as `Radiology=site-a,site-b Admin=*`, each role once")
    return rules


def callers(value: object) -> object:
    """Take names such as `ris=0123…`; require a fingerprint of 32 hexadecimal digits for each; return them by that."""
    if not isinstance(value, str):
        return value
    pairs = _pairs(value)
    names = {fingerprint: name for name, fingerprint in pairs}
    are_good = all(_CALLER.fullmatch(name) and _FINGERPRINT.fullmatch(one) for one, name in names.items())
    if len(names) < len(pairs) or not are_good:
        raise ValueError("must be names such as `ris=<fingerprint>`, each fingerprint once: 32 hexadecimal digits")
    return names


def object_ids(value: object) -> object:
    """Take object ids from a text, separated by spaces or commas; require each to be a UUID."""
    if not isinstance(value, str):
        return value
    ids = words(value.lower())
    if not all(map(_UUID.fullmatch, ids)):
        raise ValueError("must be object ids, such as `00000000-0000-0000-0000-000000000000`, separated by spaces")
    return frozenset(ids)


def keywords(value: object) -> object:
    """Take keywords of DICOM attributes from a text, separated by spaces or commas."""
    if not isinstance(value, str):
        return value
    named = words(value)
    if not all(map(tag_for_keyword, named)):
        raise ValueError("must be keywords of DICOM attributes, such as `AccessionNumber`, separated by spaces")
    return tuple(dict.fromkeys(named))


def _pairs(value: str) -> list[tuple[str, str]]:
    return [(name, rest) for name, _, rest in (entry.partition("=") for entry in value.replace(";", " ").split())]


def _is_suffix(value: object) -> bool:
    return isinstance(value, str) and _SUFFIX.fullmatch(value) is not None


def schedule(value: str) -> str:
    """Require an NCRONTAB expression of six fields, or of five without the seconds."""
    fields = value.split()
    if not 5 <= len(fields) <= 6 or not all(map(_is_field, fields, _FIELDS[6 - len(fields) :])):
        raise ValueError("must be an NCRONTAB expression of five or six fields, such as `0 0 3 * * *`")
    return value


def _is_field(field: str, limits: tuple[int, int, tuple[str, ...]]) -> bool:
    return all(_is_item(item, *limits) for item in field.split(","))


def _is_item(item: str, least: int, greatest: int, names: tuple[str, ...]) -> bool:
    """Check one item of a field: `*`, `3`, `mon`, `1-5`, each with a step or without."""
    span, slash, step = item.partition("/")
    if slash and not (step.isascii() and step.isdigit() and int(step) >= 1):
        return False
    if span == "*":
        return True
    ends = [_number(end, least, names) for end in span.split("-")]
    return len(ends) <= 2 and all(least <= end <= greatest for end in ends) and ends == sorted(ends)


def _number(text: str, least: int, names: tuple[str, ...]) -> int:
    """Return the number that an item's end stands for; -1 if it is none."""
    if text.isascii() and text.isdigit() and len(text) <= 2:
        return int(text)
    short = text[:3].lower()
    return least + names.index(short) if text.isalpha() and short in names else -1
