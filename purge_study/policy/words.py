"""A judgement in plain words; no value of a patient's in them but dates."""

from __future__ import annotations

from datetime import date

from .model import Policy
from .policy import Doubt, Judgement, State


def in_words(policy: Policy, judgement: Judgement) -> str:
    """Say what is to become of a study, and why.

    Args:
        policy: by which it was judged.
        judgement: of a day.
    """
    doubts = "; ".join(doubt_in_words(doubt) for doubt in judgement.doubts)
    match judgement:
        case Judgement(State.UNKNOWN, None):
            return f"kept, until somebody looks at it: {doubts}"
        case Judgement(State.UNKNOWN, last_day):
            return (
                f"kept, until somebody looks at it: {doubts}; at least until {last_day}: {_reason(policy, judgement)}"
            )
        case Judgement(State.FOREVER):
            return f"kept for ever: {_reason(policy, judgement)}"
        case Judgement(State.DUE, last_day):
            return f"due since the end of {last_day}: {_reason(policy, judgement)}"
        case Judgement(_, last_day):
            return f"kept until {last_day}: {_reason(policy, judgement)}"


def _reason(policy: Policy, judgement: Judgement) -> str:
    """Say which rule counts, and from what: `rule everything else, 10 years from patient_last_study 2020-07-01`."""
    rule = next((rule for rule in policy.rule if rule.name == judgement.rule), None)
    parts = [f"rule {judgement.rule}"]
    if "minimum_age" in judgement.dates:
        parts = [
            f"{policy.brakes.min_age_days} days from received {judgement.dates['minimum_age']}, the least; {parts[0]}"
        ]
    elif rule and rule.keep_years:
        parts.append(f"{_count(rule.keep_years)} from {_latest(judgement)}")
    elif rule and rule.keep_until_age:
        parts.append(f"until the age of {rule.keep_until_age}, from {_latest(judgement)}")
    return ", ".join([*parts, *(["to the end of the year"] if rule and rule.round_to else [])])


def _count(years: int) -> str:
    return "1 year" if years == 1 else f"{years} years"


def _latest(judgement: Judgement) -> str:
    name, day = max(judgement.dates.items(), key=_day, default=("", None))
    return f"{name} {day}"


def _day(item: tuple[str, date]) -> date:
    return item[1]


def doubt_in_words(doubt: Doubt) -> str:
    """Say why a study is kept although nobody knows until when."""
    about = ", ".join(doubt.about)
    match doubt:
        case Doubt("no_rule"):
            return "no rule is for it"
        case Doubt("not_whole"):
            return "its instances do not agree whose study it is, or hold more than can be judged"
        case Doubt("unknown", rule):
            return f"whether rule {rule} is for it cannot be told without {about}"
        case Doubt("unclear", rule):
            return (
                f"rule {rule} counts from {about}, and what the list says of this patient is unclear: a line has an "
                "impossible date such as 1900-01-01, or may be about another patient; correct its date, patient_id or "
                "issuer, or the study's PatientID if it has none"
            )
        case Doubt(_, None):
            return f"{about} is not known"
        case Doubt(_, rule):
            return f"rule {rule} counts from {about}, which is not known"
