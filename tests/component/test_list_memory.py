"""The memory of lists in a real storage account, and their lines looked up in a real ledger."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime
from secrets import token_hex

import pytest

from purge_study.ledger.hashing import Hasher
from purge_study.ledger.row import Patient, Reading, Row, StudyKey
from purge_study.lists import matching as lists_matching
from purge_study.lists.anchors import read_anchors
from purge_study.lists.holds import COLUMNS, read_holds
from purge_study.lists.list_memory import ListMemory, compare, holding_lines, matching, to_remember
from purge_study.lists.matching import find_matches, find_patients_of_dates
from purge_study.lists.remembering import recall_lists, remember_lists
from purge_study.rulebook.rulebook import Rulebook
from purge_study.run import OutOfTime, Run
from shared.settings import RETENTION_STATE
from tests.kit.archive import run_over
from tests.kit.studies import policy

TODAY = date(2026, 3, 5)


@pytest.fixture
async def run(azurite: str) -> AsyncIterator[Run]:
    """A run with a ledger of its own."""
    async with run_over(azurite) as run:
        yield run


def rulebook(hasher: Hasher, *lines: str) -> Rulebook:
    holds = read_holds(
        "holds.csv", "\n".join([",".join(COLUMNS), *lines, f"#end,{len(lines)}"]).encode(), hasher, TODAY
    )
    anchors = read_anchors("seen.csv", b"patient_id,issuer,date\nP1,x,2020-01-01\nP2,,9999-12-31\n", hasher)
    return Rulebook(policy(""), {}, {}, {"litigation": holds}, {"last seen": anchors})


def study(hasher: Hasher, uid: str, accession: str = "", patient_id: str = "", issuer: str = "") -> Row:
    accessions = frozenset(filter(None, [hasher.accession(accession)]))
    return Row(StudyKey("any", uid), reading=Reading({}, hasher.patient(patient_id, issuer), accessions, 1, None))


async def test_what_is_remembered_comes_back(run: Run) -> None:
    book = rulebook(run.hasher, "1.2,CANARY1,CANARY2,CANARY3,,", ",,CANARY4,,2026-03-05,CANARY5")
    assert await recall_lists(run.clients, run.hasher) == ListMemory(is_first=True)
    alike = {
        "several": frozenset({Patient("one", "several"), Patient("two", "several", "issuer")}),
        "one": frozenset({Patient("one", "one")}),
    }
    memory = to_remember(ListMemory(), book, frozenset(key for key, _ in holding_lines(book)), alike)
    assert memory.alike == {"several": alike["several"]}
    await remember_lists(run.clients, run.hasher, memory)
    assert await recall_lists(run.clients, run.hasher) == memory
    assert await recall_lists(run.clients, Hasher(token_hex())) == ListMemory(is_first=True)
    blob = run.clients.container(RETENTION_STATE).get_blob_client(f"memory/lists-{run.hasher.key_id}.json")
    assert b"CANARY" not in (await (await blob.download_blob()).readall()).upper()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b'{"holds":{"a":{"b":[1,2]}},"dates":{},"with_end":[]}', b"[" * 100_000, b"\xff"],
    ids=range(7),
)
async def test_a_memory_that_is_none(run: Run, content: bytes) -> None:
    blob = run.clients.container(RETENTION_STATE).get_blob_client(f"memory/lists-{run.hasher.key_id}.json")
    await blob.upload_blob(content)
    memory = await recall_lists(run.clients, run.hasher)
    assert not memory.is_readable
    await remember_lists(run.clients, run.hasher, to_remember(memory, rulebook(run.hasher), frozenset(), {}))
    assert await (await blob.download_blob()).readall() == content


async def test_a_memory_of_an_earlier_version(run: Run) -> None:
    blob = run.clients.container(RETENTION_STATE).get_blob_client(f"memory/lists-{run.hasher.key_id}.json")
    book = rulebook(run.hasher)
    await remember_lists(run.clients, run.hasher, to_remember(ListMemory(), book, frozenset(), {}))
    written = json.loads(await (await blob.download_blob()).readall())
    del written["alike"]
    await blob.upload_blob(json.dumps(written), overwrite=True)
    memory = await recall_lists(run.clients, run.hasher)
    assert compare(replace(memory, dates={}), replace(book, anchors={})).reports == ()
    assert compare(memory, book).reports == ("list_changed",)
    await remember_lists(run.clients, run.hasher, to_remember(memory, book, frozenset(), {}))
    assert compare(await recall_lists(run.clients, run.hasher), book).reports == ()


@pytest.mark.parametrize("rows_at_once", [1, 2, 1000])
async def test_which_lines_match(run: Run, rows_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By any identifier, as they hold; a study that is purged counts, one of another issuer or of nobody does not."""
    monkeypatch.setattr(lists_matching, "_ROWS_AT_ONCE", rows_at_once)
    await run.ledger.write(
        [
            study(run.hasher, "1.1"),
            study(run.hasher, "1.2", "A2"),
            study(run.hasher, "1.3", patient_id="0013", issuer="x"),
            replace(study(run.hasher, "1.4"), purged_at=datetime(2026, 3, 4, tzinfo=UTC)),
        ]
    )
    matching_lines = ["1.1,,,,,", "9.9,0a2,,,,", ",,13,,,", "9.9,A9,13,X,,", "1.4,,,,,", "1.4,,,,,"]
    others = ["9.9,,,,,", ",A9,,,,", ",,13,y,,", ",,1,,,", ",,9,,2026-03-05,C. Counsel"]
    book = rulebook(run.hasher, *matching_lines, *others)
    found = matching(ListMemory(), book, await find_matches(run, book), {})
    assert found.unmatched == tuple(f"holds.csv, line {number}" for number in (8, 9, 10, 11))


