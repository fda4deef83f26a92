"""The timer of retention."""

from __future__ import annotations

import azure.functions as func

from shared.clients import get_clients
from shared.events import failed
from shared.settings import trigger_settings

from .night import run_night

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
