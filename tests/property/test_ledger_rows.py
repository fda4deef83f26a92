"""Rows of the ledger: what is stored comes back, in keys and properties that Table storage takes."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime
from string import hexdigits

from azure.data.tables import TableEntity
from hypothesis import given
from hypothesis import strategies as st

from purge_study.ledger.entities import MOST_ACCESSIONS, entity_of, fitted, later, row_of
from purge_study.ledger.keys import counts_of, last_day, month_and_modality, rows_of, study_row
from purge_study.ledger.row import Patient, Reading, Row, StudyKey
from purge_study.ledger.transactions import MOST_OPERATIONS, Change, packed, replacing
from purge_study.policy.facts import Values
from purge_study.policy.policy import Doubt, Judgement, State

TIMES = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))
DAYS = st.dates(date(1, 1, 1), date(9999, 12, 31))
HASHES = st.text(hexdigits.lower(), min_size=8, max_size=8)
KEYS = st.builds(
    StudyKey,
    st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True),
    st.from_regex(r"[0-9.]{0,63}[0-9]", fullmatch=True),
)
PATIENTS = st.builds(Patient, HASHES, HASHES, st.none() | HASHES)
# Whatever a file may hold, characters that have no UTF-8 among them.
VALUES = st.builds(Values, st.frozensets(st.text(st.characters(exclude_categories=())), max_size=3), st.booleans())
READINGS = st.builds(
    Reading,
    st.dictionaries(st.sampled_from(["Modality", "StudyDate", "StudyDescription", "PatientAge"]), VALUES),
    st.none() | PATIENTS,
    st.frozensets(HASHES, max_size=4),
    st.integers(0, 2**31 - 1),
    st.none() | st.text(max_size=20),
    st.frozensets(PATIENTS, max_size=3),
    st.booleans(),
    st.booleans(),
)
JUDGEMENTS = st.builds(
    Judgement,
    st.sampled_from(State),
    st.none() | DAYS,
    st.none() | st.text(max_size=9),
    st.dictionaries(st.text(max_size=9), DAYS, max_size=3),
    st.lists(
        st.builds(
            Doubt, st.text(max_size=9), st.none() | st.text(max_size=9), st.lists(st.text(), max_size=2).map(tuple)
        ),
        max_size=3,
    ).map(tuple),
    st.none() | DAYS,
)
ROWS = st.builds(
    Row,
    KEYS,
    st.none() | TIMES,
    st.none() | READINGS,
    st.none() | JUDGEMENTS,
    st.none() | HASHES,
    st.none() | TIMES,
    st.integers(0, 99),
    st.booleans(),
    st.none() | TIMES,
)


@given(row=ROWS)
def test_what_is_stored_comes_back(row: Row) -> None:
    """Under whichever of its keys, and every key is one that Table storage takes."""
    # Of a row that does not say up to when the feed had told, it is the newest instance that it knows.
    expected = replace(row, told_until=row.told_until or row.received)
    for key in rows_of(row) | counts_of(row):
        assert row_of(entity_of(row, key)) == expected
        assert re.fullmatch(r"[^/\\#?\x00-\x1f\x7f-\x9f]{1,512}", key)


@given(row=ROWS)
def test_never_due_unless_all_is_known(row: Row) -> None:
    """A row under due days was read in full, is there, and was judged to have a last day."""
    day = last_day(row)
    is_due_some_day = any(key.startswith("d:") for key in rows_of(row))
    assert is_due_some_day == (day is not None)
    if day is not None:
        assert row.purged_at is None
        assert row.reading is not None
        assert row.reading.is_whole
        assert row.judgement is not None
        assert row.judgement.state in (State.KEPT, State.DUE)
        (count,) = counts_of(row) - {"c:studies"}
        assert month_and_modality(count)[0] == f"{day}"[:7]


@given(
    reading=READINGS,
    sizes=st.lists(st.integers(0, 40_000), max_size=3),
    accessions=st.integers(0, 60),
    patients=st.integers(0, 120),
)
def test_more_than_the_ledger_can_hold(reading: Reading, sizes: list[int], accessions: int, patients: int) -> None:
    """What does not fit is unknown from then on, and said to be; what fits is left as it is."""
    large = {f"Large{number}": Values(frozenset({"é" * size}), is_complete=True) for number, size in enumerate(sizes)}
    full = replace(
        reading,
        attributes={**reading.attributes, **large},
        accessions=frozenset(map(str, range(accessions))),
        further_patients=frozenset(
            Patient(f"{number:032}", f"{number:032}", f"{number:032}") for number in range(patients)
        ),
    )
    cut = fitted(full)
    assert len(str(entity_of(Row(StudyKey("A", "1"), reading=cut), "s:1:A")["reading"])) < 32_000
    assert len(cut.accessions) <= MOST_ACCESSIONS
    assert len(rows_of(Row(StudyKey("A", "1"), reading=cut))) <= MOST_OPERATIONS // 2 - 5
    assert cut.is_anybodys == (len(cut.further_patients) < len(full.further_patients) or full.is_anybodys)
    assert fitted(cut) == cut
    assert cut == full or not cut.is_whole
    for keyword, values in cut.attributes.items():
        assert values in (full.attributes[keyword], Values())


@given(before=st.none() | ROWS, after=st.none() | ROWS)
def test_a_change_brings_the_one_to_the_other(before: Row | None, after: Row | None) -> None:
    """Carried out on all that stands for the one row, it leaves what stands for the other, and the counts."""
    if before and after:
        after = replace(after, key=before.key)
    key = (before or after or Row(StudyKey("A", "1"))).key
    change = replacing(key, stored(before) if before else None, after)
    table = {row_key: row_key for row_key in (rows_of(before) if before else ())}
    for name, entity, *_ in change.operations:
        assert name in ("delete", "update", "create", "upsert")
        assert (name == "delete") <= (entity["RowKey"] in table)
        assert (name == "create") <= (entity["RowKey"] not in table)
        if name == "delete":
            del table[entity["RowKey"]]
        else:
            table[entity["RowKey"]] = entity["RowKey"]
    assert table.keys() == (rows_of(after) if after else set())
    counts = Counter(counts_of(before) if before else ())
    counts.update(change.counts)
    assert +counts == Counter(counts_of(after) if after else ())


def stored(row: Row) -> TableEntity:
    """Return a row as the table gives it."""
    entity = TableEntity(entity_of(row, study_row(row.key)))
    entity._metadata = {"etag": "1", "timestamp": None}
    return entity


@given(sizes=st.lists(st.integers(1, 90), max_size=30))
def test_transactions_hold_as_many_as_may_be(sizes: list[int]) -> None:
    """No change is torn, none is lost, their order stands, and what counts to nothing is not written."""
    changes = [
        Change(
            tuple(("upsert", {"RowKey": f"{number}"}) for _ in range(size)),
            Counter({"c:studies": (-1) ** number, f"c:{number % 7}": 1}),
        )
        for number, size in enumerate(sizes)
    ]
    transactions = list(packed(changes))
    assert all(len(one.operations) + len(one.counts) <= MOST_OPERATIONS for one in transactions)
    assert [operation for one in transactions for operation in one.operations] == [
        operation for one in changes for operation in one.operations
    ]
    for number in range(len(sizes)):
        holding = [one for one in transactions if ("upsert", {"RowKey": f"{number}"}) in one.operations]
        assert len(holding) == 1
    assert sum(one.counts["c:studies"] for one in transactions) == len(sizes) % 2
    assert all(all(one.counts.values()) for one in transactions)


@given(one=st.none() | TIMES, other=st.none() | TIMES)
def test_later(one: datetime | None, other: datetime | None) -> None:
    """The later time stands, whichever comes first; one that is not known takes none away."""
    found = later(one, other)
    assert found == later(other, one)
    assert found in (one, other)
    assert all(found is not None and found >= time for time in (one, other) if time is not None)


def test_issuers_that_another_version_hashed() -> None:
    """They may be any: the study counts for every patient with the id, whatever the issuer."""
    mine = Reading({}, Patient("a", "b", "c"), frozenset(), 1, None, frozenset({Patient("d", "e", "f")}))
    entity = entity_of(Row(StudyKey("p", "1.2"), reading=mine), "s:1.2")
    document = json.loads(entity["reading"])
    assert row_of(entity).reading == mine
    del document["hashed_as"]
    found = row_of({**entity, "reading": json.dumps(document)}).reading
    assert found is not None
    assert found.all_patients == {Patient("a", "b"), Patient("d", "e")}
