"""A caller that follows the tokens gets each change once, however late a change becomes visible."""

from __future__ import annotations

import base64
import zlib
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from query_api.changes import reading
from query_api.changes.position import EPOCH, Position
from query_api.changes.reading import OVERLAP, Wanted, latest_position, read_on
from query_api.changes.sequences import Sequences
from shared.dicomweb import Change, ChangeAction, ChangeFeed, ChangeState

START = EPOCH + timedelta(days=20_000)
CLOCKS_APART = reading._CLOCKS_APART
LATEST = int(OVERLAP.total_seconds())


@dataclass(frozen=True)
class Entry:
    """A change of one second, in one of two partitions, that is seen some seconds later."""

    second: int
    late: int
    partition: str


class Feed:
    """A feed at a moment: what is visible by then, by time and then by sequence."""

    def __init__(self, entries: list[Entry], *, tells_time: bool = True) -> None:
        self.second = 0
        self.read = 0
        self.tells_time = tells_time
        self._entries = entries

    async def latest_and_time(self) -> tuple[Change | None, datetime | None]:
        """Return the last change that is visible, and the time by a clock that is ahead."""
        now = START + timedelta(seconds=self.second) + CLOCKS_APART if self.tells_time else None
        return (visible[-1] if (visible := self._visible()) else None), now

    async def window(self, start: datetime) -> AsyncGenerator[Change]:
        """Yield what is visible from a time on."""
        for change in self._visible():
            if change.timestamp >= start:
                self.read += 1
                yield change

    def _visible(self) -> list[Change]:
        shown = [one for one in enumerate(self._entries, 1) if one[1].second + one[1].late <= self.second]
        return [change(number, entry) for number, entry in sorted(shown, key=lambda one: (one[1].second, one[0]))]


def change(sequence: int, entry: Entry) -> Change:
    when = START + timedelta(seconds=entry.second)
    return Change(sequence, ChangeAction.CREATE, ChangeState.CURRENT, when, entry.partition, "1.2", "1.3", "1.4")


def of(partition: str | None) -> Wanted:
    """Return what wants the changes of a partition, or all."""
    return lambda change: partition in (None, change.partition_name)


entries = st.builds(Entry, st.integers(0, 600), st.integers(0, LATEST - 1), st.sampled_from(["A", "B"]))


@given(
    st.lists(entries, max_size=40),
    st.lists(st.tuples(st.integers(0, 90), st.integers(1, 5)), max_size=30),
    st.sampled_from([None, "A"]),
    st.booleans(),
    st.sampled_from([1, 3, 10_000]),
)
async def test_each_change_comes_once(
    found: list[Entry], polls: list[tuple[int, int]], partition: str | None, tells_time: bool, most: int
) -> None:
    """However long a caller waits between two questions, and however little it takes or is read at a time."""
    feed = Feed(found, tells_time=tells_time)
    token, told = Position().to_token(), list[int]()
    at_one_time = max(Counter(one.second for one in found).values(), default=0)
    for seconds, limit in [*polls, *[(2 * LATEST, 3)] * (2 * len(found) + 10)]:
        feed.second += seconds
        feed.read = 0
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reading, "_MOST_READ", most)
            page = await read_on(cast(ChangeFeed, feed), Position.from_token(token), limit, of(partition))
        assert feed.read <= max(most, at_one_time) + 1
        token = page.position.to_token()
        assert len(page.changes) <= limit
        told += [change.sequence for change in page.changes]
    assert sorted(told) == [number for number, one in enumerate(found, 1) if partition in (None, one.partition)]


@given(st.lists(entries, max_size=20), st.integers(0, 600))
async def test_from_now_on(found: list[Entry], second: int) -> None:
    """What was there at the beginning is not told, all that appeared since is."""
    feed = Feed(found)
    feed.second = second
    there = {change.sequence for change in feed._visible()}
    position = await latest_position(cast(ChangeFeed, feed))
    feed.second += 1000
    page = await read_on(cast(ChangeFeed, feed), Position.from_token(position.to_token()), 100, of(None))
    assert {change.sequence for change in page.changes} == set(range(1, len(found) + 1)) - there


async def read(feed: Feed, position: Position, limit: int, partition: str | None = None) -> reading.Page:
    """Read on from what a token says of the position; at most so many changes are read as a request may."""
    feed.read = 0
    page = await read_on(cast(ChangeFeed, feed), Position.from_token(position.to_token()), limit, of(partition))
    assert feed.read <= reading._MOST_READ + 1
    return page


async def test_a_quiet_feed_is_not_read_again() -> None:
    """Once nothing can appear any more near its last changes, however many they are."""
    feed = Feed([Entry(0, 0, "A")] * 50)
    page = await read(feed, Position(), 100)
    feed.second = 2 * LATEST + int(CLOCKS_APART.total_seconds())
    page = await read(feed, page.position, 100)
    assert feed.read == 50  # the last time
    page = await read(feed, page.position, 100)
    assert (page.changes, feed.read) == ([], 0)


