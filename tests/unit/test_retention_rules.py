"""Conditions, doubts, the minimum age, and judgements in words."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from purge_study.policy.dates import fits_age
from purge_study.policy.facts import StudyFacts
from purge_study.policy.policy import Doubt, Judgement, State, judge
from purge_study.policy.texts import folded
from purge_study.policy.words import in_words
from tests.kit.studies import policy, study, values

TODAY = date(2026, 3, 6)
YES, NO = True, False


def told(when: str, facts: StudyFacts) -> bool | tuple[str, ...]:
    """Return whether a rule is for a study, or what would have to be known."""
    judgement = judge(policy(f'[[rule]]\nname = "it"\nkeep_years = 1\nwhen = {{ {when} }}'), facts, TODAY)
    if judgement.doubts:
        [doubt] = judgement.doubts
        return doubt.about if doubt.code == "unknown" else doubt.code != "no_rule"
    return judgement.rule == "it"


def having(**attributes: tuple[str | None, ...]) -> StudyFacts:
    return study(attributes={keyword: values(*found) for keyword, found in attributes.items()})


CHILD = study("2018-06-14", birth="2000-06-15")
ADULT = study("2018-06-15", birth="2000-06-15")
GROWN = study("2018-06-14", birth="2000-06-15", last_study="2020-01-01")


@pytest.mark.parametrize(
    ("when", "facts", "expected"),
    [
        # Any instance has it: yes. Each has another: no. One has none: it cannot be told.
        ('modality = ["MG"]', study(modality=("CT", "MG")), YES),
        ('modality = ["MG", "CT"]', study(modality="CT"), YES),
        ('modality = ["mg "]', study(modality="MG"), YES),
        ('modality = ["MG"]', study(modality="CT"), NO),
        ('modality = ["MG"]', study(modality=None), ("Modality",)),
        ('modality = ["MG"]', having(Modality=("MG", None)), YES),
        ('modality = ["MG"]', having(Modality=("CT", None)), ("Modality",)),
        # `not` only if none has it; what is unknown stays unknown.
        ('not = { modality = ["MG"] }', study(modality=("CT", "MG")), NO),
        ('not = { modality = ["MG"] }', study(modality="CT"), YES),
        ('not = { modality = ["MG"] }', having(Modality=("CT", None)), ("Modality",)),
        ('not = { not = { modality = ["MG"] } }', having(Modality=("CT", None)), ("Modality",)),
        # All keys of a table must hold; one that does not settles it, whatever is unknown.
        ('modality = ["CT"], institution = ["North"]', having(InstitutionName=("North",)), YES),
        ('modality = ["CT"], institution = ["North"]', having(InstitutionName=("South",)), NO),
        ('modality = ["CT"], institution = ["North"]', having(), ("InstitutionName",)),
        ('modality = ["MG"], institution = ["North"]', having(), NO),
        ('all = [{ modality = ["MG"] }, { institution = ["North"] }]', having(), NO),
        ('all = [{ modality = ["CT"] }, { institution = ["North"] }]', having(), ("InstitutionName",)),
        ('all = [{ modality = ["CT"] }, { partition = ["Microsoft.Default"] }]', having(), YES),
        ('any = [{ modality = ["CT"] }, { institution = ["North"] }]', having(), YES),
        ('any = [{ modality = ["MG"] }, { institution = ["North"] }]', having(), ("InstitutionName",)),
        ('any = [{ modality = ["MG"] }, { modality = ["MR"] }]', having(), NO),
        ('modality = ["MR"], any = [{ modality = ["CT"] }]', having(), NO),
        (
            'any = [{ modality = ["MG"] }, { institution = ["North"] }]',
            having(Modality=(None,)),
            ("InstitutionName", "Modality"),
        ),
        # The day of the study.
        ("study_date_before = 2016-03-05", study("2016-03-04"), YES),
        ("study_date_before = 2016-03-05", study("2016-03-05"), NO),
        ("study_date_from = 2016-03-05", study("2016-03-05"), YES),
        ("study_date_from = 2016-03-05", study("2016-03-04"), NO),
        ("study_date_from = 2016-03-05, study_date_before = 2016-03-06", study("2016-03-05"), YES),
        ("study_date_from = 2016-03-05", study(None, received="2016-03-05"), ("StudyDate",)),
        ("not = { study_date_before = 2016-03-05 }", study(None, received="2016-03-05"), ("StudyDate",)),
        # Ages: on the birthday itself one is of age.
        ("age_at_study_below = 18", CHILD, YES),
        ("age_at_study_below = 18", ADULT, NO),
        ("age_at_study_from = 18", ADULT, YES),
        ("age_at_study_from = 18", CHILD, NO),
        ("age_at_study_below = 18", study("2019-02-28", birth="2001-02-28"), NO),
        ("age_at_study_below = 18", study("2018-02-28", birth="2000-02-29"), YES),
        ("age_at_study_below = 18", study("2018-03-01", birth="2000-02-29"), NO),
        ("not = { age_at_study_below = 18 }", study(birth=None), ("PatientBirthDate",)),
        ("age_at_study_from = 18", study(None, received="2016-03-05"), ("PatientBirthDate", "StudyDate")),
        ("age_at_study_from = 18", study("1925-03-05", birth="1800-01-01"), ("PatientBirthDate",)),
        ("age_at_last_study_below = 18", CHILD, YES),
        ("age_at_last_study_below = 18", GROWN, NO),
        ("age_at_last_study_from = 18", GROWN, YES),
        ("age_at_last_study_from = 18", CHILD, NO),
        ("age_at_last_study_from = 18", study(last_study=None), ("PatientBirthDate", "patient_last_study")),
        ("age_at_last_study_below = 18", study(last_study="2030-01-01"), ("patient_last_study",)),
        # Whole words, in any case; several in a row.
        ('description_words = ["knee"]', having(StudyDescription=("MR KNEE, left",)), YES),
        ('description_words = ["knee"]', having(StudyDescription=("MR_Knee_left",)), YES),
        ('description_words = ["knee"]', having(StudyDescription=("Knees",)), NO),
        ('description_words = ["left knee"]', having(StudyDescription=("MR left-knee",)), YES),
        ('description_words = ["left knee"]', having(StudyDescription=("left hip, right knee",)), NO),
        ('description_words = ["kniegelenk", "hüfte"]', having(StudyDescription=("MRT HÜFTE",)), YES),
        ('description_words = ["knee"]', having(), ("StudyDescription",)),
        ('description_words = ["塵肺"]', having(StudyDescription=("胸部塵肺健診",)), YES),
        ('description_words = ["塵肺"]', having(StudyDescription=("CT塵肺2",)), YES),
        ('description_words = ["塵肺"]', having(StudyDescription=("粉塵 肺機能",)), NO),
        ('description_words = ["塵肺 健診"]', having(StudyDescription=("塵肺健診",)), YES),
        ('description_words = ["マンモ"]', having(StudyDescription=("左ﾏﾝﾓｸﾞﾗﾌｨ",)), YES),
        ('description_words = ["乳腺"]', having(StudyDescription=("双侧乳腺钼靶",)), YES),
        ('description_words = ["진폐증"]', having(StudyDescription=("진폐증의 검진",)), YES),
        ('description_words = ["ฝุ่น"]', having(StudyDescription=("โรคปอดฝุ่นหิน",)), YES),
        ('description_words = ["ฝุ่น"]', having(StudyDescription=("ฝน",)), NO),
        ('description_words = ["ct"]', having(StudyDescription=("胸部CT",)), YES),
        ('description_words = ["ct"]', having(StudyDescription=("胸部CTA",)), NO),
        ('description_words = ["胸部CT"]', having(StudyDescription=("左胸部CT",)), YES),
        ('description_words = ["胸部CT"]', having(StudyDescription=("胸部CTA",)), NO),
        ('description_words = ["CT胸部"]', having(StudyDescription=("CT胸部X線",)), YES),
        ('description_words = ["CT胸部"]', having(StudyDescription=("XCT胸部",)), NO),
        ('description_words = ["CT造影 MR"]', having(StudyDescription=("CT造影MR",)), YES),
        ('description_words = ["MR 造影CT"]', having(StudyDescription=("MR造影CT",)), YES),
        ('description_words = ["MR CT"]', having(StudyDescription=("MRCT",)), NO),
        ('description_words = ["造影CT MR"]', having(StudyDescription=("造影CTMR",)), NO),
        ('description_words = ["MR CT造影"]', having(StudyDescription=("MRCT造影",)), NO),
        ('description_words = ["CT 胸部"]', having(StudyDescription=("CT胸部",)), YES),
        ('description_words = ["knee"]', having(StudyDescription=("\uff2b\uff2e\uff25\uff25\u3000left",)), YES),
        ('description_words = ["Pädiatrie"]', having(StudyDescription=("Pa\u0308diatrie",)), YES),
        ('description_words = ["Pa\u0308diatrie"]', having(StudyDescription=("Pädiatrie",)), YES),
        ('institution = ["Pa\u0308diatrie"]', having(InstitutionName=("PÄDIATRIE",)), YES),
        ('institution = ["Pädiatrie"]', having(InstitutionName=("Pa\u0308diatrie",)), YES),
        ('institution = ["サクラ病院 1"]', having(InstitutionName=("ｻｸﾗ病院\u3000\uff11",)), YES),
        # Texts in any case, blanks apart; names by each of their groups; numbers as numbers.
        ('institution = ["ST. MARY\'S"]', having(InstitutionName=("St.  Mary's",)), YES),
        ('referring_physician = ["doe^jane"]', having(ReferringPhysicianName=("Doe^Jane^^^",)), YES),
        ('referring_physician = ["山田^太郎"]', having(ReferringPhysicianName=("Yamada^Tarou=山田^太郎",)), YES),
        ('referring_physician = ["Doe"]', having(ReferringPhysicianName=("Doe^Jane",)), NO),
        ('referring_physician = ["Doe"]', having(ReferringPhysicianName=("Doe?",)), NO),
        ('referring_physician = ["Doe"]', having(ReferringPhysicianName=("Doe ^",)), YES),
        ('attribute = { SliceThickness = ["5"] }', having(SliceThickness=("5.0",)), YES),
        ('attribute = { SliceThickness = ["5"] }', having(SliceThickness=("5.5",)), NO),
        ('attribute = { SliceThickness = ["5"] }', having(SliceThickness=("1e9999999",)), NO),
        ('attribute = { SliceThickness = ["1e9999999"] }', having(SliceThickness=("1E9999999",)), YES),
        ('referring_physician = ["=A"]', having(ReferringPhysicianName=("=B",)), NO),
        ('attribute = { StudyDescription = ["007"] }', having(StudyDescription=("7",)), NO),
        ('attribute = { BodyPartExamined = ["KNEE"], StationName = ["A"] }', having(BodyPartExamined=("HIP",)), NO),
        ('attribute = { BodyPartExamined = ["KNEE"] }', having(), ("BodyPartExamined",)),
        ('partition = ["site-a"]', study(partition="site-a"), YES),
        ('partition = ["site-a"]', study(partition="Site-A"), NO),
    ],
)
def test_a_condition_holds_or_does_not_or_cannot_be_told(
    when: str, facts: StudyFacts, expected: bool | tuple[str, ...]
) -> None:
    """And where it cannot, what would have to be known is told."""
    assert told(when, facts) == expected


@pytest.mark.parametrize(
    "keyword",
    [
        "SliceThickness",  # DS
        "TimeRange",  # FD
        "ExaminedBodyThickness",  # FL
        "SeriesNumber",  # IS
        "ReferencePixelX0",  # SL
        "TagAngleSecondAxis",  # SS
        "SelectorSVValue",  # SV
        "LengthToEnd",  # UL
        "Rows",  # US
        "FileOffsetInContainer",  # UV
    ],
)
def test_numbers_are_compared_as_numbers_whatever_their_vr(keyword: str) -> None:
    """One number has many texts."""
    assert told(f'attribute = {{ {keyword} = ["1"] }}', having(**{keyword: ("1.0",)})) is YES
    assert told(f'attribute = {{ {keyword} = ["0"] }}', having(**{keyword: ("-0.0",)})) is YES


def test_a_number_of_single_precision() -> None:
    """What the service gives of 0.1 in an FL is the nearest number of its precision."""
    assert (
        told('attribute = { ExaminedBodyThickness = ["0.1"] }', having(ExaminedBodyThickness=("0.10000000149",))) is YES
    )
    assert told('attribute = { ExaminedBodyThickness = ["0.1"] }', having(ExaminedBodyThickness=("0.1001",))) is NO
    assert told('attribute = { TimeRange = ["0.1"] }', having(TimeRange=("0.10000000149",))) is NO


@pytest.mark.parametrize(
    ("age", "is_believed"),
    [
        ("046Y", True),
        ("045Y", True),  # completed years, on the day before the birthday
        ("044Y", True),
        ("047Y", False),
        ("043Y", False),
        ("012Y", False),
        ("000Y", False),
        ("550M", True),
        ("003W", False),
        ("003D", False),
        ("45Y", True),
        ("045y", True),
        ("45 Y", True),
        ("0045Y", True),
        ("000045 y", True),
        ("12Y", False),
        ("012y", False),
        ("12 Y", False),
        ("0012Y", False),
        ("45", False),  # what cannot be read may be a child's age
        ("012", False),
        ("Y", False),
        ("45A", False),
        ("045Y5", False),
        ("045  Y", False),
        ("1045Y", False),
        ("unknown", False),
        ("\u0660\u0664\u0665Y", False),
    ],
)
def test_an_age_that_contradicts_the_birth_date_makes_it_unknown(age: str, is_believed: bool) -> None:
    """One year more or less is rounding."""
    facts = having(PatientAge=("045Y", age))
    assert told("age_at_study_from = 18", facts) == (True if is_believed else ("PatientBirthDate",))


def test_an_age_fits_while_its_unit_is_one_more_or_less() -> None:
    """From the first of those days to the last one."""
    birth = date(2000, 1, 1)
    for age, first, last in (
        ("003D", 2, 4),
        ("003W", 14, 34),
        ("003M", 61, 152),
        ("003Y", 731, 1826),
        ("099Y", 35795, 36890),
        ("000D", 0, 1),
    ):
        fitting = [days for days in range(max(0, first - 3), last + 4) if fits_age(age, birth, birth + timedelta(days))]
        assert (fitting[0], fitting[-1]) == (first, last)
        assert len(fitting) == last - first + 1


@pytest.mark.parametrize(("birth", "is_believed"), [("1886-03-05", True), ("1885-03-06", True), ("1885-03-05", False)])
def test_nobody_is_older_than_a_hundred_and_thirty_years(birth: str, is_believed: bool) -> None:
    """Whoever is born earlier is some system's day zero."""
    assert told("age_at_study_from = 18", study(birth=birth)) == (True if is_believed else ("PatientBirthDate",))


