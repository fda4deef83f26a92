"""A request that approves a plan, over HTTP: by whom, for which hash, for how many studies."""

from __future__ import annotations

from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from purge_study.planning.approvals import approve
from shared import clock
from shared.answering import read_query
from shared.approval import APPROVAL_HEADER, is_approved, read_body
from shared.clients import get_clients

from .answering import refused, who_may_approve
from .bodies import ApprovalRequest, read
from .plans import check_sees_all, plan_in


async def approve_plan(http: HttpRequest) -> Response:
    """Record that somebody approves a plan, and answer with what was recorded.

    Raises:
        InvalidParameter: there is a query.
        ConfigurationError: the app is not configured.
        Refused: whoever asks may not approve, or the plan is not the one that they mean, or too old.
        AzureError: storage failed.
    """
    clients = get_clients()
    if not is_approved(http, APPROVAL_HEADER, clients.settings.approval_key):
        raise refused("wrong-approval-key")
    check_sees_all(http, clients)
    read_query(http)
    wanted = read(ApprovalRequest, await read_body(http))
    approver = who_may_approve(http, clients.settings, wanted.approver)
    approval = await approve(clients, plan_in(http), wanted.hash, wanted.count, approver, clock.now())
    told = {
        "plan": approval.plan_id,
        "hash": approval.plan_hash,
        "count": approval.count,
        "approver": approval.approver,
        "approved_at": approval.approved_at.isoformat(),
    }
    return JSONResponse(told)
