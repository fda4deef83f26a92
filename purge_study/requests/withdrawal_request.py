"""A request that withdraws a plan, over HTTP: by whom."""

from __future__ import annotations

from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from purge_study.planning.approvals import withdraw
from shared import clock
from shared.answering import read_query
from shared.approval import APPROVAL_HEADER, is_approved, read_body
from shared.clients import get_clients

from .answering import refused, who_may_approve
from .bodies import WithdrawalRequest, read
from .plans import check_sees_all, plan_in


async def withdraw_plan(http: HttpRequest) -> Response:
    """Record that a plan is withdrawn, and answer with the record; a second call returns the first record.

    Raises:
        InvalidParameter: there is a query.
        ConfigurationError: the app is not configured.
        Refused: the caller may not approve plans, or there is no such plan.
        UnreadableRecord: the plan is withdrawn, but its record cannot be read.
        AzureError: storage failed.
    """
    clients = get_clients()
    if not is_approved(http, APPROVAL_HEADER, clients.settings.approval_key):
        raise refused("wrong-approval-key")
    check_sees_all(http, clients)
    read_query(http)
    wanted = read(WithdrawalRequest, await read_body(http))
    withdrawn_by = who_may_approve(http, clients.settings, wanted.withdrawn_by)
    withdrawal = await withdraw(clients, plan_in(http), withdrawn_by, clock.now())
    return JSONResponse(
        {
            "plan": withdrawal.plan_id,
            "withdrawn_by": withdrawal.withdrawn_by,
            "withdrawn_at": withdrawal.withdrawn_at.isoformat(),
        }
    )
