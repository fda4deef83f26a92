"""What a receipt says in the end, in whatever order the runs of a blob's versions come to write it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.probe_uids import ROOT
from store_on_upload.receipts import document as document_module
from store_on_upload.receipts.document import MAX_EARLIER_PROBES, Document, merge
from store_on_upload.receipts.receipt import MAX_SUPERSEDED, Receipt, State, timestamp
from store_on_upload.verdict import Decision, Replaced, Verdict, advice_on

NOW = datetime(2026, 3, 1, tzinfo=UTC)
VERSIONS = st.integers(0, 4)
STORED = (Verdict.STORED, Verdict.STORED_WITH_WARNINGS, Verdict.REPLACED)
IN_SERVICE = (*STORED, Verdict.DUPLICATE)


def receipt_of(version: int, **fields: Any) -> Receipt:
    """Return a receipt of one of a blob's versions, each uploaded a minute after the one before."""
    return Receipt("a.dcm", f"0x{version}", 100, timestamp(NOW.replace(minute=version % 60)), **fields)


WAITING = st.builds(
    receipt_of,
    VERSIONS,
    state=st.sampled_from([State.DEFERRED, State.QUEUED]),
    reason=st.sampled_from(["stopped", "service_busy", "swept"]),
    attempts=st.integers(0, 9),
    due_at=st.just("2026-03-02T00:00:00Z"),
)
DECIDED = st.builds(
    lambda version, verdict, attempts: receipt_of(version, attempts=attempts).decided(
        Decision(
            verdict,
            "refused" if verdict.quarantines else None,
            replaced=Replaced(7, "ab", "a.dcm~0x1") if verdict is Verdict.REPLACED else None,
        ),
        NOW,
    ),
    VERSIONS,
    st.sampled_from(Verdict),
    st.integers(0, 9),
)
RECEIPTS = st.one_of(WAITING, DECIDED)
# A receipt, whether the blob has that version still, whether it is a replay.
WRITES = st.lists(st.tuples(RECEIPTS, st.booleans(), st.booleans()), min_size=1, max_size=12)


def document_of(*writes: tuple[Receipt, bool, bool]) -> Document:
    document = Document(writes[0][0])
    for receipt, is_current, is_replay in writes[1:]:
        document = merge(document, receipt, is_current=is_current, now=NOW, is_replay=is_replay)
    return document


def may_follow(before: Receipt, after: Receipt, is_current: bool, is_replay: bool) -> bool:
    """Say whether a receipt may come after another one of the same version."""
    if not before.is_final or before == after or (before.is_gone and is_current):
        return True
    if not after.is_final:
        return False
    overruled = before.verdict is Verdict.DUPLICATE and after.verdict in STORED
    was_stored = before.verdict not in IN_SERVICE and after.verdict in IN_SERVICE
    return overruled or was_stored or (is_replay and before.verdict not in IN_SERVICE)


@given(writes=WRITES, last=st.tuples(RECEIPTS, st.booleans(), st.booleans()))
def test_a_verdict_stands(writes: list[tuple[Receipt, bool, bool]], last: tuple[Receipt, bool, bool]) -> None:
    """It is replaced by a replay only, or by what shows that the file was stored; no version is ever forgotten.

    That a version is gone is no verdict where it is there.
    """
    before = document_of(*writes)
    after = document_of(*writes, last)
    for one in before.versions:
        found = after.of_version(one.etag)
        assert found is not None
        assert may_follow(one, found, *last[1:]) or (one.state is not State.FINAL and found.reason == "gone")
    assert after.of_version(last[0].etag) is not None
    assert all(one.is_final for one in after.earlier)
    assert len({one.etag for one in after.versions}) == len(after.versions)
    assert list(after.earlier) == sorted(after.earlier, key=lambda one: one.uploaded_at)


@given(writes=WRITES)
def test_to_write_it_twice_changes_nothing(writes: list[tuple[Receipt, bool, bool]]) -> None:
    """The answer to a write may be lost: whoever writes the same once more, finds it done."""
    once = document_of(*writes)
    assert document_of(*writes, writes[-1]) == once


@given(
    receipts=st.lists(DECIDED, min_size=1, unique_by=lambda one: one.etag).flatmap(
        lambda found: st.tuples(st.permutations(found), st.permutations(found))
    )
)
def test_the_order_of_versions_does_not_count(receipts: tuple[list[Receipt], list[Receipt]]) -> None:
    """Runs of several versions end in any order: the newest version's receipt stands, the others are behind it."""
    newest = max(one.etag for one in receipts[0])
    one, other = (document_of(*((found, found.etag == newest, False) for found in order)) for order in receipts)
    assert one == other
    assert one.newest.etag == newest


@given(waiting=st.lists(WAITING.map(lambda one: replace(one, etag="0x0")), max_size=3), stored=st.sampled_from(STORED))
def test_the_order_of_runs_of_one_version_does_not_count(waiting: list[Receipt], stored: Verdict) -> None:
    """Of runs at once one stores, one finds it stored, others refuse it, or all are put off: it counts as stored."""
    verdicts = (stored, Verdict.DUPLICATE, Verdict.GAVE_UP, Verdict.CONFLICT, Verdict.REJECTED)
    runs = [receipt_of(0).decided(Decision(verdict), NOW) for verdict in verdicts]
    for order in ([*waiting, *runs], [*reversed(runs), *waiting], [runs[0], *waiting, *runs[1:]]):
        document = document_of(*((one, True, False) for one in order))
        assert [one.verdict for one in document.versions] == [stored]