@pytest.mark.parametrize(("age", "is_believed"), [("000D", True), ("002D", True), ("001W", True), ("004D", False)])
def test_ages_of_newborns_are_compared_by_their_units(age: str, is_believed: bool) -> None:
    """A day more or less, or a week."""
    facts = study("2020-01-02", birth="2020-01-01", attributes={"PatientAge": values(age)})
    assert told("age_at_study_below = 18", facts) == (True if is_believed else ("PatientBirthDate",))


@pytest.mark.parametrize(
    "birth", ["0001-01-01", "1800-01-01", "1900-01-01", "1885-01-01", "9999-12-31", "1753-01-01", "1901-02-03", "1970"]
)
def test_a_birth_date_that_is_nobodys_is_unknown(birth: str) -> None:
    """Placeholders, the policy's too, days zero of systems, and what is no day."""
    rules = policy(
        '[[rule]]\nname = "it"\nkeep_until_age = 18', head='time_zone = "UTC"\nplaceholder_birth_dates = ["19010203"]'
    )
    assert judge(rules, study(birth=birth), TODAY).doubts == (Doubt("undated", "it", ("birth_date",)),)


@pytest.mark.parametrize("day", ["0001-01-01", "1800-01-01", "1895-11-07", "1900-01-01", "9999-12-31", "2026-03-08"])
def test_a_study_date_on_which_nothing_was_examined_is_unknown(day: str) -> None:
    """Before there were X-rays, on placeholders, and after tomorrow."""
    judgement = judge(policy('[[rule]]\nname = "it"\nkeep_years = 1'), study(day, received="2016-03-05"), TODAY)
    assert judgement.doubts == (Doubt("undated", "it", ("study_date", "patient_last_study")),)


