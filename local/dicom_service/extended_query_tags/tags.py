"""How requests name an attribute: by its keyword, or by its tag as eight hexadecimal digits."""

from __future__ import annotations

import re

from pydicom.datadict import keyword_for_tag, tag_for_keyword

_HEX_TAG = re.compile(r"[0-9A-Fa-f]{8}")


def tag_named(name: str) -> str | None:
    """Return the tag, in upper case, or None if the name is neither; keywords are case-sensitive."""
    if _HEX_TAG.fullmatch(name):
        return name.upper()
    tag = tag_for_keyword(name) if name else None
    # Some entries of pydicom's dictionary share a keyword, or have none; take only those that have their own.
    return f"{tag:08X}" if tag is not None and keyword_for_tag(tag) == name else None
