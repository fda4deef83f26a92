"""Search parameters (PS3.18 §8.3.4, §10.6.1.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import quote, urlencode

from .errors import InvalidParameter

MAX_LIMIT = 200  # the Azure service answers 400 beyond it


@dataclass(frozen=True)
class Query:
    """What to search for, and which page of it.

    Args:
        filters: keyword or tag of eight hexadecimal digits → value; dates may be ranges, `20200101-20201231`.
        includefield: further attributes to return; `all` only by itself.
        fuzzymatching: match the beginnings of the words of a person's name.
        limit: results in a page, 1 to 200; the service's own number (100) if None.
        offset: results to pass over.
    """

    filters: Mapping[str, str] = field(default_factory=dict)
    includefield: Sequence[str] = ()
    fuzzymatching: bool = False
    limit: int | None = None
    offset: int = 0

    def __post_init__(self) -> None:
        if self.limit is not None and not 1 <= self.limit <= MAX_LIMIT:
            raise InvalidParameter(f"limit must be between 1 and {MAX_LIMIT}")
        if self.offset < 0:
            raise InvalidParameter("offset must not be negative")
        if "all" in self.includefield and len(self.includefield) > 1:
            raise InvalidParameter("includefield: all stands by itself")
        if not all(self.filters.values()):
            raise InvalidParameter("a filter must have a value")

    def page(self, offset: int, limit: int) -> Query:
        """Return the same query for another page."""
        return replace(self, offset=offset, limit=limit)

    def encode(self) -> str:
        """Return the query string, without a question mark."""
        pairs = list(self.filters.items())
        pairs += [("includefield", name) for name in self.includefield]
        if self.fuzzymatching:
            pairs.append(("fuzzymatching", "true"))
        if self.limit is not None:
            pairs.append(("limit", str(self.limit)))
        if self.offset:
            pairs.append(("offset", str(self.offset)))
        return urlencode(pairs, quote_via=quote)
