"""What of a study is beyond doubt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from .dates import OLDEST_YEARS, PLACEHOLDERS, add_days, age_on, fits_age, local_day, may_be, parse_da
from .facts import StudyFacts, Values
from .model import Policy


@dataclass(frozen=True)
class Known:
    """A study with the dates that rules may count from.

    Args:
        facts: as they were read.
        dates: `study_date`, `received`, `patient_last_study`, `birth_date` and those of lists, by the anchor's name.
            One that is not there is not known.
        next_to_come: the first of its dates that lies in the future, and so is not known yet; None if none does.
    """

    facts: StudyFacts
    dates: Mapping[str, date]
    next_to_come: date | None = None

    def is_unclear(self, name: str) -> bool:
        """Say whether a list is unclear about the patient, or its date is impossible."""
        return name in self.facts.anchors and not may_be(self.facts.anchors[name])


def known_of(policy: Policy, facts: StudyFacts, today: date) -> Known:
    """Resolve the dates of a study on a day of the policy's time zone."""
    # Somewhere it is tomorrow already; what is later has not happened.
    latest = add_days(today, 1) or date.max
    study_date = _study_date(facts.attributes.get("StudyDate", Values()), latest)
    received = local_day(policy.zone, facts.received) if facts.received else None
    dates = {
        **{name: _likely(day, latest) for name, day in facts.anchors.items()},
        "study_date": study_date,
        "received": received if received and received <= latest else None,
        "patient_last_study": _last(_study_date(values, latest) for values in facts.patient_studies or ()),
        "birth_date": _birth_date(policy, facts, study_date),
    }
    to_come = [day for day in (*_all_dates(facts), received) if day and day > latest and may_be(day)]
    return Known(facts, {name: day for name, day in dates.items() if day}, min(to_come, default=None))


def _all_dates(facts: StudyFacts) -> Iterator[date | None]:
    """Yield the dates from which rules may count, of receptions apart, whether they can be or not."""
    yield from facts.anchors.values()
    studies = (facts.attributes.get("StudyDate", Values()), *(facts.patient_studies or ()))
    yield from map(_the_one, studies)


def _the_one(values: Values) -> date | None:
    """Return the date that every instance has."""
    return parse_da(next(iter(values.found))) if values.is_complete and len(values.found) == 1 else None


def _study_date(values: Values, latest: date) -> date | None:
    day = _the_one(values)
    return _likely(day, latest) if day else None


def _likely(day: date, latest: date) -> date | None:
    """Return a day on which something may have happened to a patient."""
    return day if may_be(day) and day <= latest else None


def _last(days: Iterable[date | None]) -> date | None:
    """Return the last of some days; None where one of them is not known, for it may be later."""
    found = list(days)
    known = [day for day in found if day]
    return max(known) if known and len(known) == len(found) else None


def _birth_date(policy: Policy, facts: StudyFacts, study_date: date | None) -> date | None:
    """Return the birth date, if nothing speaks against it; without the day of the study nothing could."""
    birth = _the_one(facts.attributes.get("PatientBirthDate", Values()))
    if birth is None or study_date is None or _is_placeholder(policy, birth):
        return None
    others = _other_birth_dates(policy, facts)
    is_agreed = others is not None and others <= {birth}
    is_likely = birth <= study_date and age_on(birth, study_date) <= OLDEST_YEARS
    return birth if is_agreed and is_likely and all(fits_age(age, birth, study_date) for age in _ages(facts)) else None


def _is_placeholder(policy: Policy, birth: date) -> bool:
    """Say whether a birth date is what a system writes that knows none."""
    return birth in PLACEHOLDERS or birth in policy.policy.placeholder_birth_dates


def _other_birth_dates(policy: Policy, facts: StudyFacts) -> set[date | None] | None:
    """Return the birth dates that the patient's other studies have, None for one that is no day.

    None if it is not known which they have.
    """
    if facts.patient_birth_dates is None:
        return None
    days = set(map(parse_da, facts.patient_birth_dates))
    return {day for day in days if day is None or not _is_placeholder(policy, day)}


def _ages(facts: StudyFacts) -> Iterator[str]:
    yield from facts.attributes.get("PatientAge", Values()).found