def test_the_first_x_ray_is_a_study() -> None:
    """Its day is known, and so is the day of one that is dated tomorrow."""
    rules = policy('[[rule]]\nname = "it"\nkeep_years = 1')
    assert judge(rules, study("1895-11-08", received="2016-03-05"), TODAY).state is State.DUE
    assert judge(rules, study("2026-03-07", received="2016-03-05"), TODAY).keep_until == date(2027, 3, 7)


ANCHORED = """
[[anchor]]
name = "last seen"
list = "seen.csv"
max_age_days = 7
[[anchor]]
name = "death"
list = "deaths.csv"
max_age_days = 31
[[rule]]
name = "it"
keep_years = 1
from = ["study_date", "last seen"]
from_if_known = ["death"]
"""


@pytest.mark.parametrize(
    ("anchors", "expected"),
    [
        ({}, {"undated": ("last seen",)}),
        ({"death": "2020-01-01"}, {"undated": ("last seen",)}),
        ({"last seen": "2015-01-01"}, date(2017, 3, 5)),
        ({"last seen": "2018-01-01"}, date(2019, 1, 1)),
        ({"last seen": "2018-01-01", "death": "2017-01-01"}, date(2019, 1, 1)),
        ({"last seen": "2018-01-01", "death": "2020-01-01"}, date(2021, 1, 1)),
        ({"last seen": "2026-03-07"}, date(2027, 3, 7)),
        ({"last seen": "2026-03-08"}, {"undated": ("last seen",)}),
        ({"last seen": "2018-01-01", "death": "2026-03-08"}, {"undated": ("death",)}),
        ({"last seen": "1900-01-01"}, {"unclear": ("last seen",)}),
        ({"last seen": "2018-01-01", "death": "1753-01-01"}, {"unclear": ("death",)}),
        ({"death": "9999-12-31"}, {"undated": ("last seen",), "unclear": ("death",)}),
    ],
)
def test_the_latest_anchor_counts_and_none_may_be_missing(
    anchors: dict[str, str], expected: date | dict[str, tuple[str, ...]]
) -> None:
    """Those that count if they are known may be; but one later than tomorrow is nobody's."""
    judgement = judge(policy(ANCHORED), study(anchors=anchors), TODAY)
    if isinstance(expected, date):
        assert (judgement.keep_until, judgement.doubts) == (expected, ())
    else:
        assert judgement.doubts == tuple(Doubt(code, "it", about) for code, about in expected.items())


