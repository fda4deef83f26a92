"""Studies as the rules of retention see them, from a few words; and policies that tests share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time

from purge_study.policy.facts import StudyFacts, Values
from purge_study.policy.model import Policy
from purge_study.policy.reading import read_policy
from shared.dicomweb.partitions import DEFAULT_PARTITION

BORN = "1970-04-04"


def policy(rules: str, *, head: str = 'time_zone = "UTC"', rest: str = "[brakes]\nmin_age_days = 0\n") -> Policy:
    """Return a policy of some rules, in TOML; without a minimum age unless the rest says otherwise."""
    return read_policy(f"[policy]\n{head}\n{rules}\n{rest}".encode())


def values(*found: str | None) -> Values:
    """Return an attribute's values: one for each instance, None where one has none."""
    given = [value.replace("-", "") if value[:4].isdigit() else value for value in found if value is not None]
    return Values(frozenset(given), bool(found) and len(given) == len(found))


def study(
    study_date: str | tuple[str, ...] | None = "2016-03-05",
    *,
    received: str | datetime | None = "=",
    birth: str | tuple[str, ...] | None = BORN,
    modality: str | tuple[str, ...] | None = "CT",
    last_study: str | None = "=",
    anchors: Mapping[str, str] | None = None,
    attributes: Mapping[str, Values] | None = None,
    partition: str = DEFAULT_PARTITION,
) -> StudyFacts:
    """Return a study.

    Args:
        study_date: `yyyy-mm-dd`; several where instances disagree, None where they have none.
        received: a day (noon, UTC) or an instant; `=` is the day of the study.
        birth: as `study_date`.
        modality: of its instances.
        last_study: StudyDate of another study of the patient; `=` where there is none, None where it is not known
            whose study this is.
        anchors: dates of lists, `yyyy-mm-dd`.
        attributes: what else its instances have.
        partition: of the service.
    """
    own = _values(study_date)
    others = () if last_study in ("=", None) else (values(last_study),)
    return StudyFacts(
        partition,
        {
            "StudyDate": own,
            "PatientBirthDate": _values(birth),
            "Modality": _values(modality),
            **(attributes or {}),
        },
        _instant(study_date if received == "=" else received),
        None if last_study is None else (own, *others),
        {name: date.fromisoformat(day) for name, day in (anchors or {}).items()},
        None if last_study is None else frozenset(),
    )


def _values(found: str | tuple[str, ...] | None) -> Values:
    return values(*(found if isinstance(found, tuple) else (found,)))


def _instant(received: object) -> datetime | None:
    if isinstance(received, tuple):
        received = received[0]
    if isinstance(received, str):
        return datetime.combine(date.fromisoformat(received), time(12), UTC)
    return received if isinstance(received, datetime) else None