@given(verdicts=st.lists(st.sampled_from(Verdict), min_size=1, max_size=12))
def test_older_versions_are_counted(verdicts: list[Verdict]) -> None:
    """However many versions there were, so many are listed and the others are in the counts, each once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(document_module, "MAX_EARLIER", 3)
        document = document_of(
            *(
                (receipt_of(number).decided(Decision(verdict), NOW), True, False)
                for number, verdict in zip(count(), verdicts)
            )
        )
    listed = [one.verdict for one in document.versions]
    assert listed == verdicts[-4:]
    counted = {name: number for name, number in document.dropped.items() if number}
    assert counted == {str(verdict): verdicts[:-4].count(verdict) for verdict in verdicts[:-4]}


@given(verdicts=st.lists(st.sampled_from(Verdict), min_size=2, max_size=9), replays=st.lists(DECIDED, max_size=4))
def test_an_older_version_is_counted_once(verdicts: list[Verdict], replays: list[Receipt]) -> None:
    """However often one is replayed that is no longer listed, the counts stay as they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(document_module, "MAX_EARLIER", 1)
        versions = [receipt_of(number + 5).decided(Decision(verdict), NOW) for number, verdict in enumerate(verdicts)]
        before = document_of(*((one, True, False) for one in [receipt_of(0, verdict=Verdict.REJECTED), *versions]))
        after = before
        for replayed in replays:
            after = merge(after, replace(replayed, etag="0x0"), is_current=False, now=NOW, is_replay=True)
    assert sum(before.dropped.values()) == len(verdicts) - 1
    assert after.dropped == before.dropped


def test_of_probes_fewer_are_listed() -> None:
    """They come for ever, every few minutes; what somebody has dropped under their name is listed as long as any."""
    numbers = range(MAX_EARLIER_PROBES + 10)
    somebodys = receipt_of(0).decided(Decision(Verdict.CONFLICT, "other_bytes"), NOW)
    probes = [
        replace(somebodys, etag=f"0xp{n}", uploaded_at=f"2026-03-02T00:00:{n:02}Z", study_instance_uid=f"{ROOT}.1")
        for n in numbers
    ]
    stored = [replace(one, verdict=Verdict.STORED, reason=None) for one in probes]
    document = document_of((somebodys, True, False), *((one, True, False) for one in stored))
    assert document.versions == (somebodys, *stored[-MAX_EARLIER_PROBES - 1 :])
    assert document.dropped == {"stored": 9}


def test_superseded_verdicts_are_bounded() -> None:
    """A file that is replayed every day has the latest of its verdicts in its receipt."""
    days = [
        receipt_of(0, attempts=day).decided(Decision(Verdict.REJECTED, ("refused", "purged")[day % 2]), NOW)
        for day in range(MAX_SUPERSEDED + 5)
    ]
    document = document_of(*((one, True, True) for one in days))
    assert len(document.newest.superseded) == MAX_SUPERSEDED
    assert document.newest.attempts == MAX_SUPERSEDED + 4


@given(writes=WRITES)
def test_it_is_read_as_it_was_written(writes: list[tuple[Receipt, bool, bool]]) -> None:
    """Through JSON and back, what replays have superseded and the earlier versions included."""
    document = document_of(*writes)
    written = json.loads(json.dumps(document.to_json()))
    assert Document.from_json(written) == document
    newest = document.newest
    assert written.get("advice") == advice_on(newest.verdict, newest.reason, newest.service_code)


ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = sorted(Document(receipt_of(0)).to_json())


@given(changed=st.dictionaries(st.sampled_from(FIELDS), ANYTHING, min_size=1), removed=st.sets(st.sampled_from(FIELDS)))
def test_a_receipt_of_another_form_is_refused(changed: dict[str, Any], removed: set[str]) -> None:
    """Whatever somebody has written there: it is read with the types that it is to have, or refused as one."""
    written = {key: value for key, value in (Document(receipt_of(0)).to_json() | changed).items() if key not in removed}
    try:
        document = Document.from_json(written)
    except (KeyError, TypeError, ValueError):
        return
    assert isinstance(document.newest.attempts, int)
    assert isinstance(document.newest.etag, str)
    assert Document.from_json(json.loads(json.dumps(document.to_json() | {"advice": None}))) == document


@pytest.mark.parametrize("field", ["uploaded_at", "due_at", "failed_at", "stuck_since", "decided_at"])
@pytest.mark.parametrize("time", ["soon", "2026-01-01T00:00:00", ""])
def test_a_receipt_whose_time_is_not_one_is_refused(field: str, time: str) -> None:
    """A sweep that counted with it would end, and find no other file."""
    with pytest.raises(ValueError, match=r"isoformat|zone"):
        Document.from_json(Document(receipt_of(0)).to_json() | {field: time})


@given(written=ANYTHING)
def test_what_is_no_receipt_is_refused(written: Any) -> None:
    """JSON of any other kind."""
    with pytest.raises((KeyError, TypeError, ValueError)):
        Document.from_json(written)


def test_a_replay_does_not_lose_the_name_of_a_copy() -> None:
    """A conflict may name the copy of what a killed run has replaced: the verdict of a replay names it as well."""
    kept = Replaced(7, "ab", "copy.dcm")
    refused = receipt_of(1).decided(Decision(Verdict.CONFLICT, "stored_since", replaced=kept), NOW)
    found = receipt_of(1).decided(Decision(Verdict.DUPLICATE), NOW)
    replayed = document_of((refused, True, False), (found, True, True)).newest
    assert (replayed.verdict, replayed.replaced) == (Verdict.DUPLICATE, kept)
    other = Replaced(7, "cd", "other.dcm")
    replaced = receipt_of(1).decided(Decision(Verdict.REPLACED, replaced=other), NOW)
    assert document_of((refused, True, False), (replaced, True, True)).newest.replaced == other
