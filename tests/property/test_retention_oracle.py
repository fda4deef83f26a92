"""The app against a second engine that was written from docs/retention.md alone, over random archives.

`ORACLE_STUDIES=50000` compares as many studies; without it, as many as a suite has time for.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword

from purge_study.ledger.entities import entity_of, row_of
from purge_study.ledger.hashing import Hasher
from purge_study.ledger.row import Row, StudyKey
from purge_study.ledger.summing import Summing
from purge_study.lists.anchors import read_anchors
from purge_study.lists.holds import read_holds
from purge_study.lists.sheet import ListFault
from purge_study.policy.policy import State, needed_keywords
from purge_study.policy.reading import PolicyError, read_policy
from purge_study.rulebook.judging import judge_row
from purge_study.rulebook.rulebook import Rulebook
from tests.kit.retention_oracle import Odd, Oracle, Study
from tests.kit.retention_worlds import Maker, World, smaller

HASHER = Hasher("oracle")
CHUNK = 1000
CHUNKS = -(-int(os.environ.get("ORACLE_STUDIES", "5000")) // CHUNK)


class App:
    """The app's answers about a world; `fault` says why nothing in it can be deleted."""

    def __init__(self, world: World) -> None:
        self.fault = ""
        self._today = world.today
        try:
            self._rulebook = _rulebook(world)
        except ListFault as fault:
            self.fault = f"list: {fault.code}"
            return
        self._rows = {id(study): self._row(study) for study in world.studies}

    def why_kept(self, study: Study) -> str:
        """Return why a study is kept, in a word; nothing if it can be deleted."""
        if self.fault:
            return self.fault
        row = self._rows[id(study)]
        assert row.reading
        groups = {patient.group for patient in row.reading.all_patients}
        alike = [
            other
            for other in self._rows.values()
            if other.reading
            and (other.reading.is_anybodys or any(patient.group in groups for patient in other.reading.all_patients))
        ]
        judged = _stored(judge_row(self._rulebook, row, alike, self._today))
        assert judged.judgement
        if judged.judgement.state is not State.DUE:
            return " ".join([judged.judgement.state.value, *sorted(doubt.code for doubt in judged.judgement.doubts)])
        return "held" if self._rulebook.holds_on(judged) else ""

    def _row(self, study: Study) -> Row:
        summing = Summing(needed_keywords(self._rulebook.policy), HASHER)
        for instance in study.instances:
            summing.add(_dicom_json(instance))
        purged_at = datetime(2020, 1, 1, tzinfo=UTC) if study.is_purged else None
        key = StudyKey(study.partition, study.uid)
        return _stored(Row(key, study.received, summing.reading("etag"), purged_at=purged_at))


def _rulebook(world: World) -> Rulebook:
    policy, lists = read_policy(world.text.encode()), world.lists
    holds = {table.name: read_holds(table.list, lists[table.list], HASHER, world.today) for table in policy.hold}
    anchors = {table.name: read_anchors(table.list, lists[table.list], HASHER) for table in policy.anchor}
    return Rulebook(policy, {"policy.toml": "hash"}, {}, holds, anchors)


def _stored(row: Row) -> Row:
    """Return a row as the ledger's table gives it back."""
    return row_of(entity_of(row, "key"))


def _dicom_json(instance: Mapping[str, Any]) -> dict[str, Any]:
    return {
        f"{tag_for_keyword(keyword):08X}": {
            "vr": _vr(keyword, values),
            "Value": [value.value if isinstance(value, Odd) else value for value in values],
        }
        for keyword, values in instance.items()
    }


def _vr(keyword: str, values: list[Any]) -> str:
    """Return the VR of the file that such values come from."""
    vr, value = dictionary_VR(keyword), values[0]
    if isinstance(value, Odd):
        return value.vr
    if isinstance(value, dict):
        return "PN"
    if isinstance(value, int | float):
        return vr if vr in ("DS", "IS") else "DS" if isinstance(value, float) else "IS"
    return vr


def compared(world: World) -> list[tuple[Study, list[str], str]]:
    """Return each study that was not purged, with why the oracle and why the app keep it."""
    oracle, app = Oracle(world.text, world.lists, world.studies, world.today), App(world)
    return [(study, oracle.why_kept(study), app.why_kept(study)) for study in world.studies if not study.is_purged]


def wrong(world: World) -> list[tuple[Study, list[str]]]:
    """Return the studies that the oracle keeps and the app may delete."""
    return [(study, reasons) for study, reasons, kept in compared(world) if reasons and not kept]


def shrunk(world: World) -> World:
    """Return the smallest world that is still wrong, made by leaving out one part after the other."""
    while found := next(filter(_is_wrong, smaller(world)), None):
        world = found
    return world


def _is_wrong(world: World) -> bool:
    try:
        return bool(wrong(world))
    except (PolicyError, LookupError, ValueError):
        return False  # a part that it cannot do without, such as the period of a rule


def in_words(world: World) -> str:
    study, reasons = wrong(world)[0]
    return f"study {study.uid} is deletable, and the oracle keeps it: {', '.join(reasons)}\n{world}"


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_study_that_the_oracle_keeps_is_deletable(chunk: int) -> None:
    """A study that the oracle keeps is not deletable, and of those that it would delete the app deletes most."""
    counts: Counter[str] = Counter()
    refused, seed = 0, chunk * CHUNK
    while counts.total() < CHUNK:
        world = Maker(seed).world()
        try:
            found = compared(world)
        except PolicyError:  # a condition that no study meets
            refused += 1
            found = []
        for _, reasons, kept in found:
            if reasons and not kept:
                pytest.fail(f"seed {seed}: {in_words(shrunk(world))}", pytrace=False)
            counts["kept" if reasons else "kept by the app alone" if kept else "deletable"] += 1
        seed += 1
    assert refused < (seed - chunk * CHUNK) / 10
    assert counts["deletable"] > CHUNK / 10, counts
    assert counts["kept"] > CHUNK / 10, counts
    assert counts["kept by the app alone"] < counts["deletable"] / 10, counts
