"""What docs/retention.md and its sample policies say of studies is what the code does."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from purge_study.planning import wording
from purge_study.policy.facts import StudyFacts
from purge_study.policy.model import Policy
from purge_study.policy.policy import State, judge
from purge_study.policy.reading import read_policy
from tests.kit.studies import BORN, study, values

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/retention.md").read_text()
SAMPLES = ROOT / "docs/retention"


def section(heading: str) -> str:
    return TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def table(heading: str) -> list[list[str]]:
    """Return the cells of a section's first table, without its head."""
    lines = [line for line in section(heading).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def known(cell: str) -> str | None:
    return None if cell == "—" else cell


@pytest.mark.parametrize("row", table("Examples"), ids=" ".join)
def test_an_example_comes_true(row: list[str]) -> None:
    """By the policy of the document."""
    day, received, birth, modality, last, besides, state, last_day, _ = row
    more = dict(item.rsplit(" ", 1) for item in besides.split(", ") if item)
    age = more.pop("PatientAge", None)
    facts = study(
        known(day),
        received=known(received),
        birth=known(birth),
        modality=modality,
        last_study=known(last),
        anchors=more,
        attributes={"PatientAge": values(age)},
    )
    policy = read_policy(section("The policy").partition("```toml\n")[2].partition("```")[0].encode())
    judgement = judge(policy, facts, date(2026, 3, 6))
    assert judgement.state is {"due": State.DUE, "kept": State.KEPT, "listed": State.UNKNOWN}[state]
    assert last_day == (
        "—" if judgement.keep_until is None else f"{'≥ ' * bool(judgement.doubts)}{judgement.keep_until}"
    )


def test_every_code_is_documented() -> None:
    """Whoever finds a code in a log or on a page finds it in the document, too."""
    codes = {*wording.REPORTS, *wording.OBSTACLES, *wording.BRAKES, *wording.WAITS}
    assert {code for code in codes if f"`{code}`" not in TEXT} == set()


def sample(country: str) -> Policy:
    return read_policy((SAMPLES / f"{country}.toml").read_bytes())


def of(
    day: str,
    description: str | None = None,
    *,
    birth: str | None = BORN,
    modality: str | tuple[str, ...] = "CT",
    **dates: str,
) -> StudyFacts:
    """Return a study of that day; the dates are those of lists."""
    anchors = {name.replace("_", " "): found for name, found in dates.items()}
    facts = study(day, birth=birth, modality=modality, anchors=anchors)
    if description:
        facts = replace(facts, attributes={**facts.attributes, "StudyDescription": values(description)})
    return facts


CHILD, MARCH_2016 = "2008-08-08", "2016-03-05"
LISTED = None
TREATED, ENTERED = {"completion_of_treatment": "2017-01-01"}, {"last_entry": "2016-04-01"}
STUDIES = [
    # The last day by hand; none where a date is missing that only a list can have.
    ("england", of(MARCH_2016, last_seen="2019-01-31"), "2027-01-31"),
    ("england", of(MARCH_2016, last_seen="2016-03-05", modality="MG"), "2026-03-05"),
    ("england", of(MARCH_2016, last_seen="2016-03-05", birth=CHILD), "2034-08-08"),
    ("england", of(MARCH_2016), LISTED),
    ("usa", of(MARCH_2016), "2023-03-05"),
    ("usa", of(MARCH_2016, modality="MG"), "2026-03-05"),
    ("usa", of(MARCH_2016, birth=CHILD), "2031-08-08"),
    ("usa", of(MARCH_2016, birth=None), LISTED),
    ("germany", of(MARCH_2016), "2026-03-05"),
    ("germany", of(MARCH_2016, birth=CHILD), "2036-08-08"),
    ("germany", of(MARCH_2016, modality="RTDOSE"), LISTED),
    ("germany", of(MARCH_2016, modality="RTDOSE", last_radiotherapy="2017-05-01"), "2047-05-01"),
    ("france", of("2005-03-03", last_visit="2005-11-20"), "2025-11-20"),
    ("france", of("2005-03-03", last_visit="2005-11-20", death="2019-08-08"), "2029-08-08"),
    ("france", of("2005-03-03", last_visit="2005-11-20", birth="2003-07-07"), "2031-07-07"),
    ("france", of("2005-03-03"), LISTED),
    ("netherlands", of("2005-03-03", last_change_of_the_file="2006-01-01"), "2026-01-01"),
    ("netherlands", of("2005-03-03"), LISTED),
    ("belgium", of("1996-02-01", last_contact="1996-03-01"), "2026-03-01"),
    ("belgium", of("1996-02-01"), LISTED),
    ("australia", of(MARCH_2016, last_entry="2016-03-05"), "2023-03-05"),
    ("australia", of(MARCH_2016, last_entry="2016-03-05", birth=CHILD), "2033-08-08"),
    ("australia", of(MARCH_2016), LISTED),
    ("japan", of(MARCH_2016, "chest, standing", **TREATED), "2022-01-01"),
    *(
        ("japan", of(MARCH_2016, text, **TREATED), "2023-03-05")
        for text in (
            "胸部 塵肺",
            "塵肺健診",
            "胸部塵肺健診",
            "じん肺健康診断",
            "PNEUMOCONIOSIS screening",
            "Pneumoconioses",
        )
    ),
    ("japan", of(MARCH_2016, **TREATED), LISTED),
    ("poland", of("2015-01-02", modality="DX"), "2025-12-31"),
    ("poland", of("2015-01-02", modality=("DX", "CT")), "2035-12-31"),
    ("poland", of("2015-01-02", modality="DX", birth="2014-06-01"), "2037-12-31"),
    ("poland", of("2015-01-02", modality="EEG"), LISTED),
    ("canada", of(MARCH_2016, "knee", **ENTERED), "2026-04-01"),
    ("canada", of(MARCH_2016, "knee", birth=CHILD, **ENTERED), "2036-08-08"),
    ("canada", of(MARCH_2016, "Obstetric US", **ENTERED), "2045-03-05"),
    ("canada", of(MARCH_2016, "knee"), LISTED),
]


@pytest.mark.parametrize(("country", "facts", "last_day"), STUDIES)
def test_a_sample_says_what_its_comments_say(country: str, facts: StudyFacts, last_day: str | None) -> None:
    """Of adults, children, special examinations, and of what DICOM does not know."""
    judgement = judge(sample(country), facts, date(2026, 11, 25))
    if last_day is LISTED:
        assert judgement.state is State.UNKNOWN
    else:
        assert (judgement.keep_until, judgement.doubts) == (date.fromisoformat(last_day), ())


def test_samples() -> None:
    """Each is tried, is no legal advice, has no list in vain, and lists a study of which nothing is known."""
    countries = {country for country, _, _ in STUDIES}
    assert {file.stem for file in SAMPLES.iterdir()} == countries
    nothing = study(None, birth=None, modality=None, received=None, last_study=None)
    for country in countries:
        policy = sample(country)
        used = {name for rule in policy.rule for name in (*rule.from_, *rule.from_if_known)}
        assert {anchor.name for anchor in policy.anchor} <= used
        assert policy.brakes.min_age_days == 30
        assert "NOT LEGAL ADVICE" in (SAMPLES / f"{country}.toml").read_text()
        assert judge(policy, nothing, date(2026, 11, 25)).state is State.UNKNOWN
