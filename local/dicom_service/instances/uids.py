"""The service's UID rule, used for URLs and for datasets alike: looser than PS3.5 §9.1 in leading zeros."""

from __future__ import annotations

import re

from local.dicom_service.web.errors import bad_request

MAX_LENGTH = 64
_UID = re.compile(r"[0-9.]*[0-9]", re.ASCII)


def canonical(uid: str) -> str:
    """Return the form under which a UID is indexed: its padding means nothing."""
    return uid.rstrip(" \0")


def is_valid(uid: str) -> bool:
    """Tell whether the service takes this as a UID."""
    uid = canonical(uid)
    return len(uid) <= MAX_LENGTH and _UID.fullmatch(uid) is not None


def from_path(uid: str, keyword: str) -> str:
    """Return the canonical form of a UID that stands in a URL.

    Raises:
        ServiceError: 400, it is not a UID.
    """
    if not is_valid(uid):
        raise bad_request(f"The {keyword} in the path is not a valid UID.")
    return canonical(uid)
