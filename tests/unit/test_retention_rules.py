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
from purge_study.policy.policy import Judgement, State, judge
from purge_study.policy.texts import folded
from purge_study.policy.words import in_words
from tests.kit.studies import policy, study, values

TODAY = date(2026, 3, 6)
YES, NO = True, False
IT = '[[rule]]\nname = "it"\nkeep_years = 1\n'
BY_DAY = f'{IT}from = ["study_date"]\n'
BY_RECEPTION = f'{IT}from = ["received"]\n'
LISTS = """
[[anchor]]
name = "last seen"
list = "seen.csv"
max_age_days = 7
[[anchor]]
name = "death"
list = "deaths.csv"
max_age_days = 31
"""
ANCHORED = f'{LISTS}{IT}from = ["study_date", "last seen"]\nfrom_if_known = ["death"]\n'
RECEIVED_OR_SEEN = f'{LISTS}{BY_RECEPTION}from_if_known = ["last seen"]\n'
SEEN = f'{LISTS}[[rule]]\nname = "seen"\nkeep_years = 1\nfrom = ["last seen"]\n{BY_DAY}'
AT_18 = '[[rule]]\nname = "it"\nkeep_until_age = 18\n'
CHILDREN = """
[[rule]]
name = "children"
when = { age_at_study_below = 18 }
keep_until_age = 25
[[rule]]
name = "everything else"
keep_years = 8
"""
MIGRATED = 'time_zone = "UTC"\nreceived_counts_from = 2020-01-01'
PLACEHOLDER = 'time_zone = "UTC"\nplaceholder_birth_dates = ["19010203"]'


def told(when: str, facts: StudyFacts) -> bool | tuple[str, ...]:
    """Return whether a rule is for a study, or what would have to be known."""
    judgement = judge(policy(f"{IT}when = {{ {when} }}"), facts, TODAY)
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


def result(judgement: Judgement) -> str:
    """Return what a judgement comes to: state, last day, doubts, and until when nobody can tell."""
    doubts = (f"{doubt.code} {doubt.rule}: {' '.join(doubt.about)}" for doubt in judgement.doubts)
    until = f"until {judgement.unknown_until}" if judgement.unknown_until else ""
    return ", ".join(filter(None, [f"{judgement.state.value} {judgement.keep_until or '-'}", *doubts, until]))


def dated(day: str, **more: str | None) -> StudyFacts:
    return study(day, received="2016-03-05", **more)  # type: ignore[arg-type]  # whatever a study has


OTHER_UNDATED = replace(study(), patient_studies=(values("2016-03-05"), values("2020-01-01", None)))