def test_no_patient_no_last_study() -> None:
    """A study of which nobody knows whose it is is kept."""
    judgement = judge(policy('[[rule]]\nname = "it"\nkeep_years = 1'), study(last_study=None), TODAY)
    assert judgement == Judgement(State.UNKNOWN, doubts=(Doubt("undated", "it", ("patient_last_study",)),))


def test_another_study_of_the_patient_without_a_date_makes_the_last_unknown() -> None:
    """It may be the later one."""
    facts = study()
    facts = StudyFacts(
        facts.partition, facts.attributes, facts.received, (values("2016-03-05"), values("2020-01-01", None))
    )
    judgement = judge(policy('[[rule]]\nname = "it"\nkeep_years = 1'), facts, TODAY)
    assert judgement.doubts == (Doubt("undated", "it", ("patient_last_study",)),)


MIGRATED = 'time_zone = "UTC"\nreceived_counts_from = 2020-01-01'


@pytest.mark.parametrize(("received", "last_day"), [("2019-12-31", "2017-03-05"), ("2020-01-01", "2021-01-01")])
def test_receptions_before_a_day_can_be_left_out_of_account(received: str, last_day: str) -> None:
    """Those of a migration say nothing of the study's age."""
    judgement = judge(policy('[[rule]]\nname = "it"\nkeep_years = 1', head=MIGRATED), study(received=received), TODAY)
    assert judgement.keep_until == date.fromisoformat(last_day)
    assert ("received" in judgement.dates) == (received == "2020-01-01")


