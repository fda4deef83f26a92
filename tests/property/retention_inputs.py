"""Studies and policies of all kinds, for properties of retention; most have an end, in some much is unknown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Any, TypeVar

from hypothesis import strategies as st

from purge_study.policy.facts import StudyFacts, Values
from purge_study.policy.model import ANCHORS, Policy
from purge_study.policy.policy import Judgement, State
from tests.kit.studies import values

T = TypeVar("T")
Table = dict[str, Any]
LISTS = ("last seen", "death")
TODAY = date(2026, 3, 6)

# Drawn from short lists: days next to each other, leap days, and spans around the years that rules have.
_NEIGHBOURS = """
1998-03-06 2000-02-29 2004-02-29 2008-03-05 2008-03-06 2008-03-07 2010-12-31 2015-12-31 2016-02-29 2016-03-01
2016-03-05 2016-03-06 2016-03-07 2018-06-14 2018-06-15 2024-02-29 2025-12-31 2026-03-06 2026-03-07 2026-03-08
"""
DAYS = [date(year, 1, 1) for year in range(1992, 2026)] + [date.fromisoformat(day) for day in _NEIGHBOURS.split()]
MOMENTS = [datetime.combine(day, time(hour), UTC) for day in DAYS for hour in (0, 23)]
KNOWN = [values(str(day)) for day in DAYS]
UNKNOWN = [
    Values(),
    values("2016-03-05", None),
    values("2016-03-05", "2016-03-06"),
    *map(values, ("1900-01-01", "2011-02-30", "9999-12-31", "", "soon")),
]


def pick(items: Sequence[T]) -> st.SearchStrategy[T]:
    """Draw one; by its number, for hypothesis spells out what it samples from."""
    return st.integers(0, len(items) - 1).map(lambda number: items[number])


def mostly(usual: Sequence[T], other: Sequence[T]) -> st.SearchStrategy[T]:
    """Draw from two lists, from the second one at times."""
    return pick([*usual] * max(1, 8 * len(other) // len(usual)) + [*other])


days = pick(DAYS)
dated = mostly(KNOWN, UNKNOWN)


def worded(one: str, other: str) -> st.SearchStrategy[Values]:
    return mostly([values(one), values(other), values(one, other)], [values(one, None), values(None, other), Values()])


ATTRIBUTES = {
    "StudyDate": dated,
    "PatientBirthDate": dated,
    "Modality": worded("CT", "MG"),
    "StudyDescription": worded("knee", "head and neck"),
    "InstitutionName": worded("North", "South"),
}
AGES = [values(*found) for found in ([], ["000Y"], ["010Y"], ["017Y"], ["018Y", None], ["018Y", "030Y"])]


@st.composite
def studies(draw: st.DrawFn, *, ages: bool = True) -> StudyFacts:
    attributes = {keyword: draw(of) for keyword, of in ATTRIBUTES.items()}
    if ages:
        attributes["PatientAge"] = draw(mostly([Values()], AGES))
    own = attributes["StudyDate"]
    others = draw(mostly([()], [None, *((values,) for values in KNOWN + UNKNOWN)]))
    return StudyFacts(
        draw(st.sampled_from(["site-a", "site-b"])),
        attributes,
        draw(mostly(MOMENTS, [None])),
        None if others is None else (own, *others),
        dict(zip(LISTS, draw(st.lists(days, max_size=2)), strict=False)),
        None if others is None else frozenset(),
    )


TIMELESS: list[Table] = [
    {"modality": ["MG"]},
    {"description_words": ["knee"]},
    {"partition": ["site-a"]},
    {"attribute": {"InstitutionName": ["North"]}},
    {"modality": ["CT"], "institution": ["North", "South"]},
]
_AGES = [f"{which}_{side}" for which in ("age_at_study", "age_at_last_study") for side in ("below", "from")]
TIMELY: list[Table] = [
    *({which: age} for which in _AGES for age in (1, 8, 18, 30)),
    *({which: day} for which in ("study_date_before", "study_date_from") for day in DAYS[-12:]),
    {"age_at_last_study_from": 10, "age_at_study_below": 18},
]
timeless = pick(TIMELESS)


def condition(draw: st.DrawFn, leaves: st.SearchStrategy[Table], depth: int = 2) -> Table:
    """Draw a condition, nested at times."""
    shape = draw(st.integers(0, 5)) if depth else 0
    if shape < 3:
        return draw(leaves)
    inner = [condition(draw, leaves, depth - 1) for _ in range(1 if shape == 3 else 2)]
    return {"not": inner[0]} if shape == 3 else {"any" if shape == 4 else "all": inner}


@st.composite
def rules_for(draw: st.DrawFn, leaves: st.SearchStrategy[Table]) -> Table:
    rule: Table = {"when": condition(draw, leaves)} if draw(st.booleans()) else {}
    period = draw(pick([*["keep_years"] * 7, *["keep_until_age"] * 2, "keep_forever"]))
    if period == "keep_forever":
        return {**rule, period: True}
    if period == "keep_years" and draw(st.booleans()):
        rule["from"] = draw(st.lists(mostly(ANCHORS, LISTS), min_size=1, max_size=2))
        rule["from_if_known"] = draw(pick([(), LISTS[:1], LISTS]))
    if draw(st.booleans()):
        rule["round_to"] = "year_end"
    return {**rule, period: draw(pick([1, 2, 8, 10, 18, 20, 30]))}


rules = rules_for(pick(TIMELESS + TIMELY))


@st.composite
def rules_of_dates(draw: st.DrawFn) -> Table:
    """Draw a rule that is for every study and counts from lists."""
    first = draw(st.sampled_from([["study_date"], ["study_date", "patient_last_study"], ["study_date", LISTS[0]]]))
    return {"keep_years": draw(st.sampled_from([1, 8, 15])), "from": first, "from_if_known": draw(pick([(), LISTS]))}


def life(judgement: Judgement) -> date:
    """The last day; where there is none, or somebody has to look first, there is no end."""
    return date.max if judgement.state in (State.UNKNOWN, State.FOREVER) else judgement.keep_until or date.min


def policy_of(*entries: Table, **more: Any) -> Policy:
    """Return a policy of rules that have no name yet."""
    return Policy.model_validate(
        {
            "policy": {"time_zone": "UTC"},
            "rule": [{"name": f"rule {number}", **entry} for number, entry in enumerate(entries)],
            "anchor": [{"name": name, "list": f"{name}.csv", "max_age_days": 7} for name in LISTS],
            "brakes": {"min_age_days": 0},
            **more,
        }
    )


rulebooks = st.lists(rules, min_size=1, max_size=3)
