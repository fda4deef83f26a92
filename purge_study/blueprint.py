"""The timer of retention, and what is asked of it over HTTP."""

from __future__ import annotations

import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, Response

from shared.clients import get_clients
from shared.events import failed
from shared.settings import trigger_settings

from .night import run_night
from .requests.answering import answer, answer_read
from .requests.approval_request import approve_plan, withdraw_plan
from .requests.plans import get_plan, list_plans
from .requests.restore_request import restore_study
from .requests.study_lookup import look_up_study

blueprint = func.Blueprint()


# Never on start-up: that would run at every scale-out and every deployment.
@blueprint.timer_trigger(
    arg_name="timer", schedule=trigger_settings().purge_schedule, run_on_startup=False, use_monitor=True
)
async def purge_study(timer: func.TimerRequest) -> None:
    """Make tonight's plan, and carry out what may be."""
    try:
        await run_night(get_clients())
    except Exception as error:
        raise failed("retention_failed", error) from None


@blueprint.route("retention/studies/{study}", methods=["GET"])
async def retention_study(req: Request) -> Response:
    """Answer with what is to become of a study."""
    return await answer_read(
        req, ("retrieve", "retention"), "look up retention", lambda access: look_up_study(req, access)
    )


@blueprint.route("retention/plans", methods=["GET"])
async def retention_plans(req: Request) -> Response:
    """Answer with the plans."""
    return await answer_read(req, ("search", "plans"), "list plans", lambda _: list_plans(req))


@blueprint.route("retention/plans/{plan}", methods=["GET"])
async def retention_plan(req: Request) -> Response:
    """Answer with a plan."""
    return await answer_read(req, ("retrieve", "plan"), "get plan", lambda access: get_plan(req, access))


@blueprint.route("retention/plans/{plan}/approve", methods=["POST"])
async def retention_plan_approve(req: Request) -> Response:
    """Record that a plan is approved."""
    return await answer("approve plan", lambda: approve_plan(req))


@blueprint.route("retention/plans/{plan}/withdraw", methods=["POST"])
async def retention_plan_withdraw(req: Request) -> Response:
    """Record that a plan is withdrawn."""
    return await answer("withdraw plan", lambda: withdraw_plan(req))


@blueprint.route("retention/vault/{study}/restore", methods=["POST"])
async def retention_restore(req: Request) -> Response:
    """Put a study back from the vault."""
    return await answer("restore study", lambda: restore_study(req))