def test_a_rule_that_counts_from_nothing_else_has_no_date_then() -> None:
    """It keeps the study."""
    rules = policy('[[rule]]\nname = "it"\nkeep_years = 1\nfrom = ["received"]', head=MIGRATED)
    judgement = judge(rules, study(received="2019-12-31"), TODAY)
    assert judgement == Judgement(State.UNKNOWN, doubts=(Doubt("undated", "it", ("received",)),))


def test_a_date_of_from_if_known_alone_is_nothing_to_count_from() -> None:
    """It may put the end off; without a date of `from` the study is kept."""
    rule = '[[rule]]\nname = "it"\nkeep_years = 1\nfrom = ["received"]\nfrom_if_known = ["last seen"]\n'
    rules = policy(rule + '[[anchor]]\nname = "last seen"\nlist = "seen.csv"\nmax_age_days = 7', head=MIGRATED)
    facts = replace(study(received="2019-12-31"), anchors={"last seen": date(2015, 1, 1)})
    assert judge(rules, facts, TODAY).doubts == (Doubt("undated", "it", ("received",)),)


def test_a_study_that_came_nobody_knows_when_is_kept() -> None:
    """Even where no rule asks, and where earlier receptions do not count."""
    rules = policy('[[rule]]\nname = "it"\nkeep_years = 1\nfrom = ["study_date"]', head=MIGRATED)
    for received in (None, "2026-03-08"):
        judgement = judge(rules, study(received=received), TODAY)
        assert (judgement.state, judgement.keep_until) == (State.UNKNOWN, date(2017, 3, 5))
        assert judgement.doubts == (Doubt("undated", None, ("received",)),)


def test_what_is_received_tomorrow_may_have_come_today() -> None:
    """Somewhere else."""
    judgement = judge(policy('[[rule]]\nname = "it"\nkeep_years = 1'), study(received="2026-03-07"), TODAY)
    assert (judgement.keep_until, judgement.doubts) == (date(2027, 3, 7), ())


