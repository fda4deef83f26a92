"""Lists of any content: nothing but their own fault comes of it, and one line more never lets a study go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from purge_study.ledger.hashing import Hasher
from purge_study.ledger.row import Patient, Reading, Row, StudyKey
from purge_study.lists.anchors import Anchors, read_anchors
from purge_study.lists.holds import COLUMNS, Holds, read_holds
from purge_study.lists.list_memory import ListChanges, ListMemory, compare, to_remember
from purge_study.lists.sheet import ListFault
from purge_study.policy.dates import UNCLEAR
from purge_study.policy.policy import Judgement
from purge_study.rulebook.judging import facts_of, judgement_of
from purge_study.rulebook.rulebook import Rulebook
from tests.kit.studies import policy, values
from tests.property.retention_inputs import LISTS, Table, life, policy_of, rules_of_dates

HASHER = Hasher("the key of these tests")
TODAY = date(2026, 3, 5)
POLICY = policy("")
Cells = tuple[str, ...]

# Few, so that they meet; as they are, and as a spreadsheet leaves them.
UIDS = st.sampled_from(["1.2", "1.3", "1.22"])
IDS = st.sampled_from(["12", "0012", "012", "p", "P", "0"])
ISSUERS = st.sampled_from(["", "x", "X", "y"])
POSSIBLE_DATES = ["2026-03-05", "20260306", "1999-12-31", "2012-01-01", "9999-12-31"]
DATES = st.sampled_from([*POSSIBLE_DATES, "1900-01-01"])
BLANK = st.just("")
RELEASES = st.tuples(st.one_of(BLANK, st.sampled_from(POSSIBLE_DATES)), st.sampled_from(["", "somebody"]))
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


def study_of(number: int, patient: Patient | None) -> Row:
    attributes = {"StudyDate": values("2010-03-05"), "PatientBirthDate": values("1970-04-04"), "Modality": values("CT")}
    received = datetime(2010, 3, 5, tzinfo=UTC)
    return Row(StudyKey("any", f"1.{number}"), received, Reading(attributes, patient, frozenset(), 1, None))


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


@given(st.permutations(["1900-01-01", "2012-01-01", "20260306", "1999-12-31"]), st.integers(1, 4))
def test_the_order_of_lines_does_not_matter(days: list[str], some: int) -> None:
    """An impossible date outranks all others of its patient, wherever it stands."""
    [day] = anchors([("12", "", day) for day in days[:some]]).dates.values()
    latest = max(day.replace("-", "") for day in days[:some])
    assert day == (UNCLEAR if "1900-01-01" in days[:some] else date.fromisoformat(latest))


def judged(entries: list[Table], lists: Mapping[str, Anchors], rows: Sequence[Row]) -> Judgement:
    return judgement_of(Rulebook(policy_of(*entries), {"policy.toml": ""}, {}, anchors=lists), rows[0], rows, TODAY)


def said(lists: Mapping[str, Anchors], rows: Sequence[Row]) -> Mapping[str, date]:
    return facts_of(Rulebook(POLICY, {}, {}, anchors=lists), rows[0], rows).anchors


def demanded(entries: list[Table]) -> set[str]:
    """Return the lists that must have a date for some rule."""
    return {name for entry in entries for name in entry.get("from", ()) if name in LISTS}


@settings(max_examples=500)
@given(
    st.lists(DATE_LINES, max_size=5),
    DATE_LINES,
    st.integers(0, 5),
    st.lists(st.one_of(st.none(), PATIENTS), min_size=1, max_size=4),
    st.lists(rules_of_dates(), min_size=1, max_size=3),
)
def test_a_date_more_brings_no_end_forward(
    lines: list[Cells], line: Cells, place: int, patients: list[Patient | None], entries: list[Table]
) -> None:
    """Of no study, unless the next run is a report; but a rule that must have a date gets one by the first line."""
    before = {name: anchors(lines) for name in LISTS}
    after = {name: anchors([*lines[:place], line, *lines[place:]]) for name in LISTS}
    rows = [study_of(number, patient) for number, patient in enumerate(patients)]
    assume(all(name in said(before, rows) for name in demanded(entries)))
    memory = to_remember(ListMemory(), Rulebook(POLICY, {}, {}, anchors=before), frozenset(), {})
    changes = compare(memory, Rulebook(POLICY, {}, {}, anchors=after))
    one, other = judged(entries, before, rows), judged(entries, after, rows)
    assert life(other) >= life(one) or changes.reports == ("list_changed",)
    whose = patients[0].group if patients[0] else ""
    assert other == one or whose in changes.groups


@settings(max_examples=300)
@given(
    st.lists(DATE_LINES, min_size=1, max_size=5),
    st.integers(0, 4),
    st.one_of(st.none(), DATE_LINES),
    st.lists(st.one_of(st.none(), PATIENTS), min_size=1, max_size=4),
    st.lists(rules_of_dates(), min_size=1, max_size=3),
)
def test_a_date_less_or_another_one_brings_no_end_forward_unnoticed(
    lines: list[Cells], place: int, line: Cells | None, patients: list[Patient | None], entries: list[Table]
) -> None:
    """The next run is a report then."""
    before = {name: anchors(lines) for name in LISTS}
    place %= len(lines)
    after = {name: anchors([*lines[:place], *([line] if line else []), *lines[place + 1 :]]) for name in LISTS}
    rows = [study_of(number, patient) for number, patient in enumerate(patients)]
    assume(all(name in said(before, rows) for name in demanded(entries)))
    memory = to_remember(ListMemory(), Rulebook(POLICY, {}, {}, anchors=before), frozenset(), {})
    changes = compare(memory, Rulebook(POLICY, {}, {}, anchors=after))
    one, other = judged(entries, before, rows), judged(entries, after, rows)
    assert life(other) >= life(one) or changes.reports == ("list_changed",)


@given(st.lists(DATE_LINES, max_size=6), PATIENTS, st.frozensets(PATIENTS, max_size=3))
def test_other_patients_make_a_date_unclear_at_most(
    lines: list[Cells], patient: Patient, others: frozenset[Patient]
) -> None:
    """With others in the ledger a date is never lost, and never one that no line of this patient has."""
    alone, beside = anchors(lines).date_of(patient), anchors(lines).date_of(patient, others)
    assert (alone is None) == (beside is None)
    own = [
        day for one, day in anchors(lines).dates.items() if one.exact == patient.exact and one.has_issuer_of(patient)
    ]
    assert beside is None or beside >= max(own, default=date.min)
    assert beside in (alone, UNCLEAR) or any(other.exact != patient.exact for other in others)


def may_settle(lines: list[Cells], line: Cells) -> bool:
    """Say whether a line has nearly the same patient as another one, and no other line has the very same."""
    [new], known = anchors([line]).dates, anchors(lines).dates
    return new not in known and any(one.group == new.group and one.has_issuer_of(new) for one in known)


@given(st.lists(HOLD_LINES, max_size=6), st.lists(DATE_LINES, max_size=6), HOLD_LINES, DATE_LINES)
def test_lines_more_act_at_once(held: list[Cells], dates: list[Cells], hold: Cells, day: Cells) -> None:
    """They are no obstacle, and a report only if one may settle whose date another is; without them they are."""
    before, after = rulebook(held, dates), rulebook([*held, hold], [*dates, day])
    changes = compare(to_remember(ListMemory(), before, frozenset(), {}), after)
    assert (changes.obstacles, changes.reports) == ((), ("list_changed",) if may_settle(dates, day) else ())
    assert compare(to_remember(ListMemory(), after, frozenset(), {}), after) == ListChanges()
    back = compare(to_remember(ListMemory(), after, frozenset(), {}), before)
    assert back.reports == ("list_changed",)
    assert bool(back.obstacles) is not holds([hold]).lines[0].is_released
