"""One study's deletion: look again, vault, intent, delete, see that it is gone, tombstone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from purge_study.planning.plan import Item
from purge_study.rulebook import Rulebook
from purge_study.run import Run


class Outcome(StrEnum):
    """What became of a study that was to be deleted."""

    DELETED = "deleted"
    ALREADY_GONE = "already_gone"  # somebody else has deleted it
    CHANGED = "changed"  # it is not as it was planned: it is judged anew, and may come up another night
    FAILED = "failed"  # it stays, for the next run


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


class Halt(Exception):
    """Nothing more may be deleted in this run.

    Args:
        code: why: `rules_changed`, `stopped`, `lease_lost`, `service_denies`, `service_busy`, `storage_failed`.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


async def delete_study(run: Run, item: Item, warrant: Warrant) -> Outcome:
    """Delete a study of a plan, if it is still as it was planned.

    Raises:
        Halt: nothing more may be deleted in this run; the study is either untouched or has an open intent.
        OutOfTime: as before, for the time is over.
    """
    raise NotImplementedError


async def resolve_open_intents(run: Run) -> None:
    """Bring to an end what a killed run began: a study that is gone gets its tombstone, one that is there stays.

    Raises:
        DICOMwebError, AzureError: it cannot be told; nothing may be deleted then.
    """
    raise NotImplementedError
