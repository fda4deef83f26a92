"""What is refused before anything is sent; messages name the parameter, never its value."""

from __future__ import annotations

import re

from .errors import InvalidParameter

# Looser than PS3.5 §9.1: the Azure service's documents allow letters and hyphens. Dots alone would change a URL's path.
_UID = re.compile(r"(?!\.+\Z)[A-Za-z0-9.-]{1,64}")
_NUMERIC_UID = re.compile(r"[0-9.]{0,63}[0-9]")


def is_uid(value: object) -> bool:
    """Say whether a value is a UID."""
    return isinstance(value, str) and bool(_UID.fullmatch(value))


def is_numeric_uid(value: str) -> bool:
    """Say whether a UID is one that every version of the service takes: digits and dots, ending in a digit."""
    return bool(_NUMERIC_UID.fullmatch(value))


def check_uid(name: str, value: str) -> str:
    """Return the UID as it stands.

    Raises:
        InvalidParameter: it is none.
    """
    if not is_uid(value):
        raise InvalidParameter(
            f"{name} is not a valid UID: write letters, digits, dots and hyphens, not dots alone, at most 64 characters"
        )
    return value


def check_int(name: str, value: int, lowest: int, highest: int = 2**63 - 1) -> int:
    """Return the number as it stands.

    Raises:
        InvalidParameter: it is no int, or out of its range.
    """
    if type(value) is not int or not lowest <= value <= highest:
        raise InvalidParameter(f"{name} must be an int from {lowest} to {highest}")
    return value
