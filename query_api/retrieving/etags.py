"""Entity tags (RFC 9110 §8.8.3, §13.1.2): quoted for callers, bare for the service, which compares one verbatim."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

# With quotes as the Standard has them, or without as the service has; `W/` says nothing to us.
_TAG = re.compile(r'(?:W/)?"([\x21\x23-\x7e]{0,256})"|(?:W/)?([\x21\x23-\x2b\x2d-\x7e]+)', re.ASCII)
_BARE = re.compile(r"[\x21\x23-\x7e]{1,256}", re.ASCII)


def quoted(etag: str | None) -> str | None:
    """Return the service's tag as a header's value for the caller; None if it cannot be one."""
    bare = (etag or "").removeprefix("W/").strip('"')
    return f'"{bare}"' if _BARE.fullmatch(bare) else None


@dataclass(frozen=True)
class IfNoneMatch:
    """What a caller has already.

    Args:
        tags: bare.
        is_any: whether whatever is there counts as known (`*`).
    """

    tags: tuple[str, ...] = ()
    is_any: bool = False

    @classmethod
    def of(cls, headers: Iterable[str]) -> Self:
        """Read the headers of that name."""
        text = ",".join(headers).strip()
        if text == "*":
            return cls(is_any=True)
        return cls(tuple(filter(None, (match[1] or match[2] for match in _TAG.finditer(text)))))

    @property
    def for_service(self) -> dict[str, str]:
        """What the service is asked with: one tag, which saves it the work; the others are compared with its answer."""
        return {"If-None-Match": self.tags[0]} if self.tags else {}

    def has(self, etag: str | None) -> bool:
        """Say whether the caller has what the service calls by this tag."""
        return self.is_any or quoted(etag) in {f'"{tag}"' for tag in self.tags}
