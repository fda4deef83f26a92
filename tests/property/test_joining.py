"""Hypothesis: names and receipts, joined from pages of any size, whatever the order they are listed in."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from store_on_upload.files.listing import Row
from store_on_upload.sweeping.joining import ReceiptsListed

NOW = datetime(2026, 1, 1, tzinfo=UTC)
# Few letters, so that names meet; some in whose place UTF-8, UTF-16 and languages differ.
NAMES = st.sets(st.text("aBé/-\uff5e\U0001f600", min_size=1, max_size=3), max_size=40)


def in_azurites_order(names: set[str]) -> list[str]:
    return sorted(names, key=lambda name: name.encode("utf-16-be"))


class Pages:
    """A listing of receipts; a name's receipt is of the version `of <name>`."""

    def __init__(self, names: list[str], size: int) -> None:
        self.token: str | None = None
        self.is_at_end = False
        self.read = 0
        self._pages = [names[start : start + size] for start in range(0, len(names), size)] or [[]]

    async def next_page(self) -> list[Row]:
        page = self._pages[self.read]
        self.read += 1
        self.is_at_end = self.read == len(self._pages)
        self.token = None if self.is_at_end else str(self.read)
        metadata = {"state": "final", "disposition": "keep"}
        return [Row(name, "1", 1, NOW, {**metadata, "etag": f"of {name}"}) for name in page]


def join(inbox: list[str], receipts: list[str], inbox_page: int, receipts_page: int) -> tuple[dict[str, str], set[str]]:
    """Return the version of each receipt that was found, and the names that are to be looked up."""
    pages = Pages(receipts, receipts_page)
    joined = ReceiptsListed(pages)
    versions: dict[str, str] = {}
    to_look_up: set[str] = set()
    for start in range(0, len(inbox), inbox_page):
        found = asyncio.run(joined.find(inbox[start : start + inbox_page]))
        versions |= {name: known.etag for name, known in found.known.items() if known}
        to_look_up |= set(found.not_reached)
    assert pages.read <= len(receipts) // receipts_page + 1
    return versions, to_look_up


SIZES = st.integers(1, 70)


@given(NAMES, NAMES, SIZES, SIZES)
def test_in_the_order_of_code_units_each_name_finds_its_receipt(
    inbox: set[str], receipts: set[str], inbox_page: int, receipts_page: int
) -> None:
    """Or is known to need a look-up: none that has a receipt is taken to have none."""
    versions, to_look_up = join(in_azurites_order(inbox), in_azurites_order(receipts), inbox_page, receipts_page)
    assert versions == {name: f"of {name}" for name in (inbox & receipts) - to_look_up}


@given(st.randoms(use_true_random=False), NAMES, NAMES, SIZES, SIZES)
def test_in_any_order_no_name_finds_anothers_receipt(
    random: object, inbox: set[str], receipts: set[str], inbox_page: int, receipts_page: int
) -> None:
    """One that is missed is found when the sweep's own receipt is written."""
    orders = []
    for names in (inbox, receipts):
        order = sorted(names)
        random.shuffle(order)  # type: ignore[attr-defined]  # hypothesis's own kind of Random
        orders.append(order)
    versions, to_look_up = join(orders[0], orders[1], inbox_page, receipts_page)
    assert versions.items() <= {(name, f"of {name}") for name in inbox & receipts}
    assert not to_look_up & versions.keys()
