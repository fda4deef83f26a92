"""What holds for all days, and for all that may stand in a policy's place."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from purge_study.policy.contradictions import contradiction
from purge_study.policy.dates import add_years, age_on, local_day, parse_da, year_end
from purge_study.policy.facts import StudyFacts
from purge_study.policy.impossible import impossible
from purge_study.policy.model import Policy
from purge_study.policy.policy import judge, matching_rules
from purge_study.policy.reading import PolicyError, read_policy
from tests.property.retention_inputs import TODAY, policy_of, rules, studies

ZONES = ("UTC", "Europe/Berlin", "Africa/Cairo", "Pacific/Apia", "America/St_Johns")


@given(st.dates(), st.integers(0, 9999))
@example(date(2016, 2, 29), 10)
@example(date(9999, 12, 31), 1)
def test_a_day_some_years_on_is_that_day_or_the_next(day: date, years: int) -> None:
    """29 February becomes 1 March where there is none, and beyond the year 9999 there is nothing."""
    later = add_years(day, years)
    if later is None:
        assert day.year + years > 9999
        return
    assert later.year == day.year + years
    assert (later.month, later.day) == (day.month, day.day) or ((day.month, day.day), (later.month, later.day)) == (
        (2, 29),
        (3, 1),
    )
    assert day <= later <= year_end(later)


@given(st.dates(max_value=date(9000, 1, 1)), st.integers(0, 900))
@example(date(2000, 2, 29), 18)
def test_one_is_of_an_age_from_the_birthday_on(birth: date, years: int) -> None:
    """And not on the day before."""
    birthday = add_years(birth, years)
    assert birthday is not None
    assert age_on(birth, birthday) == years
    assert birthday == date.min or age_on(birth, birthday - timedelta(1)) == years - 1


@given(
    st.text(max_size=10) | st.dates().map(lambda day: f"{day:%Y%m%d}") | st.integers(0, 99_999_999).map("{:08}".format)
)
def test_a_da_value_is_a_day_of_the_calendar_or_none(text: str) -> None:
    """Read and written it is the same."""
    day = parse_da(text)
    assert day is None or day.strftime("%Y%m%d").rjust(8, "0") == text


@given(st.datetimes(datetime(1970, 1, 2), datetime(2090, 1, 1), timezones=st.just(UTC)), st.sampled_from(ZONES))
@example(datetime(2026, 4, 23, 21, 59, 59, tzinfo=UTC), "Africa/Cairo")
@example(datetime(2011, 12, 30, 9, 59, 59, tzinfo=UTC), "Pacific/Apia")
def test_days_of_a_zone_follow_each_other(instant: datetime, zone: str) -> None:
    """Also where a day has no midnight, or was left out of the calendar."""
    day, next_second = (local_day(ZoneInfo(zone), instant + timedelta(seconds=more)) for more in (0, 1))
    assert abs((day - instant.date()).days) <= 1
    assert timedelta(0) <= next_second - day <= timedelta(2)


def test_a_day_without_midnight_begins_later() -> None:
    """In Cairo on 24 April 2026; in Apia there was no 30 December 2011 at all."""
    cairo, apia = ZoneInfo("Africa/Cairo"), ZoneInfo("Pacific/Apia")
    assert local_day(cairo, datetime(2026, 4, 23, 21, 59, 59, tzinfo=UTC)) == date(2026, 4, 23)
    assert local_day(cairo, datetime(2026, 4, 23, 22, tzinfo=UTC)) == date(2026, 4, 24)
    assert local_day(apia, datetime(2011, 12, 30, 9, 59, 59, tzinfo=UTC)) == date(2011, 12, 29)
    assert local_day(apia, datetime(2011, 12, 30, 10, tzinfo=UTC)) == date(2011, 12, 31)


odd = st.one_of(
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.booleans(),
    st.text(max_size=5),
    st.sampled_from(["UTC", "study_date", "19000101", "MG", "year_end"]),
)
keys = st.sampled_from(
    [
        *("policy", "time_zone", "placeholder_birth_dates", "received_counts_from", "rule", "hold", "anchor", "brakes"),
        *("name", "when", "keep_years", "keep_until_age", "keep_forever", "from", "from_if_known", "round_to", "list"),
        *("max_age_days", "modality", "age_at_study_below", "attribute", "any", "not", "per_night", "StudyID"),
    ]
)
contents = st.recursive(
    odd, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)


def toml(value: Any) -> str:
    """Return a value as TOML, in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float):
        return str(value)
    return json.dumps(value, ensure_ascii=isinstance(value, str) and not value.isprintable())


def read(content: bytes) -> Policy | None:
    try:
        return read_policy(content)
    except PolicyError:
        return None


@given(st.dictionaries(keys, contents))
@example({"policy": {"time_zone": "UTC"}, "rule": [{"name": "a", "keep_years": 10**400}]})
def test_what_is_no_policy_is_told_and_nothing_else_happens(tables: dict[str, Any]) -> None:
    """Whatever stands in which table."""
    text = "\n".join(f"{json.dumps(key)} = {toml(value)}" for key, value in tables.items())
    read(text.encode("utf-8", "surrogatepass"))


@given(st.binary(max_size=80))
def test_bytes_that_are_no_policy_are_told_as_such(content: bytes) -> None:
    """Whatever they are."""
    assert read(content) is None


@given(st.lists(rules, max_size=3), studies())
def test_what_is_read_can_be_judged_by(entries: list[dict[str, Any]], facts: StudyFacts) -> None:
    """And means the same as what was written."""
    policy = policy_of(*entries)
    tables = policy.model_dump(mode="json", by_alias=True, exclude_unset=True)
    again = read("\n".join(f"{json.dumps(key)} = {toml(value)}" for key, value in tables.items()).encode())
    if again is None:  # no study meets a condition
        assert any(reason for entry in entries for reason in impossible(entry.get("when")))
        return
    assert again == policy
    assert judge(again, facts, TODAY) == judge(policy, facts, TODAY)


@given(st.lists(rules.map(lambda rule: rule.get("when", {})), min_size=2, max_size=3), studies())
def test_no_study_meets_a_condition_that_contradicts_itself(
    conditions: list[dict[str, Any]], facts: StudyFacts
) -> None:
    """Not even a study of which all is known."""
    when = {"all": [condition for condition in conditions if condition] or [{"modality": ["CT"]}]}
    if contradiction(when):
        assert not matching_rules(policy_of({"when": when, "keep_years": 1}), facts, TODAY)
