"""Studies of the ledger judged with their patient's others: lists that are unclear, and birth dates that disagree."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

import pytest

from purge_study.ledger.hashing import Hasher
from purge_study.ledger.row import Patient, Reading, Row, StudyKey
from purge_study.lists.anchors import read_anchors
from purge_study.policy.facts import Values
from purge_study.policy.policy import Doubt, Judgement, State
from purge_study.policy.words import in_words
from purge_study.rulebook.judging import judgement_of
from purge_study.rulebook.rulebook import Rulebook
from purge_study.run import today_of
from shared import clock
from tests.kit.studies import policy, values

HASHER = Hasher("the key of these tests")
TODAY = date(2026, 3, 6)
RECEIVED = datetime(2010, 3, 5, 12, tzinfo=UTC)
RULE = """
[[anchor]]
name = "death"
list = "deaths.csv"
max_age_days = 31
[[rule]]
name = "all"
keep_years = 8
from = ["study_date"{0}]
from_if_known = [{1}]
"""
UNCLEAR = "unclear"


def patient(patient_id: str, issuer: str = "") -> Patient | None:
    return HASHER.patient(patient_id, issuer)


def study(number: int, whose: Patient | None, **attributes: Values) -> Row:
    found = {"StudyDate": values("2010-03-05"), "PatientBirthDate": Values(), **attributes}
    return Row(StudyKey("any", f"1.{number}"), RECEIVED, Reading(found, whose, frozenset(), 1, None))


def judged(
    lines: Sequence[str], whose: Patient | None, others: Sequence[Patient | None], named: Sequence[str]
) -> Judgement:
    """Judge a study by a list of dates; its rule counts from the study date and from what the list has."""
    content = "\n".join(["patient_id,issuer,date", *lines]).encode()
    rules = policy(RULE.format(*named))
    rulebook = Rulebook(rules, {"policy.toml": ""}, {}, anchors={"death": read_anchors("deaths.csv", content, HASHER)})
    rows = [study(number, other) for number, other in enumerate([whose, *others])]
    return judgement_of(rulebook, rows[0], rows, TODAY)


def said(judgement: Judgement) -> str:
    """Return what a list said of a patient, as far as the judgement shows it."""
    if judgement.doubts == (Doubt("unclear", "all", ("death",)),):
        return UNCLEAR
    if judgement.doubts == (Doubt("undated", "all", ("death",)),):
        return "nothing"
    assert judgement.doubts == ()
    return str(judgement.dates.get("death", "nothing"))


@pytest.mark.parametrize("named", [(', "death"', ""), ("", '"death"')], ids=["from", "from_if_known"])
@pytest.mark.parametrize(
    ("lines", "whose", "others", "expected"),
    [
        # Nobody's, somebody else's, one's own.
        ([], ("4711",), [], "nothing"),
        (["4712,,2020-06-01"], ("4711",), [], "nothing"),
        (["4711,x,2020-06-01"], ("4711", "y"), [], "nothing"),
        (["4711,,2020-06-01"], ("4711",), [("0004711",)], "2020-06-01"),
        # Without its zeros, or in other letters: certain only if no other patient has such an id, and no other line.
        (["4711,,2020-06-01"], ("0004711",), [], "2020-06-01"),
        (["4711,,2020-06-01"], ("0004711",), [("0004711",)], "2020-06-01"),
        (["4711,,2020-06-01"], ("0004711",), [("4712",)], "2020-06-01"),
        (["4711,,2020-06-01"], ("0004711",), [("4711",)], UNCLEAR),
        (["4711,,2020-06-01"], ("0004711",), [("004711",)], UNCLEAR),
        (["p1,,2020-06-01"], ("P1",), [("p1",)], UNCLEAR),
        (["4711,,2020-06-01", "04711,,2021-06-01"], ("0004711",), [], UNCLEAR),
        # With a line of its own, one that is nobody's counts as well, and one that is another patient's does not.
        (["0004711,,2020-06-01", "4711,,2021-06-01"], ("0004711",), [], "2021-06-01"),
        (["0004711,,2020-06-01", "4711,,2021-06-01"], ("0004711",), [("004711",)], "2021-06-01"),
        (["0004711,,2020-06-01", "4711,,2021-06-01"], ("0004711",), [("4711",)], "2020-06-01"),
        # Without an issuer: certain only if the ledger and the list have no two.
        (["P1,,2020-06-01"], ("P1", "x"), [("P1",)], "2020-06-01"),
        (["P1,,2020-06-01"], ("P1", "x"), [("p1", "y")], UNCLEAR),
        (["P1,,2020-06-01"], ("P1", "x"), [("P1", "y")], UNCLEAR),
        (["P1,,2020-06-01"], ("P1",), [("P1", "x"), ("P1", "y")], UNCLEAR),
        (["P1,,2020-06-01", "P1,y,2020-06-01"], ("P1", "x"), [], UNCLEAR),
        (["P1,x,2020-06-01"], ("P1",), [], "2020-06-01"),
        (["P1,x,2020-06-01", "P1,y,2021-06-01"], ("P1",), [], UNCLEAR),
        (["P1,x,2020-06-01"], ("P1",), [("P1", "y")], UNCLEAR),
        (["P1,49,2020-06-01"], ("P1", "0049"), [("P1", "y")], "2020-06-01"),
        (["4711,A,2011-01-01", "0004711,B,2011-01-01"], ("0004711",), [("4711",)], UNCLEAR),
        (["P1,x,2020-06-01", "P1,,2021-06-01"], ("P1", "x"), [("P1", "y")], "2021-06-01"),
        # An impossible date outranks all others, in whatever order.
        (["P1,,1900-01-01"], ("P1",), [], UNCLEAR),
        (["P1,,1899-12-30"], ("P1",), [], UNCLEAR),
        (["P1,,1904-01-01", "P1,,2011-06-01"], ("P1",), [], UNCLEAR),
        (["P1,,1970-01-01"], ("P1",), [], UNCLEAR),
        (["P1,,1970-01-02"], ("P1",), [], "1970-01-02"),
        (["P1,,1900-01-01", "P1,,2011-06-01"], ("P1",), [], UNCLEAR),
        (["P1,,2011-06-01", "P1,,1895-11-07"], ("P1",), [], UNCLEAR),
        (["P1,,2011-06-01", "P1,x,0001-01-01"], ("P1", "x"), [], UNCLEAR),
        (["P1,,1800-01-01", "P1,,2026-12-01"], ("P1",), [], UNCLEAR),
        # Nobody can tell which line is about a study without a PatientID.
        (["P1,,2011-06-01"], ("",), [], UNCLEAR),
        ([], ("",), [], "nothing"),
    ],
)
def test_what_a_list_says_of_a_patient(
    lines: list[str], whose: tuple[str, ...], others: list[tuple[str, ...]], expected: str, named: tuple[str, str]
) -> None:
    """Nothing, a date, or that it is unclear: then the study is kept, whether the rule must have the date or not."""
    known = [patient(*other) for other in others]
    for order in (lines, lines[::-1]):
        judgement = judged(order, patient(*whose), known, named)
        assert said(judgement) == expected
        assert (judgement.state is State.UNKNOWN) == (expected == UNCLEAR or (expected == "nothing" and bool(named[0])))


def test_what_is_to_be_corrected() -> None:
    """The words name the list, and no value."""
    judgement = judged(["P1,,1900-01-01"], patient("P1"), [], ("", '"death"'))
    assert in_words(policy(RULE.format("", '"death"')), judgement) == (
        "kept, until somebody looks at it: rule all counts from death, and what the list says of this patient is "
        "unclear: a line has an impossible date such as 1900-01-01, or may be about another patient; correct its date, "
        "patient_id or issuer, or the study's PatientID if it has none"
    )


ADULTS = '[[rule]]\nname = "adults"\nwhen = { age_at_study_from = 18 }\nkeep_years = 8\nfrom = ["study_date"]\n'
BOOK = Rulebook(
    policy(ADULTS, head='time_zone = "UTC"\nplaceholder_birth_dates = ["19010203"]'), {"policy.toml": ""}, {}
)


def other_study(whose: Patient | None, *births: str, **more: object) -> Row:
    row = study(2, whose, PatientBirthDate=values(*births) if births else Values())
    return Row(row.key, RECEIVED, row.reading, **more)  # type: ignore[arg-type]  # fields of a row


@pytest.mark.parametrize(
    ("other", "is_believed"),
    [
        (other_study(patient("P1", "x"), "1980-06-15"), True),
        (other_study(patient("P1", "x"), "2000-06-15"), False),
        (other_study(patient("P1"), "2000-06-15"), False),
        (other_study(patient("P1", "x"), "2000-06-15", purged_at=RECEIVED), False),
        (other_study(patient("P1", "x"), "1980-06-15", "2000-06-15"), False),
        (other_study(patient("P1", "x"), "2011-01-01"), False),  # after this study
        # Another patient's, and what is no birth date.
        (other_study(patient("P1", "y"), "2000-06-15"), True),
        (other_study(patient("p1", "x"), "2000-06-15"), True),
        (other_study(patient("P1", "x")), True),
        (other_study(patient("P1", "x"), "1900-01-01"), True),
        (other_study(patient("P1", "x"), "1901-02-03"), True),
        (other_study(patient("P1", "x"), "1753-01-01"), False),  # no placeholder that the policy names
        # A value that is no day may be another birth date.
        (other_study(patient("P1", "x"), "2000"), False),
        (other_study(patient("P1", "x"), "1980.06.15"), False),
        (other_study(patient("P1", "x"), "19800600"), False),
        (other_study(patient("P1", "x"), "1980-06-15", "unknown"), False),
        (other_study(patient("P1", "y"), "2000"), True),
    ],
    ids=range(17),
)
def test_birth_dates_of_a_patients_studies(other: Row, is_believed: bool) -> None:
    """They must agree; a study that names none, or a placeholder, contradicts none."""
    row = study(1, patient("P1", "x"), PatientBirthDate=values("1980-06-15"))
    judgement = judgement_of(BOOK, row, [row, other], TODAY)
    assert judgement.state is (State.DUE if is_believed else State.UNKNOWN)
    assert judgement.doubts == (() if is_believed else (Doubt("unknown", "adults", ("PatientBirthDate",)),))


def test_birth_dates_that_are_not_read_yet() -> None:
    """Another study that was read for a policy without ages, or has more than a row can hold, may contradict."""
    row = study(1, patient("P1"), PatientBirthDate=values("1980-06-15"))
    # Of the last one, an instance has a birth date that cannot be read.
    for attributes, is_whole in (
        ({}, True),
        ({"PatientBirthDate": Values()}, False),
        ({"PatientBirthDate": values("1980-06-15", None)}, False),
    ):
        other = Row(
            StudyKey("any", "1.2"),
            RECEIVED,
            Reading(attributes, patient("P1"), frozenset(), 1, None, is_whole=is_whole),
        )
        assert judgement_of(BOOK, row, [row, other], TODAY).state is State.UNKNOWN


def test_a_birth_date_of_nobody() -> None:
    """Without a PatientID, nobody can tell which other studies would have to agree."""
    row = study(1, None, PatientBirthDate=values("1980-06-15"))
    assert judgement_of(BOOK, row, [row], TODAY).doubts == (Doubt("unknown", "adults", ("PatientBirthDate",)),)


LAST = '[[rule]]\nname = "all"\nkeep_years = 8\nfrom = ["patient_last_study"]\n'
BORN = {"PatientBirthDate": values("1980-06-15")}
LATER = {"StudyDate": values("2025-01-01")}
CHILD = {"PatientBirthDate": values("2000-06-15")}


@pytest.mark.parametrize(
    ("rules", "before", "after"),
    [
        (LAST, [study(1, patient("P1")), study(2, patient("P1"), **LATER)], [study(1, patient("P1")), study(2, None)]),
        (
            ADULTS,
            [study(1, patient("P1"), **BORN), study(2, patient("P1"), **CHILD)],
            [study(1, patient("P1"), **BORN), study(2, None, **CHILD)],
        ),
        (
            ADULTS,
            [study(1, patient("P1"), **BORN), study(2, patient("P1"), **CHILD)],
            [study(1, patient("P1"), **BORN), study(2, patient("P1"))],
        ),
        (RULE.format(', "death"', ""), [study(1, patient("P1", "x"))], [study(1, patient("P1"))]),
    ],
    ids=["last study", "birth date of nobody's", "no birth date", "issuer"],
)
def test_values_that_bear_witness(rules: str, before: list[Row], after: list[Row]) -> None:
    """Without another study's PatientID or birth date, or without the issuer, a study goes that was kept."""
    deaths = read_anchors("deaths.csv", b"patient_id,issuer,date\nP1,y,2011-06-01\n", HASHER)
    book = Rulebook(policy(rules), {"policy.toml": ""}, {}, anchors={"death": deaths})
    assert judgement_of(book, before[0], before, TODAY).state in (State.KEPT, State.UNKNOWN)
    assert judgement_of(book, after[0], after, TODAY).state is State.DUE


@pytest.mark.parametrize(("minutes", "day"), [(4, date(2026, 3, 5)), (6, date(2026, 3, 6))])
def test_a_day_begins_when_it_does_by_every_clock(monkeypatch: pytest.MonkeyPatch, minutes: int, day: date) -> None:
    """Clocks may differ by five minutes: so long after midnight it may still be yesterday at the DICOM service."""
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 3, 6, 0, minutes, tzinfo=UTC))
    assert today_of(policy('[[rule]]\nname = "all"\nkeep_years = 5\n')) == day
