"""The sample policies of the documents: each can be read, and says of some studies what its comments say."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from purge_study.policy.facts import StudyFacts, Values
from purge_study.policy.model import Policy
from purge_study.policy.policy import State, judge
from purge_study.policy.reading import read_policy
from tests.kit.studies import study

SAMPLES = Path(__file__).parents[2] / "docs/retention"
TODAY = date(2026, 11, 25)
LISTED = "listed"


def sample(country: str) -> Policy:
    return read_policy((SAMPLES / f"{country}.toml").read_bytes())


def described(text: str, facts: StudyFacts) -> StudyFacts:
    return StudyFacts(
        facts.partition,
        {**facts.attributes, "StudyDescription": Values(frozenset({text}), True)},
        facts.received,
        facts.patient_studies,
        facts.anchors,
    )


CHILD = "2008-08-08"
STUDIES = [
    # The last day by hand; `listed` where a date is missing that only a list can have.
    ("england", study("2016-03-05", anchors={"last seen": "2019-01-31"}), "2027-01-31"),
    ("england", study("2016-03-05", anchors={"last seen": "2016-03-05"}, modality="MG"), "2026-03-05"),
    ("england", study("2016-03-05", anchors={"last seen": "2016-03-05"}, birth=CHILD), "2034-08-08"),
    ("england", study("2016-03-05"), LISTED),
    ("usa", study("2016-03-05"), "2023-03-05"),
    ("usa", study("2016-03-05", modality="MG"), "2026-03-05"),
    ("usa", study("2016-03-05", birth=CHILD), "2031-08-08"),
    ("usa", study("2016-03-05", birth=None), LISTED),
    ("germany", study("2016-03-05"), "2026-03-05"),
    ("germany", study("2016-03-05", birth=CHILD), "2036-08-08"),
    ("germany", study("2016-03-05", modality="RTDOSE"), LISTED),
    ("germany", study("2016-03-05", modality="RTDOSE", anchors={"last radiotherapy": "2017-05-01"}), "2047-05-01"),
    ("france", study("2005-03-03", anchors={"last visit": "2005-11-20"}), "2025-11-20"),
    ("france", study("2005-03-03", anchors={"last visit": "2005-11-20", "death": "2019-08-08"}), "2029-08-08"),
    ("france", study("2005-03-03", birth="2003-07-07", anchors={"last visit": "2005-11-20"}), "2031-07-07"),
    ("france", study("2005-03-03"), LISTED),
    ("netherlands", study("2005-03-03", anchors={"last change of the file": "2006-01-01"}), "2026-01-01"),
    ("netherlands", study("2005-03-03"), LISTED),
    ("belgium", study("1996-02-01", anchors={"last contact": "1996-03-01"}), "2026-03-01"),
    ("belgium", study("1996-02-01"), LISTED),
    ("australia", study("2016-03-05", anchors={"last entry": "2016-03-05"}), "2023-03-05"),
    ("australia", study("2016-03-05", anchors={"last entry": "2016-03-05"}, birth=CHILD), "2033-08-08"),
    ("australia", study("2016-03-05"), LISTED),
    (
        "japan",
        described("chest, standing", study("2016-03-05", anchors={"completion of treatment": "2017-01-01"})),
        "2022-01-01",
    ),
    *(
        ("japan", described(text, study("2016-03-05", anchors={"completion of treatment": "2017-01-01"})), "2023-03-05")
        for text in (
            "胸部 塵肺",
            "塵肺健診",
            "胸部塵肺健診",
            "じん肺健康診断",
            "PNEUMOCONIOSIS screening",
            "Pneumoconioses",
        )
    ),
    ("japan", study("2016-03-05", anchors={"completion of treatment": "2017-01-01"}), LISTED),
    ("poland", study("2015-01-02", modality="DX"), "2025-12-31"),
    ("poland", study("2015-01-02", modality=("DX", "CT")), "2035-12-31"),
    ("poland", study("2015-01-02", modality="DX", birth="2014-06-01"), "2037-12-31"),
    ("poland", study("2015-01-02", modality="EEG"), LISTED),
    ("canada", described("knee", study("2016-03-05", anchors={"last entry": "2016-04-01"})), "2026-04-01"),
    ("canada", described("knee", study("2016-03-05", anchors={"last entry": "2016-04-01"}, birth=CHILD)), "2036-08-08"),
    ("canada", described("Obstetric US", study("2016-03-05", anchors={"last entry": "2016-04-01"})), "2045-03-05"),
    ("canada", described("knee", study("2016-03-05")), LISTED),
]


@pytest.mark.parametrize(("country", "facts", "last_day"), STUDIES)
def test_a_sample_says_what_its_comments_say(country: str, facts: StudyFacts, last_day: str) -> None:
    """Of adults, children, special examinations, and of what DICOM does not know."""
    judgement = judge(sample(country), facts, TODAY)
    if last_day == LISTED:
        assert judgement.state is State.UNKNOWN
    else:
        assert (judgement.keep_until, judgement.doubts) == (date.fromisoformat(last_day), ())


def test_every_sample_is_tried() -> None:
    """None lies there unread."""
    assert {file.stem for file in SAMPLES.iterdir()} == {country for country, _, _ in STUDIES}


@pytest.mark.parametrize("country", sorted({country for country, _, _ in STUDIES}))
def test_a_sample_says_what_it_is(country: str) -> None:
    """No legal advice; what to confirm; which lists it needs: those that it names."""
    text = (SAMPLES / f"{country}.toml").read_text()
    for words in ("NOT LEGAL ADVICE", "To confirm:", "Lists needed:", "#:schema ../retention-policy.schema.json"):
        assert words in text
    policy = sample(country)
    used = {name for rule in policy.rule for name in (*rule.from_, *rule.from_if_known)}
    assert {anchor.name for anchor in policy.anchor} <= used
    assert policy.brakes.min_age_days == 30


def test_a_study_of_which_nothing_is_known_is_kept() -> None:
    """And listed, by every sample."""
    nothing = study(None, birth=None, modality=None, received=None, last_study=None)
    for country in {country for country, _, _ in STUDIES}:
        assert judge(sample(country), nothing, TODAY).state is State.UNKNOWN