def test_a_doubt_about_the_reception_is_told_once() -> None:
    """By the rule that asks for it."""
    judgement = judge(policy('[[rule]]\nname = "it"\nkeep_years = 1'), study(received=None), TODAY)
    assert judgement.doubts == (Doubt("undated", "it", ("received",)),)


@pytest.mark.parametrize(
    ("received", "state", "last_day"),
    [
        ("2026-02-03", State.DUE, "2026-03-05"),
        ("2026-02-04", State.KEPT, "2026-03-06"),
        ("2016-03-05", State.DUE, "2017-03-05"),
    ],
)
def test_what_came_a_short_while_ago_is_kept_whatever_a_rule_says(received: str, state: State, last_day: str) -> None:
    """Thirty days unless the policy has another number; the last of them is still one."""
    rules = policy('[[rule]]\nname = "it"\nkeep_years = 1\nfrom = ["study_date"]', rest="")
    judgement = judge(rules, study(received=received), TODAY)
    assert (judgement.state, judgement.keep_until) == (state, date.fromisoformat(last_day))
    assert judgement.rule == "it"
    assert ("minimum_age" in judgement.dates) == (received != "2016-03-05")


@pytest.mark.parametrize(
    ("last_seen", "until"), [("2026-03-08", "2026-03-06"), ("2026-03-07", None), ("1900-01-01", None)]
)
def test_a_date_to_come_is_unknown_until_the_day_before(last_seen: str, until: str | None) -> None:
    """Then it counts; one that cannot be, or that is known, is waited for by nobody."""
    rules = policy(
        '[[rule]]\nname = "it"\nkeep_years = 1\nfrom = ["study_date", "last seen"]\n'
        '[[anchor]]\nname = "last seen"\nlist = "seen.csv"\nmax_age_days = 7'
    )
    facts = replace(study(), anchors={"last seen": date.fromisoformat(last_seen)})
    judgement = judge(rules, facts, TODAY)
    assert judgement.unknown_until == (date.fromisoformat(until) if until else None)
    if until:
        assert judgement.state is State.UNKNOWN
        for after, state in ((0, State.UNKNOWN), (1, State.KEPT)):
            assert judge(rules, facts, date.fromisoformat(until) + timedelta(days=after)).state is state


SEEN = """
[[rule]]
name = "seen"
keep_years = 1
from = ["last seen"]
[[rule]]
name = "all"
keep_years = 1
from = ["study_date"]
[[anchor]]
name = "last seen"
list = "seen.csv"
max_age_days = 7
"""
TO_COME = {"last seen": "2026-04-10"}


def test_a_study_in_doubt_is_judged_again_when_its_date_has_come() -> None:
    """Also where another rule has a last day for it: nobody else would have it judged again."""
    judgement = judge(policy(SEEN), study(anchors=TO_COME), TODAY)
    assert (judgement.state, judgement.keep_until) == (State.UNKNOWN, date(2017, 3, 5))
    assert judgement.unknown_until == date(2026, 4, 8)


@pytest.mark.parametrize("last_seen", ["2026-03-07", "9999-12-31"])
def test_nobody_waits_for_a_date_that_counts_or_never_will(last_seen: str) -> None:
    """Whatever else the study is in doubt for."""
    judgement = judge(policy(SEEN), study(received=None, anchors={"last seen": last_seen}), TODAY)
    assert (judgement.state, judgement.unknown_until) == (State.UNKNOWN, None)


@pytest.mark.parametrize(
    "facts",
    [
        study("2026-04-10", received="2016-03-05"),
        study("2026-04-10", received="2016-03-05", last_study=None),
        study(last_study="2026-04-10"),
        study(received="2026-04-10"),
        study("2026-04-10", last_study="2026-04-11"),
    ],
)
def test_whatever_lies_in_the_future_is_waited_for(facts: StudyFacts) -> None:
    """The study's day, another study's of the patient, or the reception; the first of them."""
    judgement = judge(policy('[[rule]]\nname = "it"\nkeep_years = 1'), facts, TODAY)
    assert (judgement.state, judgement.unknown_until) == (State.UNKNOWN, date(2026, 4, 8))


def test_a_study_without_doubts_waits_for_no_date() -> None:
    """A date to come from which no rule counts has nobody judge the study again."""
    rules = policy(SEEN.replace('["last seen"]', '["study_date"]'))
    judgement = judge(rules, study(anchors=TO_COME), TODAY)
    assert (judgement.state, judgement.unknown_until) == (State.DUE, None)


