"""What becomes of a study: cases worked out by hand, each with the day in the policy's time zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

import pytest

from purge_study.policy.facts import StudyFacts
from purge_study.policy.policy import Judgement, State, judge, local_day
from tests.kit.studies import policy, study, values

# Simplified, for these cases; no policies to be used.
RULES = {
    "ALL10": '[[rule]]\nname = "all"\nkeep_years = 10\n',
    "ST10": '[[rule]]\nname = "all"\nkeep_years = 10\nfrom = ["study_date"]\n',
    "DE": """
        [[rule]]
        name = "all"
        keep_years = 10
        [[rule]]
        name = "minors"
        when = { age_at_study_below = 18 }
        keep_until_age = 28
        [[rule]]
        name = "radiotherapy"
        when = { modality = ["RTDOSE", "RTPLAN", "RTIMAGE", "RTSTRUCT"] }
        keep_years = 30
    """,
    "UK": """
        [[rule]]
        name = "all"
        keep_years = 8
        [[rule]]
        name = "children"
        when = { age_at_last_study_below = 17 }
        keep_until_age = 25
        [[rule]]
        name = "aged 17"
        when = { age_at_last_study_from = 17, age_at_last_study_below = 18 }
        keep_until_age = 26
        [[rule]]
        name = "mammography"
        when = { modality = ["MG"] }
        keep_years = 10
        from = ["study_date"]
    """,
    "US": """
        [[rule]]
        name = "all"
        keep_years = 5
        [[rule]]
        name = "mammography"
        when = { modality = ["MG"] }
        keep_years = 10
        [[rule]]
        name = "minors"
        when = { age_at_study_below = 18 }
        keep_until_age = 23
    """,
    "AU": """
        [[rule]]
        name = "all"
        keep_years = 7
        [[rule]]
        name = "minors"
        when = { age_at_study_below = 18 }
        keep_until_age = 25
    """,
    "FR": """
        [[anchor]]
        name = "last contact"
        list = "last_contact.csv"
        max_age_days = 7
        [[anchor]]
        name = "death"
        list = "deaths.csv"
        max_age_days = 31
        [[rule]]
        name = "all"
        keep_years = 20
        from = ["last contact"]
        [[rule]]
        name = "to 28"
        keep_until_age = 28
        [[rule]]
        name = "after death"
        keep_years = 10
        from = ["last contact"]
        from_if_known = ["death"]
    """,
    "BE": """
        [[anchor]]
        name = "last contact"
        list = "last_contact.csv"
        max_age_days = 7
        [[rule]]
        name = "all"
        keep_years = 30
        from = ["last contact"]
    """,
    "TRIAL": """
        [[anchor]]
        name = "trial end"
        list = "trials.csv"
        max_age_days = 31
        [[rule]]
        name = "trial"
        keep_years = 25
        from = ["trial end"]
    """,
    "AGE120": '[[rule]]\nname = "120"\nkeep_until_age = 120\n',
    "MAJ18+10": """
        [[rule]]
        name = "minors"
        when = { age_at_study_below = 18 }
        keep_until_age = 28
    """,
    "MGONLY": '[[rule]]\nname = "mammography"\nwhen = { modality = ["MG"] }\nkeep_years = 10\n',
    "EVER": '[[rule]]\nname = "for ever"\nwhen = { modality = ["XA"] }\nkeep_forever = true\n',
    "PL": '[[rule]]\nname = "X-rays"\nkeep_years = 10\nfrom = ["study_date"]\nround_to = "year_end"\n',
}
KEPT, DUE, FOREVER, LISTED = State.KEPT, State.DUE, State.FOREVER, State.UNKNOWN


@dataclass(frozen=True)
class Case:
    """A study on a day, and what is to become of it.

    Args:
        number: by which it is known.
        today: in the policy's time zone.
        facts: the study.
        rules: names of sets of rules, joined by `&`.
        last_day: on which it is kept; of a study that is listed, what the known rules come to; None for none.
        state: today.
        zone: the policy's.
    """

    number: str
    today: str
    facts: StudyFacts
    rules: str
    last_day: str | None
    state: State
    zone: str = "UTC"


CASES = [
    # The last day is still a day on which the study is kept.
    Case("1", "2026-03-05", study(), "ALL10", "2026-03-05", KEPT),
    # The latest of the three dates counts: reception, the patient's last study, the newest instance.
    Case("3", "2026-06-01", study(received="2017-01-10"), "ALL10", "2027-01-10", KEPT),
    Case("4", "2026-06-01", study(last_study="2020-07-01"), "ALL10", "2030-07-01", KEPT),
    Case("5", "2026-06-01", study(received="2017-01-10", last_study="2020-07-01"), "ST10", "2026-03-05", DUE),
    Case("6", "2026-06-01", study(received="2019-11-11"), "ALL10", "2029-11-11", KEPT),
    # 29 February and some years.
    Case("7", "2026-03-01", study("2016-02-29"), "ALL10", "2026-03-01", KEPT),
    Case("9", "2024-02-29", study("2016-02-29"), "UK", "2024-02-29", KEPT),
    Case("12", "2026-01-01", study("2015-05-05", birth="2004-02-29", modality="CR"), "DE", "2032-02-29", KEPT),
    Case("13", "2026-01-01", study("2020-05-05", birth="2008-02-29", modality="CR"), "UK", "2033-03-01", KEPT),
    # Of age on the birthday itself, a minor on the day before.
    Case("15", "2026-01-01", study("2018-06-15", birth="2000-06-15", modality="CR"), "DE", "2028-06-15", KEPT),
    Case("16", "2026-01-01", study("2018-06-14", birth="2000-06-15", modality="CR"), "DE", "2028-06-15", KEPT),
    Case("19", "2026-01-01", study("2021-02-01", birth="2003-09-10"), "UK", "2029-09-10", KEPT),
    Case("20", "2026-01-01", study("2020-02-01", birth="2003-09-10"), "UK", "2028-09-10", KEPT),
    # A newborn's birth date is the day of the study, and no placeholder.
    Case("22", "2026-01-01", study("2010-05-05", birth="2010-05-05", modality="US"), "UK", "2035-05-05", KEPT),
    Case("24", "2026-01-01", study("2015-04-10", modality="MG"), "US", "2025-04-10", DUE),
    Case("25", "2026-01-01", study("2015-04-10", modality="MG", last_study="2019-04-10"), "US", "2029-04-10", KEPT),
    Case("26", "2026-09-01", study("2021-08-01", birth="2006-01-20", modality="MG"), "US", "2031-08-01", KEPT),
    Case("28", "2026-01-01", study("2019-09-09", birth="2012-03-03", modality="RTDOSE"), "DE", "2049-09-09", KEPT),
    # Holds are looked up elsewhere: the date is the same with one, and once it is released.
    Case("30", "2026-03-06", study(), "ALL10&HOLD", "2026-03-05", DUE),
    Case("31", "2026-03-06", study(), "ALL10", "2026-03-05", DUE),
    # What is missing matters where a rule asks for it.
    Case("33", "2026-03-06", study(birth=None), "DE", "2026-03-05", LISTED),
    Case("34", "2026-03-06", study(birth=None), "ALL10", "2026-03-05", DUE),
    Case("35", "2026-03-06", study(None, received="2016-03-05", last_study="2016-03-05"), "ST10", None, LISTED),
    Case("37", "2026-03-06", study("2005-03-03", birth="1960-01-02"), "FR", "1988-01-02", LISTED),
    Case(
        "38",
        "2026-03-06",
        study("2005-03-03", birth="1960-01-02", anchors={"last contact": "2005-11-20"}),
        "FR",
        "2025-11-20",
        DUE,
    ),
    Case(
        "39",
        "2026-03-06",
        study("2006-01-15", birth="2003-07-07", anchors={"last contact": "2006-02-02"}),
        "FR",
        "2031-07-07",
        KEPT,
    ),
    # A death long after the last contact keeps longer than the law asks.
    Case(
        "41",
        "2026-03-06",
        study("2001-05-05", birth="1940-01-02", anchors={"last contact": "2001-05-05", "death": "2019-08-08"}),
        "FR",
        "2029-08-08",
        KEPT,
    ),
    Case(
        "42",
        "2026-03-02",
        study("1996-02-01", modality="CR", anchors={"last contact": "1996-03-01"}),
        "BE",
        "2026-03-01",
        DUE,
    ),
    Case(
        "43",
        "2026-03-06",
        study("2001-02-02", modality="MR", anchors={"trial end": "2001-11-30"}),
        "ALL10&TRIAL",
        "2026-11-30",
        KEPT,
    ),
    # A date to come is none; a day ahead may be another time zone's today.
    Case("45", "2026-03-06", study("2062-03-05", received="2016-03-05"), "ALL10", None, LISTED),
    Case(
        "46",
        "2026-03-05",
        study("2026-03-06", received="2026-03-05"),
        "ALL10",
        "2036-03-06",
        KEPT,
        zone="Europe/Berlin",
    ),
    # Birth dates that are none.
    Case("47", "2026-03-06", study("2018-05-05", birth="2019-01-01", modality="US"), "DE", "2028-05-05", LISTED),
    Case("48", "2026-03-06", study(birth="1900-01-01"), "DE", "2026-03-05", LISTED),
    Case("50", "2026-03-06", study(birth="2011-02-30"), "DE", "2026-03-05", LISTED),
    Case("51", "2026-03-06", study(birth=("2000-06-15", "1990-06-15")), "DE", "2026-03-05", LISTED),
    Case("52", "2026-03-06", study(("2016-03-05", "2016-03-06")), "ALL10", None, LISTED),
    # A child under another's birth date: PatientAge tells, and without it nothing does.
    Case(
        "53",
        "2026-03-06",
        study(birth="1988-08-08", modality="CR", attributes={"PatientAge": values("012Y")}),
        "DE",
        "2026-03-05",
        LISTED,
    ),
    Case("54", "2026-03-06", study(birth="1988-08-08", modality="CR"), "DE", "2026-03-05", DUE),
    Case("55", "2026-03-06", study(last_study="2021-09-09"), "ALL10", "2031-09-09", KEPT),
    # No rule, no end; and a rule for ever is stronger than any date.
    Case("57", "2026-03-06", study(), "MGONLY", None, LISTED),
    Case("58", "2026-03-06", study("1990-03-05", modality="XA"), "ALL10&EVER", None, FOREVER),
    Case("59", "2026-03-06", study("2015-01-02", modality="DX"), "PL", "2025-12-31", DUE),
    # Instants are days of the policy's time zone.
    Case("60", "@2026-03-05T23:30:00", study(), "ALL10", "2026-03-05", DUE, zone="Europe/Berlin"),
    Case(
        "62",
        "2026-03-06",
        study(received=datetime(2016, 3, 5, 23, 30, tzinfo=UTC)),
        "ALL10",
        "2026-03-06",
        KEPT,
        zone="Europe/Berlin",
    ),
    # That day has no midnight in Cairo: it begins at one o'clock.
    Case("64", "@2026-04-23T22:00:00", study("2016-04-23"), "ALL10", "2026-04-23", DUE, zone="Africa/Cairo"),
    Case("64a", "@2026-04-23T21:59:59", study("2016-04-23"), "ALL10", "2026-04-23", KEPT, zone="Africa/Cairo"),
    Case("67", "2026-03-06", study(received=None), "ALL10", None, LISTED),
    # Sets of rules of which no other case speaks.
    Case("minor", "2026-01-01", study("2019-05-05", birth="2003-02-02"), "AU", "2028-02-02", KEPT),
    Case("120", "2089-12-31", study(), "AGE120", "2090-04-04", KEPT),
    Case("of age plus ten", "2026-01-01", study("2010-05-05", birth="1995-02-28"), "MAJ18+10", "2023-02-28", DUE),
]
RULES["HOLD"] = '[[hold]]\nname = "litigation"\nlist = "litigation.csv"\n'


def judged(case: Case) -> Judgement:
    rules = policy("".join(RULES[name] for name in case.rules.split("&")), head=f'time_zone = "{case.zone}"')
    if case.today.startswith("@"):
        return judge(rules, case.facts, local_day(rules, datetime.fromisoformat(case.today[1:]).replace(tzinfo=UTC)))
    return judge(rules, case.facts, date.fromisoformat(case.today))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.number)
def test_a_study_is_judged_as_it_was_worked_out(case: Case) -> None:
    """Its last day, and what that means today."""
    judgement = judged(case)
    last_day = date.fromisoformat(case.last_day) if case.last_day else None
    assert (judgement.keep_until, judgement.state) == (last_day, case.state)
    assert (judgement.state is LISTED) == bool(judgement.doubts)
