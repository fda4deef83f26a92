"""What holds for every policy and every study: in doubt a study is kept, and nothing more brings its end nearer."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydicom.datadict import tag_for_keyword

from purge_study.ledger.hashing import Hasher
from purge_study.ledger.row import Row, StudyKey
from purge_study.ledger.summing import Summing
from purge_study.lists.anchors import read_anchors
from purge_study.policy.facts import StudyFacts, Values
from purge_study.policy.model import ANCHORS
from purge_study.policy.policy import Judgement, State, judge, needed_keywords
from purge_study.policy.words import in_words
from purge_study.rulebook.judging import judgement_of
from purge_study.rulebook.rulebook import Rulebook
from tests.kit.studies import values
from tests.property.retention_inputs import (
    ATTRIBUTES,
    LISTS,
    MOMENTS,
    TODAY,
    days,
    life,
    mostly,
    pick,
    policy_of,
    rulebooks,
    rules,
    rules_for,
    rules_of_dates,
    studies,
    timeless,
)


def has_rule(judgement: Judgement) -> bool:
    return all(doubt.code != "no_rule" for doubt in judgement.doubts)


@given(studies(), rulebooks, rules, st.integers(0, 3))
def test_another_rule_never_shortens_a_life(facts: StudyFacts, entries: list[Any], rule: Any, at: int) -> None:
    """Wherever it stands; only a study that no rule was for has an end by it."""
    before = judge(policy_of(*entries), facts, TODAY)
    after = judge(policy_of(*entries[:at], rule, *entries[at:]), facts, TODAY)
    assume(has_rule(before))
    assert life(after) >= life(before)


@given(studies(), rulebooks)
def test_a_hold_list_moves_no_date(facts: StudyFacts, entries: list[Any]) -> None:
    """What is held is looked up elsewhere."""
    holds = [{"name": "litigation", "list": "litigation.csv"}]
    assert judge(policy_of(*entries, hold=holds), facts, TODAY) == judge(policy_of(*entries), facts, TODAY)


@given(studies(), rulebooks, st.sampled_from([*ANCHORS, *LISTS]), st.sampled_from(["from", "from_if_known"]))
def test_another_anchor_never_shortens_a_life(facts: StudyFacts, entries: list[Any], name: str, key: str) -> None:
    """Of any rule, required or not."""
    assume(key == "from" or name in LISTS)
    more = [
        {**entry, key: [*entry.get(key, ANCHORS if key == "from" else ()), name]} if "keep_years" in entry else entry
        for entry in entries
    ]
    assert life(judge(policy_of(*more), facts, TODAY)) >= life(judge(policy_of(*entries), facts, TODAY))


@given(studies(), rulebooks, st.integers(1, 5000), st.sampled_from(["received", *LISTS]), st.booleans())
def test_a_later_anchor_never_brings_the_end_forward(
    facts: StudyFacts, entries: list[Any], later: int, which: str, is_migrated: bool
) -> None:
    """A later reception, or a later date of a list."""
    head = {"time_zone": "UTC", **({"received_counts_from": "20180101"} if is_migrated else {})}
    policy = policy_of(*entries, policy=head)
    moved = facts
    if which == "received" and facts.received:
        moved = replace(facts, received=facts.received + timedelta(later))
    elif which in facts.anchors:
        moved = replace(facts, anchors={**facts.anchors, which: facts.anchors[which] + timedelta(later)})
    before = judge(policy, facts, TODAY)
    # What is unknown may become known, and then has an end.
    assume(before.state is not State.UNKNOWN)
    assert life(judge(policy, moved, TODAY)) >= life(before)


@given(studies(ages=False), st.lists(rules_for(timeless), min_size=1, max_size=3), days, days)
def test_a_later_study_never_brings_the_end_forward(
    facts: StudyFacts, entries: list[Any], one: date, other: date
) -> None:
    """Of the patient, or this one itself, where no rule asks for days and ages."""
    policy = policy_of(*entries)
    birth = {"PatientBirthDate": values("1989-01-01")}

    def dated(day: date) -> StudyFacts:
        found = values(str(day))
        return replace(facts, attributes={**facts.attributes, **birth, "StudyDate": found}, patient_studies=(found,))

    early, late = dated(min(one, other)), dated(max(one, other))
    before = judge(policy, early, TODAY)
    assume(before.state is not State.UNKNOWN)
    assert life(judge(policy, late, TODAY)) >= life(before)
    assert life(judge(policy, replace(early, patient_studies=late.patient_studies), TODAY)) >= life(before)


def without(facts: StudyFacts, which: str, some: int) -> StudyFacts:
    """Return a study of which a value is not known."""
    if which == "received":
        return replace(facts, received=None)
    if which == "patient_studies":
        return replace(facts, patient_studies=None)
    if which == "a study of the patient":
        found = list(facts.patient_studies or ())
        return replace(facts, patient_studies=(*found[:-1], fewer(found[-1], some)) if found else None)
    if which in LISTS:
        return replace(facts, anchors={name: day for name, day in facts.anchors.items() if name != which})
    attributes = {**facts.attributes, which: fewer(facts.attributes[which], some)}
    if some == 0:
        del attributes[which]
    return replace(facts, attributes=attributes)


def fewer(found: Values, some: int) -> Values:
    """Return an attribute's values where some instances have none any more."""
    return Values(frozenset(sorted(found.found)[:some]), False)


