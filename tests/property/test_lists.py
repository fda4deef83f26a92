"""Lists of any content: nothing but their own fault comes of it, and one line more never lets a study go."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from purge_study.ledger.hashing import Hasher
from purge_study.ledger.row import Patient, Reading, Row, StudyKey
from purge_study.lists.anchors import Anchors, read_anchors
from purge_study.lists.holds import COLUMNS, Holds, read_holds
from purge_study.lists.list_memory import ListChanges, ListMemory, compare, to_remember
from purge_study.lists.sheet import ListFault
from purge_study.rulebook.rulebook import Rulebook
from tests.retention import policy

HASHER = Hasher("the key of these tests")
TODAY = date(2026, 3, 5)
POLICY = policy("")
Cells = tuple[str, ...]

# Few, so that they meet; as they are, and as a spreadsheet leaves them.
UIDS = st.sampled_from(["1.2", "1.3", "1.22"])
IDS = st.sampled_from(["12", "0012", "012", "p", "P", "0"])
ISSUERS = st.sampled_from(["", "x", "X", "y"])
DATES = st.sampled_from(["2026-03-05", "20260306", "1999-12-31", "9999-12-31"])
BLANK = st.just("")
RELEASES = st.tuples(st.one_of(BLANK, DATES), st.sampled_from(["", "somebody"]))
HOLD_LINES: st.SearchStrategy[Cells] = (
    st.tuples(st.one_of(BLANK, UIDS), st.one_of(BLANK, IDS), st.one_of(BLANK, IDS), ISSUERS, RELEASES)
    .map(lambda cells: (*cells[:4], *cells[4]))
    .filter(lambda cells: any(cells[:3]))
)
DATE_LINES: st.SearchStrategy[Cells] = st.tuples(IDS, ISSUERS, DATES)
PATIENTS = st.builds(HASHER.patient, IDS, ISSUERS)
ROWS = st.builds(
    lambda uid, patient, others, numbers: Row(
        StudyKey("any", uid),
        reading=Reading({}, patient, frozenset(filter(None, map(HASHER.accession, numbers))), 1, None, others),
    ),
    UIDS,
    st.one_of(st.none(), PATIENTS),
    st.frozensets(PATIENTS, max_size=2),
    st.lists(IDS, max_size=2),
)


def written(columns: Sequence[str], lines: Sequence[Cells], delimiter: str = ",") -> str:
    return "".join(f"{delimiter.join(cells)}\n" for cells in (columns, *lines))


def holds(lines: Sequence[Cells]) -> Holds:
    return read_holds("holds.csv", written(COLUMNS, lines).encode(), HASHER, TODAY)


def anchors(lines: Sequence[Cells]) -> Anchors:
    return read_anchors("dates.csv", written(("patient_id", "issuer", "date"), lines).encode(), HASHER)


def rulebook(hold_lines: Sequence[Cells], date_lines: Sequence[Cells]) -> Rulebook:
    return Rulebook(POLICY, {}, {}, {"held": holds(hold_lines)}, {"seen": anchors(date_lines)})


HEADERS = st.sampled_from([b"", b"patient_id,date\n", b"patient_id;study_instance_uid\n", b"\xff\xfep\0"])
PIECES = st.sampled_from(
    ['"', ",", ";", "\t", "\n", "\r", "#end", "#end,1", "1.2", "P", "\0", "\ufeff", " ", "٣", "2026-01-01"]
)


@given(
    HEADERS,
    st.one_of(st.binary(), st.text().map(str.encode), st.lists(PIECES).map(lambda found: "".join(found).encode())),
)
def test_any_bytes(header: bytes, content: bytes) -> None:
    """They are a list, or a fault of a list; nothing else is raised."""
    with suppress(ListFault):
        read_holds("holds.csv", header + content, HASHER, TODAY)
    with suppress(ListFault):
        read_anchors("dates.csv", header + content, HASHER)


@given(st.lists(HOLD_LINES), st.sampled_from(",;\t"), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_however_it_is_written(lines: list[Cells], delimiter: str, encoding: str) -> None:
    """The delimiter and the encoding are no part of what it says."""
    content = written(COLUMNS, lines, delimiter).encode(encoding)
    assert read_holds("holds.csv", content, HASHER, TODAY) == holds(lines)


@given(st.lists(HOLD_LINES, max_size=6), HOLD_LINES, st.integers(0, 6), ROWS)
def test_a_line_more_lets_nothing_go(lines: list[Cells], line: Cells, place: int, row: Row) -> None:
    """What was held is held, whatever it says and wherever it stands; and the lists agree with their lines."""
    more = holds([*lines[:place], line, *lines[place:]])
    assert more.hold(row) >= holds(lines).hold(row)
    assert more.hold(row) is any(one.matches(row) for one in more.lines if not one.is_released)


@given(st.lists(DATE_LINES, max_size=6), DATE_LINES, PATIENTS, st.booleans())
def test_a_date_more_brings_none_forward(lines: list[Cells], line: Cells, patient: Patient, is_alone: bool) -> None:
    """A patient's date is as late as before, or later, or not known any more."""
    before = anchors(lines).date_of(patient, is_alone=is_alone)
    after = anchors([*lines, line]).date_of(patient, is_alone=is_alone)
    assert before is None or after is None or after >= before


@given(st.lists(DATE_LINES, max_size=6), PATIENTS)
def test_another_patient_takes_dates_away_alone(lines: list[Cells], patient: Patient) -> None:
    """With somebody else whose id is nearly the same, a date may become unknown, never another patient's."""
    alone, beside = (anchors(lines).date_of(patient, is_alone=is_alone) for is_alone in (True, False))
    own = [
        day for one, day in anchors(lines).dates.items() if one.exact == patient.exact and one.has_issuer_of(patient)
    ]
    assert beside == max(own, default=None)
    assert beside is None or (alone is not None and alone >= beside)


@given(st.lists(HOLD_LINES, max_size=6), st.lists(DATE_LINES, max_size=6), HOLD_LINES, DATE_LINES)
def test_lines_more_act_at_once(held: list[Cells], dates: list[Cells], hold: Cells, day: Cells) -> None:
    """They are neither an obstacle nor the reason of a report; without them they are."""
    before, after = rulebook(held, dates), rulebook([*held, hold], [*dates, day])
    changes = compare(to_remember(ListMemory(), before, frozenset()), after)
    assert (changes.obstacles, changes.reports) == ((), ())
    assert compare(to_remember(ListMemory(), after, frozenset()), after) == ListChanges()
    back = compare(to_remember(ListMemory(), after, frozenset()), before)
    assert back.reports == ("list_changed",)
    assert bool(back.obstacles) is not holds([hold]).lines[0].is_released
