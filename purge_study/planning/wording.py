"""Why nothing, or not all, is deleted tonight: a code for machines, and for people what it means and how to go on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from shared.settings import RETENTION_POLICY, RETENTION_RECORDS, RETENTION_STATE, BeforeDelete

from .decision import Decision
from .night_memory import NIGHTS
from .plan import PLANS, Plan

_MEMORY: Final = NIGHTS.rpartition("/")[0] + "/"


@dataclass(frozen=True)
class Reason:
    """One thing that keeps studies from being deleted.

    Args:
        code: a stable word.
        what: what is so, in a sentence.
        how: how to go on, in a sentence or two.
    """

    code: str
    what: str
    how: str


# Each of these alone: nothing is deleted, and the plan does not count for those to come.
OBSTACLES: Final = {
    "stopped": (
        f"A blob STOP stands in the container {RETENTION_POLICY}.",
        "Remove it once deletions may go on.",
    ),
    "clock_off": (
        "The clocks of the app and of the DICOM service differ by more than five minutes: today may be another day.",
        "The next run looks again. If it finds the same, the app's platform has to be told.",
    ),
    "no_policy": (
        f"There is no policy in the container {RETENTION_POLICY}.",
        "Put one there, under the name that the setting RETENTION_POLICY has.",
    ),
    "policy_unreadable": (
        "The policy could not be read from storage.",
        f"See that the app may read the container {RETENTION_POLICY}. The next run tries again.",
    ),
    "policy_invalid": (
        "The policy has mistakes.",
        "Mend them; the app's log has the event retention_refused, and a preview tells each with its place.",
    ),
    "list_unreadable": (
        "A list that the policy names could not be read from storage.",
        "See that it stands beside the policy, under the name that the policy has.",
    ),
    "list_invalid": (
        "A list that the policy names has mistakes.",
        "Mend them; a preview tells each with its line.",
    ),
    "list_unfinished": (
        "A list is shorter than its last line says: it was perhaps still being written.",
        "Write it anew, as a whole.",
    ),
    "list_too_old": (
        "A list of dates is older than its max_age_days allow.",
        "Bring a newer one; if nothing has changed, write the same one again.",
    ),
    "hold_vanished": (
        "A line of a hold list is gone that was not released.",
        "Put it back. To end a hold, fill in its columns released and released_by.",
    ),
    "hold_matches_nothing": (
        "A line of a hold list held a study before, and matches none now.",
        "See whether an identifier was changed, in the list or in the archive. If the hold is over, fill in its "
        "columns released and released_by.",
    ),
    "feed_behind": (
        "The ledger has not followed the service's change feed for more than a day: newer images may be unknown to it.",
        "The next run goes on where this one stopped. If it comes no further, see the events of retention in the log.",
    ),
    "ledger_unfinished": (
        "The ledger is not complete: studies are still to be read or to be judged by the policy.",
        "Nothing to do: the next run goes on where this one stopped. If it takes too long, raise PURGE_BUDGET_SECONDS.",
    ),
    "memory_unreadable": (
        "What the app remembers of earlier nights or of lists, or the last plan that counts, is not as it was written.",
        f"Find out who changed {_MEMORY} in {RETENTION_STATE} or {PLANS} in {RETENTION_RECORDS}. If you delete the "
        f"changed blob of {_MEMORY}, the next run is a report, like the first one.",
    ),
}

# Each of these alone: tonight's plan is to be read. The first two count for those to come, whatever they hold.
REPORTS: Final = {
    "first_run": (
        "This is the first plan ever. Due: {to_delete} of {studies} studies.",
        "Read it. From the next run on they go as PURGE_MODE says, {per_night} a night at most.",
    ),
    "policy_changed": (
        "The policy has changed since the last plan that counts. Newly due since then: {newly_due} of {studies} "
        "studies.",
        "Read what goes by it now. From the next run on it goes as PURGE_MODE says, {per_night} a night at most.",
    ),
    "list_changed": (
        "A list has lost or changed a line since the last run, or has a new line with almost the patient_id and issuer "
        "of another one. Or a line counts for a patient because the archive no longer has another patient with almost "
        "the same id. Or nobody knows whether a list has changed: nothing is remembered of lists yet, as after a new "
        "LEDGER_KEY.",
        "See that this was meant. From the next run on, studies go as PURGE_MODE says.",
    ),
    "ledger_new": (
        "The ledger was made anew, and knows nothing of the studies that were deleted before: their dates no longer "
        "keep those that the same patients still have. Newly due: {newly_due} of {studies} studies.",
        "Read what goes by it. From the next run on it goes as PURGE_MODE says, {per_night} a night at most.",
    ),
    "mode_report": (
        "PURGE_MODE is report.",
        "To have studies deleted, set it to approve or delete.",
    ),
}

# When one trips, the plan does not count for those to come: the brake does not wear off.
BRAKES: Final = {
    "over_max_share": (
        "Newly due since the last plan that counts: {newly_due} of {studies} studies. The policy allows {share_limit}: "
        "its max_share is {max_share}.",
        "Find out why so many: a policy that keeps shorter, dates that were changed, an import. If they are to go, "
        "raise max_share in the policy: the next run is a report then, and from the one after it they go. No approval "
        "lifts this brake.",
    ),
    "over_max_times_usual": (
        "To be deleted tonight without an approval: {unapproved} studies. The policy allows {usual_limit}, which is "
        "its max_times_usual of {max_times_usual} times the usual {usual} a night, for the nights since the last "
        "plan: {nights}.",
        "Find out why so many. If they are to go, approve this plan by its hash and its count: the next runs may "
        "delete what is in it.",
    ),
}

# Why some studies that are due stay for tonight; the others go.
WAITS: Final = {
    "held": (
        "Held by a hold list: {count} of the studies whose last day has passed.",
        "They stay until the hold is released in its list.",
    ),
    "awaiting_approval": (
        "Not in an approved plan, or changed since: {count} of the studies that are due.",
        "Approve this plan by its hash and its count.",
    ),
    "per_night": (
        "More than may go in a night: {count} studies wait for another. The policy allows {per_night} a night.",
        "Nothing to do: the longest overdue go first.",
    ),
    "failing": (
        "Could not be deleted in several runs in a row: {count} studies.",
        "They are tried again after the others. The app's log has the reasons, as purge_failed.",
    ),
}

# The groups of a plan, of which each study is in exactly one, as `Plan.groups` has them.
GROUPS: Final = {
    "to_delete": "Due for deletion",
    "held": "Kept by a hold list",
    "in_doubt": "Kept because something is unknown",
    "kept": "Kept by the policy",
}

# Why a study is kept that may have no last day, by the doubt's code.
DOUBTS: Final = {
    "undated": "A date that a rule counts from is not known",
    "unclear": "A list of dates is unclear about the patient",
    "unknown": "It is not known whether a rule applies",
    "no_rule": "No rule applies",
    "not_whole": "The instances do not agree whose study it is, hold too much, or have an unreadable identifier",
}


def stops(decision: Decision) -> list[Reason]:
    """Say why nothing is deleted, or nothing but what was approved, in the order of `Decision.stops`."""
    return _in_words(decision, decision.stops)


def waits(decision: Decision) -> list[Reason]:
    """Say why of what is due not all goes tonight, or would if nothing stopped it."""
    return _in_words(decision, decision.waits)


def before_delete(plan: Plan) -> str:
    """Say what is done before a deletion."""
    if plan.before_delete == BeforeDelete.NONE:
        return "NONE. Nothing is copied: what is deleted cannot be brought back."
    return "Every instance is copied into the vault, and the copy is read back."


def _in_words(decision: Decision, codes: Iterable[str]) -> list[Reason]:
    words, figures = OBSTACLES | REPORTS | BRAKES | WAITS, _figures(decision)
    return [
        Reason(code, *(text.format(**figures, count=_waiting(decision, code)) for text in words[code]))
        for code in codes
    ]


def _waiting(decision: Decision, code: str) -> str:
    return number(decision.waits.get(code))


def _figures(decision: Decision) -> dict[str, str]:
    plan, limits, brakes = decision.plan, decision.limits, decision.met.brakes
    figures = {
        "to_delete": plan.count,
        "studies": plan.studies,
        "newly_due": decision.newly_due,
        "share_limit": limits.newly_due,
        "max_share": brakes.max_share,
        "unapproved": decision.unapproved,
        "usual_limit": limits.unapproved,
        "max_times_usual": brakes.max_times_usual,
        "usual": limits.usual,
        "nights": limits.nights,
        "per_night": brakes.per_night,
    }
    return {name: number(figure) for name, figure in figures.items()}


def number(figure: float | Fraction | None) -> str:
    """Return a figure as people write it: `12,500`, `2.5`."""
    return "none" if figure is None else f"{float(figure):,.6g}" if figure % 1 else f"{int(figure):,}"
