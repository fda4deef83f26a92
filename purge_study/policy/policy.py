"""How long a study is kept, by the rules: pure functions, equal inputs, equal judgement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from . import dates as days
from .conditions import Truth, evaluate
from .facts import StudyFacts
from .known import Known, known_of
from .model import Policy, Rule


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
        code: `undated` (an anchor is not known), `unclear` (what its list says of the patient is), `unknown` (a
            condition is not known), `no_rule` (none matches); `not_whole` (not all that the study has is known, see
            `Reading.is_whole`).
        rule: which rule is in doubt; None for the last two, and where no rule can do without it.
        about: what is not known: an anchor's name, `birth_date` or attribute keywords; never a value.
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
        dates: from which dates, by anchor: `study_date`, `received`, `patient_last_study`, `birth_date`, the name of a
            list; or `minimum_age` alone, the day of reception, where the rule's own date comes earlier.
        doubts: what is not known.
        unknown_until: of UNKNOWN, where a date that lies in the future may be why: the last day on which it does.
    """

    state: State
    keep_until: date | None = None
    rule: str | None = None
    dates: Mapping[str, date] = field(default_factory=dict)
    doubts: tuple[Doubt, ...] = ()
    unknown_until: date | None = None


@dataclass(frozen=True)
class Term:
    """How long a rule keeps a study.

    Args:
        rule: its name.
        last_day: on which it is kept; None for ever.
        dates: from which dates.
    """

    rule: str
    last_day: date | None
    dates: Mapping[str, date]


def judge(policy: Policy, facts: StudyFacts, today: date) -> Judgement:
    """Judge a study on a day of the policy's time zone.

    Every rule that matches counts, the latest date wins; a rule that is unknown for the study keeps it. A study goes
    after the end of its last day, and not before `min_age_days` after its newest instance was received.
    """
    known = known_of(policy, facts, today)
    outcomes = [outcome for rule in policy.rule for outcome in _apply(policy, rule, known)]
    doubts = _doubts(outcomes, known)
    term = _latest(policy, (outcome for outcome in outcomes if isinstance(outcome, Term)), known)
    if term is None:
        return Judgement(State.UNKNOWN, doubts=doubts, unknown_until=_until(known))
    state = _state(term, doubts, today)
    until = _until(known) if state is State.UNKNOWN else None
    return Judgement(state, term.last_day, term.rule, term.dates, doubts, until)


def matching_rules(policy: Policy, facts: StudyFacts, today: date) -> frozenset[str]:
    """Return the names of the rules that are for a study beyond doubt."""
    known = known_of(policy, facts, today)
    return frozenset(rule.name for rule in policy.rule if rule.when is None or evaluate(rule.when, known).holds)


def _until(known: Known) -> date | None:
    """Return the last day on which the next date to come is later than tomorrow."""
    return days.add_days(known.next_to_come, -2) if known.next_to_come else None


def _state(term: Term, doubts: tuple[Doubt, ...], today: date) -> State:
    if term.last_day is None:
        return State.FOREVER
    if doubts:
        return State.UNKNOWN
    return State.DUE if today > term.last_day else State.KEPT


def _apply(policy: Policy, rule: Rule, known: Known) -> tuple[Term | Doubt, ...]:
    """Return what a rule says of a study: one term, or doubts; nothing where it is not for such studies."""
    truth = evaluate(rule.when, known) if rule.when else Truth(True)
    if truth.holds is None:
        return (Doubt("unknown", rule.name, tuple(sorted(truth.about))),)
    if not truth.holds:
        return ()
    return _undated(policy, rule, known) or (_term(policy, rule, known),)


def _undated(policy: Policy, rule: Rule, known: Known) -> tuple[Doubt, ...]:
    """Return the doubts about dates that a rule cannot do without."""
    missing = tuple(name for name in _anchors(rule, known) if name not in known.dates)
    # A date of `from_if_known` may only put the end off: alone it is nothing to count from.
    if not missing and rule.keep_years and not set(rule.from_) & set(_counted(policy, rule, known)):
        missing = ("received",)
    unclear = tuple(name for name in missing if known.is_unclear(name))
    undated = tuple(name for name in missing if name not in unclear)
    found = {"undated": undated, "unclear": unclear}
    return tuple(Doubt(code, rule.name, about) for code, about in found.items() if about)


def _anchors(rule: Rule, known: Known) -> tuple[str, ...]:
    """Return the names of the dates from which a rule counts."""
    if rule.keep_years:
        # A date that a list has, and that cannot be, is as good as missing: it is not left out.
        return (*rule.from_, *(name for name in rule.from_if_known if name in known.facts.anchors))
    return ("birth_date",) if rule.keep_until_age else ()


def _counted(policy: Policy, rule: Rule, known: Known) -> Mapping[str, date]:
    """Return the dates from which a rule counts, without receptions that are left out of account."""
    first = policy.policy.received_counts_from
    dates = {name: known.dates[name] for name in _anchors(rule, known)}
    if first and dates.get("received", first) < first:
        del dates["received"]
    return dates


def _term(policy: Policy, rule: Rule, known: Known) -> Term:
    dates = _counted(policy, rule, known)
    years = rule.keep_years or rule.keep_until_age
    # Without a period it would be no rule, but then nothing may go by it.
    last_day = days.add_years(max(dates.values()), years) if years else None
    return Term(rule.name, days.year_end(last_day) if last_day and rule.round_to else last_day, dates)


def _doubts(outcomes: list[Term | Doubt], known: Known) -> tuple[Doubt, ...]:
    """Return the doubts of rules, and those that no rule needs to have: nothing goes that came nobody knows when."""
    doubts = [outcome for outcome in outcomes if isinstance(outcome, Doubt)]
    if not outcomes:
        doubts.append(Doubt("no_rule"))
    if "received" not in known.dates and not any("received" in doubt.about for doubt in doubts):
        doubts.append(Doubt("undated", None, ("received",)))
    return tuple(doubts)


def _latest(policy: Policy, terms: Iterable[Term], known: Known) -> Term | None:
    """Return the term that ends last, the first such rule's; the minimum age may end later."""
    term = max(terms, key=_end, default=None)
    received, least_days = known.dates.get("received"), policy.brakes.min_age_days
    if term is None or received is None or not least_days:
        return term
    least = Term(term.rule, days.add_days(received, least_days), {"minimum_age": received})
    return max(term, least, key=_end)


def _end(term: Term) -> tuple[bool, date]:
    return (term.last_day is None, term.last_day or date.max)


def needed_keywords(policy: Policy) -> frozenset[str]:
    """Return the keywords of all attributes that judging, holds and the plan's chart need."""
    named = (keyword for rule in policy.rule if rule.when for keyword in rule.when.keywords())
    return frozenset({"StudyDate", "PatientBirthDate", "PatientAge", "Modality", *named})


def local_day(policy: Policy, when: datetime) -> date:
    """Return the day of the policy's time zone on which an instant falls."""
    return days.local_day(policy.zone, when)