async def test_an_answer_says_that_there_is_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one without changes, of a partition with none near a busy one."""
    feed = Feed([Entry(second, 0, "A") for second in range(7)])
    feed.second = 1000
    page = await read(feed, Position(), 6)
    assert page.has_more
    page = await read(feed, page.position, 1)
    assert (len(page.changes), page.has_more) == (1, False)
    monkeypatch.setattr(reading, "_MOST_READ", 4)
    for has_more in (True, False):
        page = await read(feed, page.position if not has_more else Position(), 6, "B")
        assert (page.changes, page.has_more) == ([], has_more)


async def test_a_forged_token_does_not_make_a_request_read_the_whole_feed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of changes that the token calls given ends as others do, and the next page goes on behind it."""
    monkeypatch.setattr(reading, "_MOST_READ", 50)
    feed = Feed([Entry(second, 0, "A") for second in range(500)])
    feed.second = 5000
    position, count, has_more = Position(EPOCH, Sequences([(1, 2**62)])), 0, True
    while has_more:
        page = await read(feed, position, 20)
        assert page.changes == []
        assert page.position.start > position.start
        position, has_more, count = page.position, page.has_more, count + 1
        assert count <= 11


async def test_a_crowded_time_is_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are more changes in it than a request reads; each is given once, and so is a late one."""
    monkeypatch.setattr(reading, "_MOST_READ", 50)
    feed = Feed([Entry(second, late, "A") for second in range(100) for late in (0, 0, 110 if second == 50 else 0)])
    feed.second = 100
    page = await read(feed, Position(), 20)
    tokens, found = {page.position.to_token()}, [change.sequence for change in page.changes]
    while page.has_more:
        page = await read(feed, page.position, 20)
        found += [change.sequence for change in page.changes]
        assert page.position.to_token() not in tokens
        tokens.add(page.position.to_token())
    assert sorted(found) == [number for number in range(1, 301) if number != 153]
    feed.second = 165
    for _ in range(10):
        page = await read(feed, page.position, 20)
        found += [change.sequence for change in page.changes]
    assert sorted(found) == list(range(1, 301))


numbers = st.sets(st.integers(1, 300) | st.integers(1, 2**63 - 1), max_size=60)


@given(numbers, numbers)
def test_sequences_are_a_set(added: set[int], left_out: set[int]) -> None:
    """Kept as few ranges as can be, whatever the order."""
    sequences = Sequences()
    for number in [*added, *left_out]:
        sequences.add(number)
    for number in left_out:
        sequences.discard(number)
    expected = added - left_out
    assert all((number in sequences) == (number in expected) for number in added | left_out)
    assert all((number in sequences) == (number in expected) for one in expected for number in (one - 1, one + 1))
    assert len(sequences) == sum(number - 1 not in expected for number in expected)


@given(st.integers(0, 200_000_000_000_000_000), numbers, st.none() | st.integers(1, 50_000_000_000_000_000))
def test_a_token_stands_for_its_position(microseconds: int, told: set[int], more: int | None) -> None:
    """Word for word, in a form that a URL takes as it is."""
    sequences = Sequences()
    for number in told:
        sequences.add(number)
    start = EPOCH + timedelta(microseconds=microseconds)
    position = Position(start, sequences, None if more is None else start + timedelta(microseconds=more))
    again = Position.from_token(position.to_token())
    assert (again.start, list(again.told), again.resume) == (position.start, list(position.told), position.resume)


def test_a_token_has_its_bounds() -> None:
    """Gaps beyond number close from the oldest on, so that all that was told stays told."""
    sequences = Sequences((number, number) for number in range(1000, 400_000, 300))
    token = Position(START, sequences).to_token()
    again = Position.from_token(token).told
    assert len(token) <= 2012
    assert all(number in again for number in range(1000, 400_000, 300))
    assert 399_599 not in again
    assert len(again) > 400


def token_of(content: bytes, form: int = 1) -> str:
    """Return a token with a right checksum."""
    return f"v{form}." + base64.urlsafe_b64encode(content + zlib.crc32(content).to_bytes(4, "big")).decode().rstrip("=")


made_up = st.builds(token_of, st.binary(min_size=1, max_size=60), st.integers(1, 2))


@given(made_up | st.text(max_size=60) | st.from_regex(r"v[12]\.[\w-]{6,50}"))
def test_what_is_no_token_is_a_value_error(token: str) -> None:
    """And what is taken for one has ranges in order, whoever made it."""
    try:
        position = Position.from_token(token)
    except ValueError:
        return
    ranges = list(position.told)
    assert position.start >= EPOCH
    assert position.resume is None or position.resume >= position.start
    assert all(first <= last for first, last in ranges)
    assert all(one[1] < other[0] for one, other in pairwise(ranges))


@given(numbers, st.data())
def test_a_token_that_was_changed_is_none(told: set[int], data: st.DataObject) -> None:
    """A character more, less or other: the checksum tells."""
    token = Position(START, Sequences((number, number) for number in sorted(told))).to_token()
    at = data.draw(st.integers(3, len(token) - 2))
    character = data.draw(st.sampled_from("AZaz09-_"))
    changed = token[:at] + character + token[at + 1 :]
    assume(changed != token)
    with pytest.raises(ValueError, match="not"):
        Position.from_token(changed)
