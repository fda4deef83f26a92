"""What is remembered of lists: which lines were lost or changed since, and which hold nothing any more."""

from __future__ import annotations

from datetime import date

import pytest

from purge_study.ledger.hashing import Hasher
from purge_study.lists.anchors import read_anchors
from purge_study.lists.holds import COLUMNS, read_holds
from purge_study.lists.list_memory import (
    LineKey,
    ListChanges,
    ListMemory,
    compare,
    holding_lines,
    matching,
    to_remember,
)
from purge_study.rulebook.rulebook import Rulebook, RulebookFault
from tests.kit.studies import policy

HASHER = Hasher("the key of these tests")
TODAY = date(2026, 3, 5)
HEADER = ",".join(COLUMNS)
POLICY = policy("")
NOTHING = ListMemory()


def rulebook(*holds: str, dates: str | None = None, end: str = "", **more: str) -> Rulebook:
    """A rulebook with one list of holds, or none, and one of dates; `more` are lists of holds by name."""
    texts = {"main": holds, **{name: (line,) for name, line in more.items()}} if holds or more else {}
    lists = {
        name: read_holds(f"{name}.csv", "\n".join([HEADER, *lines, end]).encode(), HASHER, TODAY)
        for name, lines in texts.items()
    }
    anchors = {"seen": read_anchors("seen.csv", f"patient_id,issuer,date\n{dates}".encode(), HASHER)} if dates else {}
    return Rulebook(POLICY, {}, {}, lists, anchors)


def group(patient_id: str) -> str:
    patient = HASHER.patient(patient_id)
    assert patient is not None
    return patient.group


def remembered(before: Rulebook, matches: frozenset[LineKey] = frozenset()) -> ListMemory:
    return to_remember(NOTHING, before, matches, {})


def all_lines(book: Rulebook) -> frozenset[LineKey]:
    return frozenset(key for key, _ in holding_lines(book))


