"""Which studies of a plan are deleted tonight, and why not the others (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from purge_study.ledger.row import StudyKey
from purge_study.policy.model import Brakes
from shared.settings import BeforeDelete, PurgeMode

from .approvals import Approval, Approved
from .brakes import Limits, limits_of
from .night_memory import Accepted, Memory, Night
from .plan import Item, Plan

# From so many runs in a row on, a study that cannot be deleted no longer stands in others' way.
_OVER_AND_OVER: Final = 3
# A plan of these counts for those to come whatever it holds: somebody meant it, and is to read it.
_NEW_BEGINNINGS: Final = frozenset({"first_run", "policy_changed"})


@dataclass(frozen=True)
class Circumstances:
    """What a plan meets.

    Args:
        mode: the setting PURGE_MODE.
        brakes: of the policy.
        memory: of the nights before.
        obstacles: codes of what keeps anything from being deleted (`wording.OBSTACLES`).
        reports: codes of what makes tonight a report: `list_changed`, `ledger_new`. The mode, a first run and a changed
            policy are found here.
        approved: plans that somebody approved, and may still be carried out.
    """

    mode: PurgeMode
    brakes: Brakes
    memory: Memory
    obstacles: Sequence[str] = ()
    reports: Sequence[str] = ()
    approved: Sequence[Approved] = ()


@dataclass(frozen=True)
class Decision:
    """What of a plan is deleted tonight.

    Nothing is while there is an obstacle, a reason for a report, or more newly due than `max_share` allows, whoever
    approved it. What is more than usual goes where it was approved.

    Args:
        plan: of tonight.
        met: what it meets.
    """

    plan: Plan
    met: Circumstances

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """What is deleted tonight, in this order."""
        if self.obstacles or self.reports or self.is_over_share:
            return ()
        if self.is_over_usual:
            return tuple(item for item in self.would_go if item.key in self.approvals)
        return self.would_go

    @cached_property
    def would_go(self) -> tuple[Item, ...]:
        """What would be deleted tonight if nothing stopped it: the longest overdue, as many as may go in a night."""
        return self.ready[: self.limits.per_night]

    @cached_property
    def ready(self) -> tuple[Item, ...]:
        """What may be deleted some night: what is not held, and approved where that is asked for."""
        ready = [item for item in self.plan.to_delete if not self._asks_for_approval or item.key in self.approvals]
        return tuple(sorted(ready, key=_is_failing))

    @cached_property
    def approvals(self) -> Mapping[StudyKey, Approval]:
        """By which approval each study of the plan may go, where there is one."""
        usable = [approved for approved in self.met.approved if self._counts(approved)]
        return {
            item.key: approved.approval
            for approved in usable
            for item in self.plan.to_delete
            if item.version in approved.versions
        }

    @cached_property
    def limits(self) -> Limits:
        """What the brakes allow."""
        return limits_of(self.met.brakes, self.met.memory, self.plan.studies, self.plan.day)

    @cached_property
    def newly_due(self) -> int:
        """How many studies have fallen due since the last accepted plan, or were released."""
        accepted = self.met.memory.accepted
        known = accepted.keys if accepted else frozenset()
        return sum(item.key not in known for item in self.plan.to_delete)

    @cached_property
    def obstacles(self) -> tuple[str, ...]:
        """Codes of what keeps anything from being deleted, and the plan from counting."""
        unreadable = () if self.met.memory.is_readable else ("memory_unreadable",)
        return tuple(dict.fromkeys((*self.met.obstacles, *unreadable)))

    @cached_property
    def reports(self) -> tuple[str, ...]:
        """Codes of what makes tonight a report."""
        memory, accepted = self.met.memory, self.met.memory.accepted
        found = {
            "first_run": accepted is None and memory.is_readable,
            "policy_changed": accepted is not None and accepted.policy_hash != self.plan.policy_hash,
            "mode_report": self.met.mode is PurgeMode.REPORT,
        }
        return (*(code for code, is_so in found.items() if is_so), *self.met.reports)

    @property
    def is_over_share(self) -> bool:
        """Whether more has fallen due than `max_share` allows; a new beginning has nothing to be compared with."""
        return _NEW_BEGINNINGS.isdisjoint(self.reports) and self.newly_due > self.limits.newly_due

    @cached_property
    def is_over_usual(self) -> bool:
        """Whether more would go that nobody has approved than `max_times_usual` allows."""
        return self.limits.unapproved is not None and self.unapproved > self.limits.unapproved

    @cached_property
    def unapproved(self) -> int:
        """How many studies would go that nobody has approved."""
        return sum(item.key not in self.approvals for item in self.would_go)

    @property
    def stops(self) -> tuple[str, ...]:
        """Codes of what keeps anything from being deleted, or anything but what was approved; each alone would do."""
        share = ("over_max_share",) if self.is_over_share else ()
        usual = ("over_max_times_usual",) if self.is_over_usual else ()
        return (*self.obstacles, *self.reports, *share, *usual)

    @cached_property
    def waits(self) -> Mapping[str, int]:
        """How many studies of the plan do not go tonight, or would not, by the code of what they wait for."""
        found = {
            "held": self.plan.groups["held"],
            "awaiting_approval": self.plan.count - len(self.ready),
            "per_night": len(self.ready) - len(self.would_go),
            "failing": sum(_is_failing(item) for item in self.ready),
        }
        return {code: count for code, count in found.items() if count}

    @property
    def ended(self) -> str:
        """What the plan counts for (`Night.ended`); in a report the deletions are none, however many they would be."""
        if self.obstacles:
            return "hindered"
        return "tripped" if self.is_over_share or (self.is_over_usual and not self.reports) else "accepted"

    def noted(self, plan_id: str, deleted: int | None = None) -> Memory:
        """Return the memory with this night in it.

        It is written down before the first deletion, and again with their number after the last one: a run that is
        killed between counts as if it had deleted all.
        """
        plan, ended = self.plan, self.ended
        night = Night(plan.day, plan_id, ended, self.newly_due, len(self.items), deleted)
        keys = frozenset(item.key for item in plan.to_delete)
        accepted = Accepted(plan_id, plan.hash, plan.policy_hash, keys)
        return self.met.memory.with_night(night, accepted if ended == "accepted" else None)

    @property
    def _asks_for_approval(self) -> bool:
        return self.met.mode is PurgeMode.APPROVE

    def _counts(self, approved: Approved) -> bool:
        is_as_safe = self.plan.before_delete in (approved.before_delete, BeforeDelete.VAULT)
        return approved.policy_hash == self.plan.policy_hash and is_as_safe


def _is_failing(item: Item) -> bool:
    return item.failures >= _OVER_AND_OVER
