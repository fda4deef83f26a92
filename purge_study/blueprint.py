"""The timer of retention."""

from __future__ import annotations

import asyncio

import azure.functions as func

from shared.clients import get_clients
from shared.events import event, failed
from shared.settings import LONGEST_RUN_SECONDS, trigger_settings

from .plan import write_report

blueprint = func.Blueprint()


# Never on start-up: that would run at every scale-out and every deployment.
@blueprint.timer_trigger(
    arg_name="timer", schedule=trigger_settings().purge_schedule, run_on_startup=False, use_monitor=True
)
async def purge_study(timer: func.TimerRequest) -> None:
    """Report the studies that are due; nothing is deleted."""
    try:
        clients = get_clients()
        async with asyncio.timeout(LONGEST_RUN_SECONDS):
            summary = await write_report(clients)
    except Exception as error:
        raise failed("retention_failed", error) from None
    event("retention_report", mode=clients.settings.purge_mode, examined=summary.examined, due=summary.due)