def test_a_rule_that_is_in_doubt_keeps_and_what_is_known_is_the_least() -> None:
    """A child without a birth date does not fall to everything else."""
    rules = policy(
        '[[rule]]\nname = "children"\nwhen = { age_at_study_below = 18 }\nkeep_until_age = 25\n'
        '[[rule]]\nname = "everything else"\nkeep_years = 8'
    )
    assert judge(rules, study(birth=None), TODAY) == Judgement(
        State.UNKNOWN,
        date(2024, 3, 5),
        "everything else",
        dict.fromkeys(("study_date", "received", "patient_last_study"), date(2016, 3, 5)),
        (Doubt("unknown", "children", ("PatientBirthDate",)),),
    )


def test_for_ever_beats_every_date_and_every_doubt() -> None:
    """Whatever else is unknown of the study."""
    rules = policy(
        '[[rule]]\nname = "all"\nkeep_years = 8\n'
        '[[rule]]\nname = "ever"\nwhen = { modality = ["CT"] }\nkeep_forever = true\n'
        '[[rule]]\nname = "children"\nkeep_until_age = 25'
    )
    for facts in (study(), study(birth=None), study(None, birth=None, received=None, last_study=None)):
        judgement = judge(rules, facts, TODAY)
        assert (judgement.state, judgement.keep_until, judgement.rule) == (State.FOREVER, None, "ever")
    in_doubt = judge(rules, study(modality=None), TODAY)
    assert (in_doubt.state, in_doubt.rule) == (State.UNKNOWN, "all")


def test_the_states_are_called_as_they_are_kept() -> None:
    """In the ledger, in plans and in answers."""
    assert [state.value for state in State] == ["kept", "due", "forever", "unknown"]


def test_without_rules_nothing_is_due() -> None:
    """The study is listed."""
    assert judge(policy(""), study(), TODAY) == Judgement(State.UNKNOWN, doubts=(Doubt("no_rule"),))


def test_years_that_calendars_do_not_have_are_for_ever() -> None:
    """Beyond 9999, by a rule's years; the last of them is still a day."""
    assert judge(policy('[[rule]]\nname = "it"\nkeep_years = 7983'), study(), TODAY).keep_until == date(9999, 3, 5)
    judgement = judge(policy('[[rule]]\nname = "it"\nkeep_years = 7984'), study(), TODAY)
    assert (judgement.state, judgement.keep_until, judgement.rule) == (State.FOREVER, None, "it")
    rounded = policy('[[rule]]\nname = "it"\nkeep_years = 7984\nround_to = "year_end"')
    assert judge(rounded, study(), TODAY).state is State.FOREVER


def test_on_the_last_day_of_the_calendar_there_is_no_tomorrow() -> None:
    """And nothing fails."""
    rules = policy('[[rule]]\nname = "it"\nkeep_years = 1', rest="[brakes]\nmin_age_days = 36500")
    facts = study(received=datetime(9999, 12, 30, 12, tzinfo=UTC))
    assert judge(rules, facts, date.max).state is State.FOREVER


def test_of_rules_that_end_on_the_same_day_the_first_is_named() -> None:
    """In the policy's order."""
    rules = "".join(f'[[rule]]\nname = "{name}"\nkeep_years = 3\n' for name in ("b", "a", "c"))
    assert judge(policy(rules), study(), TODAY).rule == "b"