@pytest.mark.parametrize(
    ("rules", "facts", "expected"),
    [
        # A date that is nobody's is unknown: placeholders, days zero of systems, before X-rays, after tomorrow.
        (AT_18, study(birth="0001-01-01"), "unknown -, undated it: birth_date"),
        (AT_18, study(birth="1800-01-01"), "unknown -, undated it: birth_date"),
        (AT_18, study(birth="1900-01-01"), "unknown -, undated it: birth_date"),
        (AT_18, study(birth="1885-01-01"), "unknown -, undated it: birth_date"),
        (AT_18, study(birth="9999-12-31"), "unknown -, undated it: birth_date"),
        (AT_18, study(birth="1753-01-01"), "unknown -, undated it: birth_date"),
        (AT_18, study(birth="1901-02-03"), "unknown -, undated it: birth_date"),
        (AT_18, study(birth="1970"), "unknown -, undated it: birth_date"),
        (IT, dated("0001-01-01"), "unknown -, undated it: study_date patient_last_study"),
        (IT, dated("1800-01-01"), "unknown -, undated it: study_date patient_last_study"),
        (IT, dated("1895-11-07"), "unknown -, undated it: study_date patient_last_study"),
        (IT, dated("1900-01-01"), "unknown -, undated it: study_date patient_last_study"),
        (IT, dated("9999-12-31"), "unknown -, undated it: study_date patient_last_study"),
        (IT, dated("2026-03-08"), "unknown -, undated it: study_date patient_last_study, until 2026-03-06"),
        (IT, dated("1895-11-08"), "due 2017-03-05"),
        (IT, dated("2026-03-07"), "kept 2027-03-07"),
        # The latest date of a list counts, and none that a rule must have may be missing.
        (ANCHORED, study(anchors={}), "unknown -, undated it: last seen"),
        (ANCHORED, study(anchors={"death": "2020-01-01"}), "unknown -, undated it: last seen"),
        (ANCHORED, study(anchors={"last seen": "2015-01-01"}), "due 2017-03-05"),
        (ANCHORED, study(anchors={"last seen": "2018-01-01"}), "due 2019-01-01"),
        (ANCHORED, study(anchors={"last seen": "2018-01-01", "death": "2017-01-01"}), "due 2019-01-01"),
        (ANCHORED, study(anchors={"last seen": "2018-01-01", "death": "2020-01-01"}), "due 2021-01-01"),
        (ANCHORED, study(anchors={"last seen": "2026-03-07"}), "kept 2027-03-07"),
        (ANCHORED, study(anchors={"last seen": "2026-03-08"}), "unknown -, undated it: last seen, until 2026-03-06"),
        (
            ANCHORED,
            study(anchors={"last seen": "2018-01-01", "death": "2026-03-08"}),
            "unknown -, undated it: death, until 2026-03-06",
        ),
        (ANCHORED, study(anchors={"last seen": "1900-01-01"}), "unknown -, unclear it: last seen"),
        (ANCHORED, study(anchors={"last seen": "2018-01-01", "death": "1753-01-01"}), "unknown -, unclear it: death"),
        (ANCHORED, study(anchors={"death": "9999-12-31"}), "unknown -, undated it: last seen, unclear it: death"),
        (
            RECEIVED_OR_SEEN,
            study(received=None, anchors={"last seen": "2015-01-01"}),
            "unknown -, undated it: received",
        ),
        # Nobody knows whose it is, when the patient's others were made, or when it came.
        (IT, study(last_study=None), "unknown -, undated it: patient_last_study"),
        (IT, OTHER_UNDATED, "unknown -, undated it: patient_last_study"),
        (BY_RECEPTION, study(received=None), "unknown -, undated it: received"),
        (BY_DAY, study(received=None), "unknown 2017-03-05, undated None: received"),
        (BY_DAY, study(received="2026-03-08"), "unknown 2017-03-05, undated None: received, until 2026-03-06"),
        (IT, study(received="2026-03-07"), "kept 2027-03-07"),
        (IT, study(received=None), "unknown -, undated it: received"),
        # A date to come is waited for, the first of them, if a rule is in doubt about it.
        (
            SEEN,
            study(anchors={"last seen": "2026-04-10"}),
            "unknown 2017-03-05, undated seen: last seen, until 2026-04-08",
        ),
        (SEEN, study(received=None, anchors={"last seen": "2026-03-07"}), "unknown 2027-03-07, undated None: received"),
        (
            SEEN,
            study(received=None, anchors={"last seen": "9999-12-31"}),
            "unknown 2017-03-05, unclear seen: last seen, undated None: received",
        ),
        (LISTS + BY_DAY, study(anchors={"last seen": "2026-04-10"}), "due 2017-03-05"),
        (IT, dated("2026-04-10"), "unknown -, undated it: study_date patient_last_study, until 2026-04-08"),
        (
            IT,
            dated("2026-04-10", last_study=None),
            "unknown -, undated it: study_date patient_last_study, until 2026-04-08",
        ),
        (IT, study(last_study="2026-04-10"), "unknown -, undated it: patient_last_study, until 2026-04-08"),
        (IT, study(received="2026-04-10"), "unknown -, undated it: received, until 2026-04-08"),
        (
            IT,
            study("2026-04-10", last_study="2026-04-11"),
            "unknown -, undated it: study_date received patient_last_study, until 2026-04-08",
        ),
        # A rule in doubt keeps: a child without a birth date does not fall to everything else.
        (CHILDREN, study(birth=None), "unknown 2024-03-05, unknown children: PatientBirthDate"),
        ("", study(), "unknown -, no_rule None: "),
        # Years that calendars do not have are for ever.
        (IT.replace("= 1", "= 7983"), study(), "kept 9999-03-05"),
        (IT.replace("= 1", "= 7984"), study(), "forever -"),
        (IT.replace("= 1", "= 7984") + 'round_to = "year_end"', study(), "forever -"),
    ],
)
def test_what_becomes_of_a_study(rules: str, facts: StudyFacts, expected: str) -> None:
    """Its state, its last day, what is not known of it, and until when."""
    assert result(judge(policy(rules, head=PLACEHOLDER), facts, TODAY)) == expected