UNKNOWABLE = ("received", "patient_studies", "a study of the patient", *LISTS, *ATTRIBUTES)


@settings(max_examples=300)
@given(studies(), rulebooks, st.sampled_from(UNKNOWABLE), st.integers(0, 2))
def test_what_is_no_longer_known_never_deletes(facts: StudyFacts, entries: list[Any], which: str, some: int) -> None:
    """Whichever value it is; but PatientAge, which only bears witness, and dates that count if they are known."""
    assume(not any(which in entry.get("from_if_known", ()) for entry in entries))
    policy = policy_of(*entries)
    before = judge(policy, facts, TODAY)
    after = judge(policy, without(facts, which, some), TODAY)
    assert life(after) >= life(before)


HASHER = Hasher("the key of these tests")
PATIENT_IDS = pick([*["12"] * 8, "0012", "13"])
ISSUERS = pick([*[""] * 6, "x", "y"])
OWN = {
    "PatientID": PATIENT_IDS,
    "StudyDate": mostly(["20080305", "20160305"], ["", "soon", "19000101"]),
    "PatientBirthDate": mostly(["19700404", "20000101"], ["", "19000101"]),
    "Modality": pick(["CT", "MG"]),
    "StudyDescription": pick(["knee", "head and neck"]),
    "InstitutionName": pick(["North", "South"]),
}
INSTANCES = st.fixed_dictionaries({**OWN, "IssuerOfPatientID": ISSUERS})
DATE_LINES = st.tuples(PATIENT_IDS, ISSUERS, mostly(["2010-03-05", "2015-12-31", "2020-02-29"], ["1900-01-01"]))


