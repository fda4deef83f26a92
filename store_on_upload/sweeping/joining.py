"""The inbox's names and the receipts, joined: two listings in the same order, read side by side.

That order is UTF-16 code units on Azurite, and not stated for Azure. It decides only how much is read: a name that is
found has its receipt, whatever the order; one that is not found gets a receipt that is written on condition that there
is none, and by that the truth comes out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from store_on_upload.files.listing import Row
from store_on_upload.receipts.known import Known

# Reading a page takes as long as looking up so many receipts, many at once; it costs as much as ten.
_LOOK_UPS_A_PAGE = 50
# Receipts read ahead of the names; each some 300 bytes.
_KEPT_AHEAD = 10_000


class Pages(Protocol):
    """A listing, as `Listing` is one."""

    token: str | None
    is_at_end: bool

    async def next_page(self) -> list[Row]:
        """Return the next page."""


@dataclass(frozen=True)
class Found:
    """What the listing of receipts says about some names.

    Args:
        known: name → what its receipt says; a name without a receipt is absent.
        not_reached: names that it would take too many pages to come to: to be looked up one by one.
    """

    known: dict[str, Known | None]
    not_reached: list[str]


class ReceiptsListed:
    """The receipts' listing, read as far as the names that are asked for.

    Attributes:
        token: of the page that was read last, so that a later run has it again.
    """

    def __init__(self, listing: Pages) -> None:
        self.token = listing.token
        self._listing = listing
        self._ahead: OrderedDict[str, Known | None] = OrderedDict()
        self._reached = b""

    async def find(self, names: Sequence[str]) -> Found:
        """Return what is known of names that come after those of the last call.

        Raises:
            TokenRefused: the listing cannot go on where it was to.
            AzureError: storage failed.
        """
        known = {name: self._ahead.pop(name) for name in names if name in self._ahead}
        wanted = set(names) - known.keys()
        pages_left = len(wanted) // _LOOK_UPS_A_PAGE
        while pages_left and self._lacks(wanted):
            pages_left -= 1
            self.token = self._listing.token
            for row in await self._listing.next_page():
                self._take(row, wanted, known)
        not_reached = [name for name in wanted - known.keys() if self._lacks([name])]
        return Found(known, not_reached)

    def _lacks(self, names: Iterable[str]) -> bool:
        """Say whether the listing has not come as far as all these names."""
        return not self._listing.is_at_end and any(_key(name) > self._reached for name in names)

    def _take(self, row: Row, wanted: set[str], known: dict[str, Known | None]) -> None:
        self._reached = max(self._reached, _key(row.name))
        if row.name in wanted:
            known[row.name] = Known.of_row(row)
            return
        self._ahead[row.name] = Known.of_row(row)
        if len(self._ahead) > _KEPT_AHEAD:
            self._ahead.popitem(last=False)


def _key(name: str) -> bytes:
    """Return what names are ordered by: UTF-16 code units."""
    return name.encode("utf-16-be", "surrogatepass")
