"""By what a deletion is done."""

from __future__ import annotations

from dataclasses import dataclass

from purge_study.rulebook.rulebook import Rulebook


@dataclass(frozen=True)
class Warrant:
    """By what a deletion is done.

    Args:
        rulebook: the policy with its lists, as the plan was made by them.
        plan_id: of the plan that it is in.
        plan_hash: of the same.
        approved_by: who approved that plan; None where the mode needs nobody.
    """

    rulebook: Rulebook
    plan_id: str
    plan_hash: str
    approved_by: str | None = None