def alike(instances: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return instances that agree in what is no matter of theirs, so that they are one patient's on one day."""
    shared = {key: instances[0][key] for key in ("PatientID", "IssuerOfPatientID", "StudyDate", "PatientBirthDate")}
    return [{**instance, **shared} for instance in instances]


def row_of(number: int, instances: list[dict[str, str]], received: datetime | None = MOMENTS[0]) -> Row:
    """Return a study of the ledger, with what its instances have."""
    summing = Summing(ATTRIBUTES, HASHER)
    for instance in instances:
        summing.add({f"{tag_for_keyword(key):08X}": {"vr": "LO", "Value": [text]} for key, text in instance.items()})
    return Row(StudyKey("site-a", f"1.{number}"), received, summing.reading(None))


def judged(entries: list[Any], lists: dict[str, list[tuple[str, ...]]], rows: list[Row]) -> Judgement:
    texts = {name: "\n".join(map(",".join, [("patient_id", "issuer", "date"), *lists[name]])) for name in LISTS}
    found = {name: read_anchors(f"{name}.csv", text.encode(), HASHER) for name, text in texts.items()}
    rulebook = Rulebook(policy_of(*entries), {"policy.toml": ""}, {}, anchors=found)
    return judgement_of(rulebook, rows[0], rows, TODAY)


@settings(max_examples=500)
@given(
    st.lists(INSTANCES, min_size=1, max_size=3).map(alike),
    st.lists(INSTANCES, max_size=2),
    st.fixed_dictionaries({name: st.lists(DATE_LINES, max_size=2) for name in LISTS}),
    st.lists(st.one_of(rules, rules_of_dates()), min_size=1, max_size=2),
    pick(["received", "StudyDate of another study", *["PatientID"] * 4, *OWN]),
    pick([3, 3, 1]),
)
def test_a_value_that_is_taken_away_never_deletes(
    instances: list[dict[str, str]],
    others: list[dict[str, str]],
    lists: dict[str, list[tuple[str, ...]]],
    entries: list[Any],
    which: str,
    some: int,
) -> None:
    """From some instances of a study or from all: it goes no sooner, by whatever rules and lists."""
    rest = [row_of(number, [other]) for number, other in enumerate(others, 1)]
    before = judged(entries, lists, [row_of(0, instances), *rest])
    if which == "StudyDate of another study":
        rest = [row_of(number, [{**other, "StudyDate": ""}]) for number, other in enumerate(others, 1)]
    taken = some if which in OWN else 0
    less = [*({**instance, which: ""} for instance in instances[:taken]), *instances[taken:]]
    row = row_of(0, less, None if which == "received" else MOMENTS[0])
    assert life(judged(entries, lists, [row, *rest])) >= life(before)


@given(studies(), rulebooks, days, st.integers(0, 400))
def test_what_is_due_is_beyond_doubt(facts: StudyFacts, entries: list[Any], today: date, least: int) -> None:
    """A rule says so, its last day has passed, and the study has been here for a while."""
    policy = policy_of(*entries, brakes={"min_age_days": least})
    judgement = judge(policy, facts, today)
    assert in_words(policy, judgement)
    if judgement.state is not State.DUE:
        assert judgement.state is not State.KEPT or (judgement.keep_until and today <= judgement.keep_until)
        return
    assert judgement.keep_until is not None
    assert judgement.keep_until < today
    assert judgement.rule in {rule.name for rule in policy.rule}
    assert judgement.dates
    assert not judgement.doubts
    assert facts.received is not None
    assert (today - facts.received.date()).days > (least or -2)


@given(studies(), rulebooks, st.integers(1, 5000))
def test_what_is_due_stays_due(facts: StudyFacts, entries: list[Any], later: int) -> None:
    """As long as nothing becomes known, days to come change nothing."""
    policy = policy_of(*entries)
    judgement = judge(policy, facts, TODAY)
    assume(judgement.state is State.DUE)
    assert judge(policy, facts, TODAY + timedelta(later)) == judgement


@given(studies(), rulebooks)
def test_equal_inputs_equal_judgement(facts: StudyFacts, entries: list[Any]) -> None:
    """In whatever order the study was read."""
    turned = replace(
        facts,
        attributes=dict(reversed(list(facts.attributes.items()))),
        patient_studies=facts.patient_studies and facts.patient_studies[::-1],
        anchors=dict(reversed(list(facts.anchors.items()))),
    )
    assert judge(policy_of(*entries), turned, TODAY) == judge(policy_of(*entries), facts, TODAY)


@given(studies(), rulebooks)
def test_no_attribute_counts_that_is_not_read(facts: StudyFacts, entries: list[Any]) -> None:
    """What judging needs is what it says it needs."""
    policy = policy_of(*entries)
    needed = needed_keywords(policy)
    read = replace(facts, attributes={key: found for key, found in facts.attributes.items() if key in needed})
    assert judge(policy, read, TODAY) == judge(policy, facts, TODAY)