RELEASED = "2026-03-05,court"
VANISHED = (("hold_vanished",), ("list_changed",))
CHANGED = ((), ("list_changed",))
NO_CHANGE: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (["1.2,,,,,", ",,P1,,,"], ["1.2,,,,,", ",,P1,,,"], NO_CHANGE),
        (["1.2,,,,,", ",,P1,,,"], [",,P1,,,", "1.2,,,,,"], NO_CHANGE),
        (["1.2,A01,0p1,,,"], ["1.2,A01,P1,,,"], NO_CHANGE),
        (["1.2,,,,,"], ["1.2,,,,2026-03-06,court"], NO_CHANGE),
        (["1.2,,,,,"], ["1.2,,,,,", ",,P1,,,"], NO_CHANGE),
        (["1.2,,,,,"], ["1.2,,,,,", "1.2,,,,,"], NO_CHANGE),
        (["1.2,,,,,"], ["1.2,,,,,", f"1.3,,,,{RELEASED}"], NO_CHANGE),
        (["1.2,,,,,"], [f"1.2,,,,{RELEASED}"], CHANGED),
        ([f"1.2,,,,{RELEASED}"], ["1.2,,,,,"], CHANGED),
        ([f"1.2,,,,{RELEASED}", "1.3,,,,,"], ["1.3,,,,,"], CHANGED),
        (["1.2,,,,,", f"1.2,,,,{RELEASED}"], ["1.2,,,,,"], CHANGED),
        (["1.2,,,,,", "1.2,,,,,"], ["1.2,,,,,", f"1.2,,,,{RELEASED}"], CHANGED),
        (["1.2,,,,,", "1.3,,,,,"], ["1.2,,,,,"], VANISHED),
        (["1.2,,,,,"], ["1.3,,,,,"], VANISHED),
        (["1.2,,,,,"], ["1.2,A1,,,,"], VANISHED),
        ([",,P1,,,"], [",,P1,issuer,,"], VANISHED),
        (["1.2,,,,,", "1.2,,,,,"], ["1.2,,,,,"], VANISHED),
        (["1.2,,,,,", f"1.2,,,,{RELEASED}"], [f"1.2,,,,{RELEASED}"], VANISHED),
    ],
)
def test_lines_of_holds(before: list[str], after: list[str], expected: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
    """One that held ends by its own columns alone; one more of whatever kind acts at once."""
    changes = compare(remembered(rulebook(*before)), rulebook(*after))
    assert (changes.obstacles, changes.reports) == expected


def test_where_a_line_was_that_vanished() -> None:
    """It is told by the number that it had."""
    changes = compare(remembered(rulebook("1.2,,,,,", ",,P1,,,")), rulebook("1.2,,,,,"))
    assert changes.vanished == ("main.csv, line 3",)


def test_a_list_that_left_the_policy() -> None:
    """Its lines have vanished, though another list holds the same; released ones count as lost alone."""
    before = rulebook("1.2,,,,,", other="1.2,,,,,", released=f"1.3,,,,{RELEASED}")
    assert compare(remembered(before), rulebook("1.2,,,,,", other="1.2,,,,,")) == ListChanges((), ("list_changed",))
    gone = compare(remembered(before), rulebook("1.2,,,,,", released=f"1.3,,,,{RELEASED}"))
    assert gone.vanished == ("other.csv, line 2",)


def test_a_vanished_line_is_remembered() -> None:
    """Night after night, until it stands there again, or stands there as released."""
    memory, without = remembered(rulebook("1.2,,,,,", "1.3,,,,,")), rulebook("1.2,,,,,")
    for _ in range(3):
        assert compare(memory, without).obstacles == ("hold_vanished",)
        memory = to_remember(memory, without, frozenset(), {})
    assert compare(memory, rulebook("1.3,,,,,", "1.2,,,,,")) == ListChanges()
    released = rulebook("1.2,,,,,", f"1.3,,,,{RELEASED}")
    assert compare(memory, released) == ListChanges((), ("list_changed",))
    assert compare(to_remember(memory, released, frozenset(), {}), released) == ListChanges()


@pytest.mark.parametrize(
    ("before", "after", "is_report", "groups"),
    [
        ("P1,,2020-01-01", "P1,,20200101", False, []),
        ("P1,,2020-01-01", "P1,,2020-01-01\nP2,,2021-01-01", False, ["P2"]),
        ("P1,,2020-01-01", "P1,,2020-01-01\nP1,,2021-01-01", False, ["P1"]),
        ("P1,,2020-01-01", "P1,,2021-01-01", False, ["P1"]),
        ("P1,,2020-01-01", "P1,,2020-01-01\nP1,,2019-01-01", False, []),
        ("P1,,2020-01-01", "P1,,2019-12-31", True, ["P1"]),
        ("P1,,2020-01-01\nP2,,2020-01-01", "P2,,2020-01-01", True, ["P1"]),
        ("P1,,2020-01-01", "P1,issuer,2020-01-01", True, ["P1"]),
        ("0012,,2020-01-01", "12,,2020-01-01", True, ["12"]),
        ("P1,,2020-01-01", "P2,,2020-01-01", True, ["P1", "P2"]),
        ("P1,,9999-12-31", "P1,,2020-01-01", True, ["P1"]),
        ("P1,,1900-01-01", "P1,,2020-01-01", True, ["P1"]),
        ("P1,,1753-01-01", "P1,,1754-01-01", False, []),
        ("P1,,1900-01-01", "P1,,1900-01-01", False, []),
        ("P1,,2020-01-01", "P1,,2020-01-01\nP1,,1900-01-01", False, ["P1"]),
        ("P1,,2020-01-01\nP1,,1900-01-01", "P1,,2020-01-01", True, ["P1"]),
        # A line that may settle whose another one is.
        ("12,,2020-01-01", "12,,2020-01-01\n0012,,2020-01-01", True, ["12"]),
        ("12,x,2020-01-01", "12,x,2020-01-01\n12,,2020-01-01", True, ["12"]),
        ("12,,2020-01-01", "12,,2020-01-01\n12,x,2020-01-01", True, ["12"]),
        ("12,x,2020-01-01", "12,x,2020-01-01\n012,X,2020-01-01", True, ["12"]),
        ("12,x,2020-01-01", "12,x,2020-01-01\n012,y,2020-01-01", False, ["12"]),
    ],
)
def test_dates(before: str, after: str, is_report: bool, groups: list[str]) -> None:
    """Whose studies are to be judged anew; a report if one is lost, put back or known at last, not if it is later."""
    changes = compare(remembered(rulebook(dates=before)), rulebook(dates=after))
    assert changes.reports == (("list_changed",) if is_report else ())
    assert changes.groups == frozenset(map(group, groups))
    assert changes.obstacles == ()


def test_a_memory_of_impossible_dates() -> None:
    """One of another version, which remembered them as they were: only a date that can be is a change."""
    [key] = remembered(rulebook(dates="P1,,2020-01-01")).dates
    memory = ListMemory(dates={key: date(1900, 1, 1)})
    assert compare(memory, rulebook(dates="P1,,1900-01-01")).reports == ()
    assert compare(memory, rulebook(dates="P1,,2020-01-01")).reports == ("list_changed",)


def test_studies_of_nobody() -> None:
    """A list with its first line, or without its last one, says another thing of those that name no patient."""
    empty, some = rulebook(dates="\n"), rulebook(dates="P1,,2020-01-01")
    assert compare(remembered(empty), some).groups == {"", group("P1")}
    assert compare(remembered(some), empty).groups == {"", group("P1")}


def test_before_anything_is_remembered() -> None:
    """All dates are new, and it is a report, for nobody knows what has been lost: whole lists, perhaps."""
    first = ListMemory(is_first=True)
    assert compare(first, rulebook()) == ListChanges((), ("list_changed",))
    assert compare(first, rulebook("1.2,,,,,")) == ListChanges((), ("list_changed",))
    changes = compare(first, rulebook(dates="P1,,2020-01-01"))
    assert changes == ListChanges((), ("list_changed",), (), frozenset([group("P1")]))


def test_a_memory_that_cannot_be_read() -> None:
    """Nothing is deleted, and it stays as it is for people to see."""
    memory = ListMemory(is_readable=False)
    assert compare(memory, rulebook("1.2,,,,,")).obstacles == ("memory_unreadable",)
    assert to_remember(memory, rulebook("1.2,,,,,"), frozenset(), {}) == memory


def test_an_end_that_is_there_no_longer() -> None:
    """A list that had one is cut short without; one that never had need not."""
    memory = remembered(rulebook("1.2,,,,,", end="#end,1"))
    with pytest.raises(RulebookFault, match="list_unfinished") as raised:
        compare(memory, rulebook("1.2,,,,,"))
    assert raised.value.problems == ["main.csv: it has no line #end, as it had before"]
    assert compare(remembered(rulebook("1.2,,,,,")), rulebook("1.2,,,,,", end="#end,1")) == ListChanges()


def test_lines_that_match_nothing() -> None:
    """Each stands in the plan by its number; released ones do not."""
    book = rulebook("1.2,,,,,", f"1.3,,,,{RELEASED}", ",,P1,,,", ",A1,,,,")
    [_, patients, _] = [key for key, _ in holding_lines(book)]
    found = matching(NOTHING, book, frozenset([patients]), {})
    assert found.unmatched == ("main.csv, line 2", "main.csv, line 5")
    assert (found.no_longer, found.obstacles) == ((), ())


def test_a_line_that_matches_nothing_any_more() -> None:
    """It did once, however many nights ago: nothing is deleted until it does again, or is released."""
    book = rulebook("1.2,,,,,", ",,P1,,,")
    memory = remembered(book, all_lines(book))
    for _ in range(3):
        found = matching(memory, book, frozenset(), {})
        assert found.no_longer == ("main.csv, line 2", "main.csv, line 3")
        assert found.obstacles == ("hold_matches_nothing",)
        memory = to_remember(memory, book, frozenset(), {})
    assert matching(memory, book, all_lines(book), {}).obstacles == ()
    released = rulebook(f"1.2,,,,{RELEASED}", f",,P1,,{RELEASED}")
    assert matching(memory, released, frozenset(), {}).obstacles == ()
    again = to_remember(memory, released, frozenset(), {})
    assert matching(again, book, frozenset(), {}).obstacles == ()


def test_nothing_of_a_patients_is_remembered() -> None:
    """Identifiers are hashes there."""
    book = rulebook("1.2,CANARY1,CANARY2,CANARY3,,", dates="CANARY4,CANARY5,2020-01-01")
    assert "CANARY" not in repr(remembered(book)).upper()
