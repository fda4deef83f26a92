"""Where a request has the function key, which is the Functions host's: it passes the key on to us with all the rest."""

from __future__ import annotations

from typing import Final

KEY_HEADER: Final = "x-functions-key"
KEY_PARAMETER: Final = "code"


def is_function_key(parameter: str) -> bool:
    """Say whether a parameter of a query, by its name in any case, holds the key."""
    return parameter.lower() == KEY_PARAMETER