def test_a_date_to_come_counts_from_the_day_before() -> None:
    """Until then nobody can tell."""
    for day, state in ((6, State.UNKNOWN), (7, State.KEPT)):
        facts = study(anchors={"last seen": "2026-03-08"})
        assert judge(policy(ANCHORED), facts, date(2026, 3, day)).state is state


@pytest.mark.parametrize("rules", [BY_RECEPTION, RECEIVED_OR_SEEN])
def test_a_rule_that_counts_from_nothing_else_has_no_date_then(rules: str) -> None:
    """A reception that does not count is nothing to count from, nor is a date of `from_if_known` alone."""
    facts = study(received="2019-12-31", anchors={"last seen": "2015-01-01"})
    assert result(judge(policy(rules, head=MIGRATED), facts, TODAY)) == "unknown -, undated it: received"


def test_a_study_that_came_nobody_knows_when_is_kept_where_receptions_do_not_count() -> None:
    """Even where no rule asks."""
    for received in (None, "2026-03-08"):
        made = result(judge(policy(BY_DAY, head=MIGRATED), study(received=received), TODAY))
        assert made.startswith("unknown 2017-03-05, undated None: received")


def test_on_the_last_day_of_the_calendar_there_is_no_tomorrow() -> None:
    """And nothing fails."""
    rules = policy(IT, rest="[brakes]\nmin_age_days = 36500")
    facts = study(received=datetime(9999, 12, 30, 12, tzinfo=UTC))
    assert judge(rules, facts, date.max).state is State.FOREVER


def test_of_rules_that_end_on_the_same_day_the_first_is_named() -> None:
    """In the policy's order."""
    rules = "".join(IT.replace("it", name) for name in ("b", "a", "c"))
    assert judge(policy(rules), study(), TODAY).rule == "b"


@pytest.mark.parametrize(("received", "last_day"), [("2019-12-31", "2017-03-05"), ("2020-01-01", "2021-01-01")])
def test_receptions_before_a_day_can_be_left_out_of_account(received: str, last_day: str) -> None:
    """Those of a migration say nothing of the study's age."""
    judgement = judge(policy(IT, head=MIGRATED), study(received=received), TODAY)
    assert judgement.keep_until == date.fromisoformat(last_day)
    assert ("received" in judgement.dates) == (received == "2020-01-01")


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
    rules = policy(BY_DAY, rest="")
    judgement = judge(rules, study(received=received), TODAY)
    assert (judgement.state, judgement.keep_until) == (state, date.fromisoformat(last_day))
    assert judgement.rule == "it"
    assert ("minimum_age" in judgement.dates) == (received != "2016-03-05")


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


def test_what_nobody_sees_makes_no_difference() -> None:
    """Format characters of this Python's Unicode, and all that Unicode calls ignorable; controls are blanks."""
    kinds: dict[str, set[str]] = {}
    for one in map(chr, range(sys.maxunicode + 1)):
        kinds.setdefault(unicodedata.category(one), set()).add(one)
    invisible = (kinds["Cf"] | {*characters(IGNORABLE), *characters(SELECTORS)}) - {"\u3164", "\uffa0"}
    assert folded(f"teach{''.join(sorted(invisible))}ing") == "teaching"
    blanks = "".join(one for kind in ("Cc", "Zs", "Zl", "Zp") for one in kinds[kind])
    assert folded(f"{blanks}teaching{blanks}file{blanks}") == "teaching file"
