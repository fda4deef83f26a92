"""What becomes of a study: cases worked out by hand, each with the day in the policy's time zone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from purge_study.policy.facts import StudyFacts
from purge_study.policy.policy import State, judge, local_day
from tests.kit.studies import policy, study, values


def rule(name: str, period: str, when: str = "", **more: str) -> str:
    """Return a rule in TOML."""
    conditions = f"when = {{ {when} }}\n" if when else ""
    return f'[[rule]]\nname = "{name}"\n{conditions}{period}\n' + "".join(
        f"{key} = {text}\n" for key, text in more.items()
    )


def dates(name: str) -> str:
    """Return a list of dates in TOML."""
    return f'[[anchor]]\nname = "{name}"\nlist = "{name}.csv"\nmax_age_days = 7\n'


MINOR, STUDY_DATE, LAST_CONTACT = "age_at_study_below = 18", {"from": '["study_date"]'}, {"from": '["last contact"]'}
RADIOTHERAPY = 'modality = ["RTDOSE", "RTPLAN", "RTIMAGE", "RTSTRUCT"]'
# Simplified, for these cases; no policies to be used.
RULES = {
    "ALL10": rule("all", "keep_years = 10"),
    "ST10": rule("all", "keep_years = 10", **STUDY_DATE),
    "DE": rule("all", "keep_years = 10")
    + rule("minors", "keep_until_age = 28", MINOR)
    + rule("radiotherapy", "keep_years = 30", RADIOTHERAPY),
    "UK": rule("all", "keep_years = 8")
    + rule("children", "keep_until_age = 25", "age_at_last_study_below = 17")
    + rule("aged 17", "keep_until_age = 26", "age_at_last_study_from = 17, age_at_last_study_below = 18")
    + rule("mammography", "keep_years = 10", 'modality = ["MG"]', **STUDY_DATE),
    "US": rule("all", "keep_years = 5")
    + rule("mammography", "keep_years = 10", 'modality = ["MG"]')
    + rule("minors", "keep_until_age = 23", MINOR),
    "AU": rule("all", "keep_years = 7") + rule("minors", "keep_until_age = 25", MINOR),
    "FR": dates("last contact")
    + dates("death")
    + rule("all", "keep_years = 20", **LAST_CONTACT)
    + rule("to 28", "keep_until_age = 28")
    + rule("after death", "keep_years = 10", from_if_known='["death"]', **LAST_CONTACT),
    "BE": dates("last contact") + rule("all", "keep_years = 30", **LAST_CONTACT),
    "TRIAL": dates("trial end") + rule("trial", "keep_years = 25", **{"from": '["trial end"]'}),
    "AGE120": rule("120", "keep_until_age = 120"),
    "MAJ18+10": rule("minors", "keep_until_age = 28", MINOR),
    "MGONLY": rule("mammography", "keep_years = 10", 'modality = ["MG"]'),
    "EVER": rule("for ever", "keep_forever = true", 'modality = ["XA"]'),
    "PL": rule("X-rays", "keep_years = 10", round_to='"year_end"', **STUDY_DATE),
    "HOLD": '[[hold]]\nname = "litigation"\nlist = "litigation.csv"\n',
}
# Number, today (a day, or an instant and the policy's time zone), the study, its rules, and what becomes of it.
CASES = [
    # The last day is still a day on which the study is kept.
    ("1", "2026-03-05", study(), "ALL10", "kept 2026-03-05"),
    # The latest of the three dates counts: reception, the patient's last study, the newest instance.
    ("3", "2026-06-01", study(received="2017-01-10"), "ALL10", "kept 2027-01-10"),
    ("4", "2026-06-01", study(last_study="2020-07-01"), "ALL10", "kept 2030-07-01"),
    ("5", "2026-06-01", study(received="2017-01-10", last_study="2020-07-01"), "ST10", "due 2026-03-05"),
    ("6", "2026-06-01", study(received="2019-11-11"), "ALL10", "kept 2029-11-11"),
    # 29 February and some years.
    ("7", "2026-03-01", study("2016-02-29"), "ALL10", "kept 2026-03-01"),
    ("9", "2024-02-29", study("2016-02-29"), "UK", "kept 2024-02-29"),
    ("12", "2026-01-01", study("2015-05-05", birth="2004-02-29", modality="CR"), "DE", "kept 2032-02-29"),
    ("13", "2026-01-01", study("2020-05-05", birth="2008-02-29", modality="CR"), "UK", "kept 2033-03-01"),
    # Of age on the birthday itself, a minor on the day before.
    ("15", "2026-01-01", study("2018-06-15", birth="2000-06-15", modality="CR"), "DE", "kept 2028-06-15"),
    ("16", "2026-01-01", study("2018-06-14", birth="2000-06-15", modality="CR"), "DE", "kept 2028-06-15"),
    ("19", "2026-01-01", study("2021-02-01", birth="2003-09-10"), "UK", "kept 2029-09-10"),
    ("20", "2026-01-01", study("2020-02-01", birth="2003-09-10"), "UK", "kept 2028-09-10"),
    # A newborn's birth date is the day of the study, and no placeholder.
    ("22", "2026-01-01", study("2010-05-05", birth="2010-05-05", modality="US"), "UK", "kept 2035-05-05"),
    ("24", "2026-01-01", study("2015-04-10", modality="MG"), "US", "due 2025-04-10"),
    ("25", "2026-01-01", study("2015-04-10", modality="MG", last_study="2019-04-10"), "US", "kept 2029-04-10"),
    ("26", "2026-09-01", study("2021-08-01", birth="2006-01-20", modality="MG"), "US", "kept 2031-08-01"),
    ("28", "2026-01-01", study("2019-09-09", birth="2012-03-03", modality="RTDOSE"), "DE", "kept 2049-09-09"),
    # Holds are looked up elsewhere: the date is the same with one, and once it is released.
    ("30", "2026-03-06", study(), "ALL10&HOLD", "due 2026-03-05"),
    ("31", "2026-03-06", study(), "ALL10", "due 2026-03-05"),
    # What is missing matters where a rule asks for it.
    ("33", "2026-03-06", study(birth=None), "DE", "unknown 2026-03-05"),
    ("34", "2026-03-06", study(birth=None), "ALL10", "due 2026-03-05"),
    ("35", "2026-03-06", study(None, received="2016-03-05", last_study="2016-03-05"), "ST10", "unknown -"),
    ("37", "2026-03-06", study("2005-03-03", birth="1960-01-02"), "FR", "unknown 1988-01-02"),
    (
        "38",
        "2026-03-06",
        study("2005-03-03", birth="1960-01-02", anchors={"last contact": "2005-11-20"}),
        "FR",
        "due 2025-11-20",
    ),
    (
        "39",
        "2026-03-06",
        study("2006-01-15", birth="2003-07-07", anchors={"last contact": "2006-02-02"}),
        "FR",
        "kept 2031-07-07",
    ),
    # A death long after the last contact keeps longer than the law asks.
    (
        "41",
        "2026-03-06",
        study("2001-05-05", birth="1940-01-02", anchors={"last contact": "2001-05-05", "death": "2019-08-08"}),
        "FR",
        "kept 2029-08-08",
    ),
    (
        "42",
        "2026-03-02",
        study("1996-02-01", modality="CR", anchors={"last contact": "1996-03-01"}),
        "BE",
        "due 2026-03-01",
    ),
    (
        "43",
        "2026-03-06",
        study("2001-02-02", modality="MR", anchors={"trial end": "2001-11-30"}),
        "ALL10&TRIAL",
        "kept 2026-11-30",
    ),
    # A date to come is none; a day ahead may be another time zone's today.
    ("45", "2026-03-06", study("2062-03-05", received="2016-03-05"), "ALL10", "unknown -"),
    ("46", "2026-03-05 Europe/Berlin", study("2026-03-06", received="2026-03-05"), "ALL10", "kept 2036-03-06"),
    # Birth dates that are none.
    ("47", "2026-03-06", study("2018-05-05", birth="2019-01-01", modality="US"), "DE", "unknown 2028-05-05"),
    ("48", "2026-03-06", study(birth="1900-01-01"), "DE", "unknown 2026-03-05"),
    ("50", "2026-03-06", study(birth="2011-02-30"), "DE", "unknown 2026-03-05"),
    ("51", "2026-03-06", study(birth=("2000-06-15", "1990-06-15")), "DE", "unknown 2026-03-05"),
    ("52", "2026-03-06", study(("2016-03-05", "2016-03-06")), "ALL10", "unknown -"),
    # A child under another's birth date: PatientAge tells, and without it nothing does.
    (
        "53",
        "2026-03-06",
        study(birth="1988-08-08", modality="CR", attributes={"PatientAge": values("012Y")}),
        "DE",
        "unknown 2026-03-05",
    ),
    ("54", "2026-03-06", study(birth="1988-08-08", modality="CR"), "DE", "due 2026-03-05"),
    ("55", "2026-03-06", study(last_study="2021-09-09"), "ALL10", "kept 2031-09-09"),
    # No rule, no end; and a rule for ever is stronger than any date.
    ("57", "2026-03-06", study(), "MGONLY", "unknown -"),
    ("58", "2026-03-06", study("1990-03-05", modality="XA"), "ALL10&EVER", "forever -"),
    ("59", "2026-03-06", study("2015-01-02", modality="DX"), "PL", "due 2025-12-31"),
    # Instants are days of the policy's time zone.
    ("60", "2026-03-05T23:30:00 Europe/Berlin", study(), "ALL10", "due 2026-03-05"),
    (
        "62",
        "2026-03-06 Europe/Berlin",
        study(received=datetime(2016, 3, 5, 23, 30, tzinfo=UTC)),
        "ALL10",
        "kept 2026-03-06",
    ),
    # That day has no midnight in Cairo: it begins at one o'clock.
    ("64", "2026-04-23T22:00:00 Africa/Cairo", study("2016-04-23"), "ALL10", "due 2026-04-23"),
    ("64a", "2026-04-23T21:59:59 Africa/Cairo", study("2016-04-23"), "ALL10", "kept 2026-04-23"),
    ("67", "2026-03-06", study(received=None), "ALL10", "unknown -"),
    # Sets of rules of which no other case speaks.
    ("minor", "2026-01-01", study("2019-05-05", birth="2003-02-02"), "AU", "kept 2028-02-02"),
    ("120", "2089-12-31", study(), "AGE120", "kept 2090-04-04"),
    ("of age plus ten", "2026-01-01", study("2010-05-05", birth="1995-02-28"), "MAJ18+10", "due 2023-02-28"),
]


@pytest.mark.parametrize(
    ("today", "facts", "rules", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_study_is_judged_as_it_was_worked_out(today: str, facts: StudyFacts, rules: str, expected: str) -> None:
    """Its last day, and what that means today; of a study that is listed, what the known rules come to."""
    moment, _, zone = today.partition(" ")
    used = policy("".join(RULES[name] for name in rules.split("&")), head=f'time_zone = "{zone or "UTC"}"')
    instant = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    judgement = judge(used, facts, local_day(used, instant) if "T" in moment else instant.date())
    assert f"{judgement.state.value} {judgement.keep_until or '-'}" == expected
    assert (judgement.state is State.UNKNOWN) == bool(judgement.doubts)
