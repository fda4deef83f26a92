"""What a request about retention is refused for, each with a stable code; `docs/retention.md` has the remedies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from azure.core.exceptions import AzureError
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from purge_study.planning.approvals import Approval, NotApprovable
from purge_study.records.restored import UnreadableRecord
from purge_study.rulebook.rulebook import RulebookFault
from shared import answering
from shared.approval import APPROVAL_HEADER, is_approved
from shared.auditing.auditor import NOT_RECORDED
from shared.auditing.record import Access
from shared.callers import caller_of, partitions_of
from shared.places import Places
from shared.problems import Refused
from shared.settings import Settings

# Code → status, what it means.
REFUSALS: Final[Mapping[str, tuple[int, str]]] = {
    "no-such-plan": (404, "There is no such plan."),
    "hash-differs": (409, "The hash is not that of the plan."),
    "count-differs": (409, "The count is not that of the studies that the plan would have deleted."),
    "plan-too-old": (409, "The plan is too old to be approved; approve a newer one."),
    "already-approved": (409, "The plan has been approved already."),
    "plan-withdrawn": (409, "The plan was withdrawn, and cannot be approved any more."),
    "invalid-body": (400, "The body is not the JSON object that this route takes."),
    "wrong-approval-key": (403, "The header x-approval-key does not hold the key that the app asks for."),
    "not-an-approver": (403, "The caller is not among the principals that APPROVERS names."),
    "not-all-partitions": (403, "Plans are about all partitions, and whoever asks this may not see them all."),
    "no-such-study": (404, "Retention knows of no such study, as far as whoever asks this may see."),
    "not-in-vault": (404, "Retention has deleted no such study, or has kept no copy of it."),
    "not-acceptable": (406, "A plan can be had as application/json, application/jsonl, text/csv and text/html."),
    "deletion-unfinished": (409, "A deletion of this study is under way, or its run has died; the next run ends it."),
    "vault-incomplete": (409, "What is in the vault is not all that the deletion has put there."),
    "vault-expiring": (
        409,
        "The vault's copies of this study expire soon. Raise VAULT_DAYS, run `azd provision`, then restore again.",
    ),
    "record-unreadable": (500, "A record of this study cannot be read; somebody else has written to it."),
    "rules-unusable": (503, "The policy or one of its lists cannot be used; fault and problems say why."),
    "too-many-requests": (503, "The app already answers as many requests of this kind as it can; try again later."),
    "not-recorded": NOT_RECORDED,
    "storage-failed": (503, "The storage account did not answer as it should; try again later."),
}
_RETRY_AFTER_SECONDS = 30


def refused(code: str, **members: object) -> Refused:
    """Return the exception that stands for a refusal of the table.

    Args:
        code: of the table.
        members: what else the body has; never a value of a patient's.
    """
    status, title = REFUSALS[code]
    return Refused(status, code, title, _RETRY_AFTER_SECONDS, members=members)


def _by_whom(approval: Approval | None) -> dict[str, object]:
    return {"approver": approval.approver, "approved_at": approval.approved_at.isoformat()} if approval else {}


def _in_our_words(failure: Exception) -> Exception:
    match failure:
        case RulebookFault():
            return refused("rules-unusable", fault=failure.code, problems=failure.problems)
        case NotApprovable():
            return refused(failure.code, **_by_whom(failure.first))
        case UnreadableRecord():
            return refused("record-unreadable")
        case AzureError():
            return refused("storage-failed")
    return failure


async def answer(transaction: str, respond: Callable[[], Awaitable[Response]]) -> Response:
    """Answer a request; see `shared.answering`."""
    return await answering.answer(transaction, respond, _in_our_words)


async def answer_read(
    http: HttpRequest, kind: tuple[str, str], transaction: str, respond: Callable[[Access], Awaitable[Response]]
) -> Response:
    """Answer a request that reads, and record it as an access; see `shared.answering`."""
    return await answering.answer_read(http, kind, transaction, respond, _in_our_words)


@contextmanager
def place_in(places: Places, most: int) -> Iterator[None]:
    """Take one of the places for requests of a kind, and give it back at the end.

    Raises:
        Refused: all places are taken.
    """
    if not places.take(most):
        raise refused("too-many-requests")
    try:
        yield
    finally:
        places.give_back()


def check_approval_key(http: HttpRequest, settings: Settings) -> None:
    """Check that the caller has the approval key.

    Raises:
        Refused: the caller does not have it, or APPROVAL_KEY is not set.
    """
    if not is_approved(http, APPROVAL_HEADER, settings.approval_key):
        raise refused("wrong-approval-key")


def who_may_approve(http: HttpRequest, settings: Settings, named: str) -> str:
    """Return who approves, withdraws or restores: the authenticated principal, or else the name in the body.

    Raises:
        Refused: APPROVERS is set, and does not name the caller.
    """
    caller = caller_of(http, settings)
    principal = caller.id if caller.kind == "principal" else None
    if settings.approvers is not None and principal not in settings.approvers:
        raise refused("not-an-approver")
    return principal or named


def visible_partitions(http: HttpRequest, settings: Settings) -> frozenset[str] | None:
    """Return the partitions that whoever asks may see; None for all."""
    return partitions_of(caller_of(http, settings), settings)