@pytest.mark.parametrize(
    ("rules", "facts", "said"),
    [
        (
            '[[rule]]\nname = "everything else"\nkeep_years = 10',
            study(last_study="2020-07-01"),
            "kept until 2030-07-01: rule everything else, 10 years from patient_last_study 2020-07-01",
        ),
        (
            '[[rule]]\nname = "short"\nkeep_years = 1\nround_to = "year_end"',
            study(),
            "due since the end of 2017-12-31: rule short, 1 year from study_date 2016-03-05, to the end of the year",
        ),
        (
            '[[rule]]\nname = "children"\nkeep_until_age = 25',
            study(birth="2010-05-05"),
            "kept until 2035-05-05: rule children, until the age of 25, from birth_date 2010-05-05",
        ),
        ('[[rule]]\nname = "teaching"\nkeep_forever = true', study(), "kept for ever: rule teaching"),
        (
            '[[rule]]\nname = "long"\nkeep_years = 9999',
            study(),
            "kept for ever: rule long, 9999 years from study_date 2016-03-05",
        ),
        ("", study(), "kept, until somebody looks at it: no rule is for it"),
        (
            '[[rule]]\nname = "all"\nkeep_years = 10\n'
            '[[rule]]\nname = "children"\nwhen = { age_at_study_below = 18 }\nkeep_until_age = 25\n'
            '[[rule]]\nname = "to 28"\nkeep_until_age = 28',
            study(birth=None),
            "kept, until somebody looks at it: "
            "whether rule children is for it cannot be told without PatientBirthDate; "
            "rule to 28 counts from birth_date, which is not known; "
            "at least until 2026-03-05: rule all, 10 years from study_date 2016-03-05",
        ),
        (
            '[[rule]]\nname = "all"\nkeep_years = 5\nfrom = ["study_date"]',
            study(received=None),
            "kept, until somebody looks at it: received is not known; "
            "at least until 2021-03-05: rule all, 5 years from study_date 2016-03-05",
        ),
        (
            '[[rule]]\nname = "all"\nkeep_years = 5\nfrom = ["study_date"]',
            study(received="2026-03-01"),
            "kept until 2026-03-31: 30 days from received 2026-03-01, the least; rule all",
        ),
    ],
)
def test_a_judgement_is_told_in_words(rules: str, facts: StudyFacts, said: str) -> None:
    """What, by which rule, from which date; or what is missing."""
    asked = policy(rules, rest="")
    assert in_words(asked, judge(asked, facts, TODAY)) == said


def test_a_judgement_by_another_policy_is_told_as_far_as_it_goes() -> None:
    """Its rule may be gone."""
    judgement = judge(policy('[[rule]]\nname = "old"\nkeep_years = 20'), study(), TODAY)
    assert in_words(policy(""), judgement) == "kept until 2036-03-05: rule old"


def test_words_have_nothing_of_the_patients_but_dates() -> None:
    """No value of an attribute."""
    rules = policy('[[rule]]\nname = "it"\nkeep_years = 1\nwhen = { attribute = { StationName = ["A"] } }')
    facts = study(attributes={"StationName": values("CANARY", None)})
    assert "CANARY" not in in_words(rules, judge(rules, facts, TODAY))


@pytest.mark.parametrize(
    ("stored", "written"),
    [
        ("KL\u0130N\u0130K", "klinik"),
        ("KLINIK", "kl\u0131n\u0131k"),
        ("TEACH\u00adING", "teaching"),
        ("\u200bteach\u200ding\ufeff", "teaching"),
        ("teaching\ufe0f", "teaching"),
        ("e\u200d\u0301tude", "\u00e9tude"),
        ("\u0645\u0640\u0640\u062f", "\u0645\u062f"),
        *((f"teaching{blank}file{blank}", "teaching file") for blank in "\u3164\uffa0\u2800\ufffc\u0085\u00a0"),
        *((f"teach{unseen}ing", "teaching") for unseen in "\u115f\u1160\u17b4\u2065\ufff0\U000e0080"),
    ],
)
def test_texts_that_look_the_same_are_equal(stored: str, written: str) -> None:
    """Signs that nobody sees and the dots of Turkish letters make no difference, on either side."""
    for value, wanted in ((stored, written), (written, stored)):
        assert told(f'institution = ["{wanted}"]', having(InstitutionName=(value,))) is YES
        assert told(f'description_words = ["{wanted}"]', having(StudyDescription=(f"MR {value} left",))) is YES


# Other_Default_Ignorable_Code_Point of Unicode 15.1 (PropList.txt).
IGNORABLE = "034F 115F-1160 17B4-17B5 2065 3164 FFA0 FFF0-FFF8 E0000 E0002-E001F E0080-E00FF E01F0-E0FFF"
SELECTORS = "180B-180D 180F FE00-FE0F E0100-E01EF"


def characters(ranges: str) -> Iterator[str]:
    for one in ranges.split():
        first, _, last = one.partition("-")
        yield from map(chr, range(int(first, 16), int(last or first, 16) + 1))


def test_format_characters_make_no_difference() -> None:
    """All that this Python's Unicode has, and all that Unicode calls ignorable."""
    format_characters = {one for one in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(one) == "Cf"}
    invisible = (format_characters | {*characters(IGNORABLE), *characters(SELECTORS)}) - {"\u3164", "\uffa0"}
    assert folded(f"teach{''.join(sorted(invisible))}ing") == "teaching"


def test_controls_and_spaces_are_blanks() -> None:
    """All that this Python's Unicode has."""
    kinds = {"Cc", "Zs", "Zl", "Zp"}
    blanks = "".join(one for one in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(one) in kinds)
    assert folded(f"{blanks}teaching{blanks}file{blanks}") == "teaching file"
