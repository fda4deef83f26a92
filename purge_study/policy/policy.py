"""How long a study is kept, by the rules: pure functions, equal inputs, equal judgement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from .facts import StudyFacts
from .model import Policy


class State(StrEnum):
    """What is to become of a study today."""

    KEPT = "kept"  # its last day has not passed
    DUE = "due"  # it has
    FOREVER = "forever"
    UNKNOWN = "unknown"  # kept, and listed: somebody has to look


@dataclass(frozen=True)
class Doubt:
    """Why a study is kept although nobody knows until when.

    Args:
        code: `undated` (an anchor is not known), `unknown` (a condition is not), `no_rule` (none matches).
        rule: which rule is in doubt; None for `no_rule`.
        about: what is not known: an anchor's name or attribute keywords; never a value.
    """

    code: str
    rule: str | None = None
    about: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judgement:
    """What the rules say of a study.

    Args:
        state: today.
        keep_until: the last day on which it is kept; of UNKNOWN the least that the rules that are known come to, of
            FOREVER None.
        rule: the name of the rule whose date that is.
        dates: from which dates, by anchor: `study_date`, `received`, `patient_last_study`, `birth_date`, `minimum_age`
            or the name of a list.
        doubts: what is not known.
    """

    state: State
    keep_until: date | None = None
    rule: str | None = None
    dates: Mapping[str, date] = field(default_factory=dict)
    doubts: tuple[Doubt, ...] = ()


def judge(policy: Policy, facts: StudyFacts, today: date) -> Judgement:
    """Judge a study on a day of the policy's time zone.

    Every rule that matches counts, the latest date wins; a rule that is unknown for the study keeps it. A study goes
    after the end of its last day, and not before `min_age_days` after its newest instance was received.
    """
    raise NotImplementedError


def needed_keywords(policy: Policy) -> frozenset[str]:
    """Return the keywords of all attributes that judging, holds and the plan's chart need."""
    raise NotImplementedError


def local_day(policy: Policy, when: datetime) -> date:
    """Return the day of the policy's time zone on which an instant falls."""
    return when.astimezone(policy.zone).date()
