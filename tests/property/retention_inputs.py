"""Studies and policies of all kinds, for properties of retention; most have an end, in some much is unknown."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, TypeVar

from hypothesis import strategies as st

from purge_study.policy.facts import StudyFacts, Values
from purge_study.policy.model import ANCHORS, Policy
from tests.retention import values

T = TypeVar("T")
LISTS = ("last seen", "death")
TODAY = date(2026, 3, 6)

days = st.dates(date(1990, 1, 1), date(2026, 3, 20)) | st.sampled_from(
    [date(2004, 2, 29), date(2016, 2, 29), date(2016, 3, 1), date(2008, 3, 6), date(2026, 3, 6), date(2026, 3, 7)]
)


def mostly(usual: st.SearchStrategy[T], other: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    return st.one_of(*[usual] * 7, other)


texts = mostly(days.map(str), st.sampled_from(["1900-01-01", "2011-02-30", "9999-12-31", "", "soon"]))


def instances(of: st.SearchStrategy[str]) -> st.SearchStrategy[Values]:
    """Values of some instances: mostly the same in all, at times different ones or none."""
    return mostly(of.map(values), st.lists(of | st.none(), max_size=3).map(lambda found: values(*found)))


ATTRIBUTES = {
    "StudyDate": texts,
    "PatientBirthDate": texts,
    "Modality": st.sampled_from(["CT", "MG"]),
    "StudyDescription": st.sampled_from(["knee", "head and neck"]),
    "InstitutionName": st.sampled_from(["North", "South"]),
}


@st.composite
def studies(draw: st.DrawFn, *, ages: bool = True) -> StudyFacts:
    attributes = {keyword: draw(instances(of)) for keyword, of in ATTRIBUTES.items()}
    if ages:
        attributes["PatientAge"] = draw(instances(st.sampled_from(["000Y", "010Y", "017Y", "018Y", "030Y"])))
    others = draw(mostly(st.just([]), st.lists(instances(texts), max_size=2)))
    moment = st.datetimes(datetime(2010, 1, 1), datetime(2026, 3, 9), timezones=st.just(UTC))
    return StudyFacts(
        draw(st.sampled_from(["site-a", "site-b"])),
        attributes,
        draw(mostly(moment, st.none())),
        draw(mostly(st.just((attributes["StudyDate"], *others)), st.none())),
        draw(st.dictionaries(st.sampled_from(LISTS), days)),
    )


timeless = st.fixed_dictionaries(
    {},
    optional={
        "modality": st.just(["MG"]),
        "description_words": st.just(["knee"]),
        "partition": st.just(["site-a"]),
        "attribute": st.just({"InstitutionName": ["North"]}),
    },
).filter(bool)
age = st.integers(1, 40)
timely = st.fixed_dictionaries(
    {},
    optional={
        "modality": st.just(["MG"]),
        "study_date_before": days,
        "study_date_from": days,
        "age_at_study_below": age,
        "age_at_study_from": age,
        "age_at_last_study_below": age,
        "age_at_last_study_from": age,
    },
).filter(bool)


def nested(leaves: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.recursive(
        leaves,
        lambda inner: st.fixed_dictionaries(
            {},
            optional={"not": inner, "any": st.lists(inner, min_size=1, max_size=2), "all": st.lists(inner, min_size=1)},
        ).filter(bool),
        max_leaves=4,
    )


def rules_for(leaves: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    names = mostly(st.sampled_from(ANCHORS), st.sampled_from(LISTS))
    when = st.fixed_dictionaries({}, optional={"when": nested(leaves)})
    end = st.fixed_dictionaries({}, optional={"round_to": st.just("year_end")})
    anchors = st.fixed_dictionaries(
        {}, optional={"from": st.lists(names, min_size=1), "from_if_known": st.lists(st.sampled_from(LISTS))}
    )
    period = st.one_of(
        *[st.tuples(st.fixed_dictionaries({"keep_years": st.integers(1, 12)}), anchors, end)] * 3,
        st.tuples(st.fixed_dictionaries({"keep_until_age": st.integers(1, 40)}), end),
        st.tuples(st.just({"keep_forever": True})),
    )
    return st.tuples(when, period).map(
        lambda parts: {**parts[0], **{k: v for part in parts[1] for k, v in part.items()}}
    )


rules = rules_for(timeless | timely)


def policy_of(*entries: dict[str, Any], **more: Any) -> Policy:
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
