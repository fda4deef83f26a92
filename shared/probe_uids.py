"""The UID root of the probe's own study, which lookups and retention pass over (pure)."""

from __future__ import annotations

from typing import Final

# PS3.5 §B.2. Made once, of a random UUID: nobody else's UIDs begin so, and ours shall at all times.
ROOT: Final = "2.25.273222574928324865698020323805625758516"

_BELOW = f"{ROOT}."


def is_of_probe(uid: str | None) -> bool:
    """Say whether a UID is of the probe's root."""
    return uid is not None and (uid.startswith(_BELOW) or uid == ROOT)