async def test_a_line_of_any_patient_of_a_study_of_many_matches(run: Run) -> None:
    names = [f"P{number}" for number in range(14)]
    patients = frozenset(filter(None, map(run.hasher.patient, names)))
    one = study(run.hasher, "1.1")
    assert one.reading
    await run.ledger.write([replace(one, reading=replace(one.reading, further_patients=patients, is_whole=False))])
    for name in (*names, "P14"):
        unmatched = (name not in names) * ("holds.csv, line 2",)
        book = rulebook(run.hasher, f",,{name},,,")
        assert matching(ListMemory(), book, await find_matches(run, book), {}).unmatched == unmatched
        anchors = read_anchors("holds.csv", f"patient_id,date\n{name},2020-01-01\n".encode(), run.hasher)
        dated = Rulebook(policy(""), {}, {}, {}, {"death": anchors})
        assert (await find_patients_of_dates(run, dated, ())).unmatched == unmatched


async def test_neighbours_in_an_index(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists_matching, "_ROWS_AT_ONCE", 2)
    uids = ["1.2", "1.2.0", "1.2.9", "1.20", "1.10", "1.1"]
    await run.ledger.write([study(run.hasher, uid) for uid in uids[:-1]])
    await run.ledger.mark({StudyKey("P", uids[-1]): None})
    book = rulebook(run.hasher, *(f"{uid},,,,," for uid in uids), "1.2.5,,,,,")
    found = matching(ListMemory(), book, await find_matches(run, book), {})
    assert found.unmatched == ("holds.csv, line 8",)


@pytest.mark.parametrize("lines_at_once", [1, 2, 50_000])
async def test_which_dates_match(run: Run, lines_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan names the lines of date lists whose patient has no study; a purged study counts as a match."""
    monkeypatch.setattr(lists_matching, "_LINES_AT_ONCE", lines_at_once)
    await run.ledger.write(
        [
            study(run.hasher, "1.1", patient_id="0011", issuer="x"),
            replace(study(run.hasher, "1.2", patient_id="12"), purged_at=datetime(2026, 3, 4, tzinfo=UTC)),
        ]
    )
    lines = ["P1,x,2020-01-01", "11,,2020-01-01", "", "P2,,2020-01-01", "11,y,2020-01-01", "12,z,2020-01-01"]
    content = "\n".join(["patient_id,issuer,date", *lines, *lines, "0011,X,2020-01-01"]).encode()
    anchors = {
        "seen": read_anchors("seen.csv", content, run.hasher),
        "seen too": read_anchors("seen.csv", content, run.hasher),
        "death": read_anchors("deaths.csv", b"patient_id,date\n11,2020-01-01\nP9,2020-01-01\n", run.hasher),
    }
    book = Rulebook(policy(""), {}, {}, {}, anchors)
    found = await find_patients_of_dates(run, book, ())
    assert found.unmatched == ("seen.csv, line 2", "seen.csv, line 5", "seen.csv, line 6", "deaths.csv, line 3")


@pytest.mark.parametrize("lines_at_once", [1, 50_000])
async def test_patients_with_almost_the_same_id(run: Run, lines_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists_matching, "_LINES_AT_ONCE", lines_at_once)
    alike = [("11", "x"), ("0011", "x"), ("0011", ""), ("12", ""), ("13", ""), ("14", ""), ("014", "")]
    rows = [study(run.hasher, f"1.{n}", "", *patient) for n, patient in enumerate(alike)]
    await run.ledger.write([replace(rows[0], purged_at=datetime(2026, 3, 4, tzinfo=UTC)), *rows[1:]])
    content = "patient_id,date\n" + "".join(f"{one},2020-01-01\n" for one in ("12", "00011", "13", "11"))
    book = Rulebook(policy(""), {}, {}, {}, {"death": read_anchors("deaths.csv", content.encode(), run.hasher)})
    patients = [row.reading.patient for row in rows if row.reading and row.reading.patient]
    found = await find_patients_of_dates(run, book, [patients[3].group])
    assert found.alike == {patients[0].group: frozenset(patients[:3]), patients[3].group: frozenset(patients[3:4])}


async def test_many_dates_that_match_nobody(run: Run) -> None:
    content = "patient_id,date\n" + "".join(f"P{number},2020-01-01\n" for number in range(1234))
    anchors = {"death": read_anchors("deaths.csv", content.encode(), run.hasher)}
    found = await find_patients_of_dates(run, Rulebook(policy(""), {}, {}, {}, anchors), ())
    assert found.unmatched[:20] == tuple(f"deaths.csv, line {number}" for number in range(2, 22))
    assert found.unmatched[20:] == ("deaths.csv: and 1,214 more lines",)


async def test_looking_up_ends_with_the_run(run: Run) -> None:
    with pytest.raises(OutOfTime):
        await find_matches(replace(run, ends_at=0.0), rulebook(run.hasher, "1.1,,,,,"))
