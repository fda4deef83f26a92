"""Requests that approve a plan, or withdraw it, over HTTP."""

from __future__ import annotations

from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from purge_study.planning.approvals import approve, withdraw
from shared import clock
from shared.answering import read_query
from shared.approval import read_body
from shared.clients import Clients, get_clients

from .answering import check_approval_key, who_may_approve
from .bodies import ApprovalRequest, WithdrawalRequest, read
from .plans import check_sees_all, plan_in


async def approve_plan(http: HttpRequest) -> Response:
    """Record that an approver approves a plan, and answer with the record.

    Raises:
        InvalidParameter: there is a query.
        ConfigurationError: the app is not configured.
        Refused: the caller may not approve, or the plan is not the one that the body describes, or too old.
        AzureError: storage failed.
    """
    clients = _clients_for(http)
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


async def withdraw_plan(http: HttpRequest) -> Response:
    """Record that an approver withdraws a plan, and answer with the record; a second call returns the first record.

    Raises:
        InvalidParameter: there is a query.
        ConfigurationError: the app is not configured.
        Refused: the caller may not approve plans, or there is no such plan.
        UnreadableRecord: the plan is withdrawn, but its record cannot be read.
        AzureError: storage failed.
    """
    clients = _clients_for(http)
    wanted = read(WithdrawalRequest, await read_body(http))
    withdrawn_by = who_may_approve(http, clients.settings, wanted.withdrawn_by)
    withdrawal = await withdraw(clients, plan_in(http), withdrawn_by, clock.now())
    told = {
        "plan": withdrawal.plan_id,
        "withdrawn_by": withdrawal.withdrawn_by,
        "withdrawn_at": withdrawal.withdrawn_at.isoformat(),
    }
    return JSONResponse(told)


def _clients_for(http: HttpRequest) -> Clients:
    """Return the clients, for a caller who has the approval key and may see all partitions; a query is refused."""
    clients = get_clients()
    check_approval_key(http, clients.settings)
    check_sees_all(http, clients)
    read_query(http)
    return clients
