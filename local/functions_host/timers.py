"""The timer trigger: NCRONTAB schedules in UTC, with a status blob that tells of missed runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob.aio import BlobClient

from local.functions_host.functions import Function, LoadError, TypedValue
from local.functions_host.invocations import Invocation, InvocationFailed, Invoker
from local.functions_host.ncrontab import Schedule, next_occurrence, parse
from local.functions_host.output import say
from local.functions_host.settings import resolve_percent

# The host keeps no status for timers that run more often: a missed run is soon made up for.
_SHORTEST_MONITORED = timedelta(minutes=1)
# Sleeping in pieces keeps a schedule right when the clock is set.
_LONGEST_SLEEP_SECONDS = 30.0
_NEVER = "0001-01-01T00:00:00+00:00"


@dataclass(frozen=True)
class Timer:
    """A timer-triggered function and its schedule."""

    function: Function
    schedule: Schedule
    run_on_startup: bool
    use_monitor: bool


def read_timer(function: Function) -> Timer:
    """Read a timer trigger.

    Raises:
        LoadError: the schedule is no NCRONTAB expression, or its setting is missing.
    """
    trigger = function.trigger
    try:
        schedule = parse(resolve_percent(str(trigger["schedule"])))
    except ValueError as error:
        raise LoadError(f"{function.name}: the schedule is wrong: {error}") from None
    monitored = bool(trigger.get("useMonitor", True)) and not _is_frequent(schedule)
    return Timer(function, schedule, bool(trigger.get("runOnStartup", False)), monitored)


def _is_frequent(schedule: Schedule) -> bool:
    first = next_occurrence(schedule, datetime.now(UTC))
    second = next_occurrence(schedule, first) if first else None
    return first is not None and second is not None and second - first < _SHORTEST_MONITORED


@dataclass(frozen=True)
class Status:
    """What the status blob tells."""

    last: str = _NEVER
    next: str = _NEVER
    last_updated: str = _NEVER

    def to_json(self) -> dict[str, str]:
        """Return it as the host writes it."""
        return {"Last": self.last, "Next": self.next, "LastUpdated": self.last_updated}


class TimerLoop:
    """Runs one timer. There is one loop a timer, so an overlong run delays the next, never overlaps it."""

    def __init__(self, timer: Timer, status_blob: BlobClient, invoker: Invoker) -> None:
        self._timer = timer
        self._status_blob = status_blob
        self._invoker = invoker
        self._firing: asyncio.Task[None] | None = None

    async def step(self) -> None:
        """Fire at start if due, then by the schedule until cancelled."""
        status = await self._read_status()
        is_past_due = status is not None and _parse_time(status.next) < datetime.now(UTC)
        if is_past_due or self._timer.run_on_startup:
            await self._fire(is_past_due=is_past_due)
        elif status is None:
            await self._write_status(_NEVER)
        while True:
            due = next_occurrence(self._timer.schedule, datetime.now(UTC))
            await _sleep_until(due)
            await self._fire(is_past_due=False)

    async def rest(self) -> None:
        """Wait before starting over after storage failed."""
        await asyncio.sleep(1)

    async def finish(self) -> None:
        """Wait until a run that has ended is recorded; else it would count as missed."""
        if self._firing is not None:
            await asyncio.wait({self._firing})

    async def _fire(self, *, is_past_due: bool) -> None:
        # In a task of its own, which outlives the loop when the host stops.
        self._firing = asyncio.create_task(self._run_and_record(is_past_due))
        await asyncio.shield(self._firing)

    async def _run_and_record(self, is_past_due: bool) -> None:
        started = _format_time(datetime.now(UTC))
        call = timer_call(self._timer.function, is_past_due, await self._read_status())
        # A failure does not stop the schedule.
        with contextlib.suppress(InvocationFailed):
            await self._invoker.run(call)
        await self._write_status(started)

    async def _read_status(self) -> Status | None:
        if not self._timer.use_monitor:
            return None
        try:
            content = await (await self._status_blob.download_blob()).readall()
            fields = json.loads(content)
            return Status(fields["Last"], fields["Next"], fields["LastUpdated"])
        except (ResourceNotFoundError, ValueError, KeyError):
            return None

    async def _write_status(self, last: str) -> None:
        if not self._timer.use_monitor:
            return
        now = datetime.now(UTC)
        due = next_occurrence(self._timer.schedule, now)
        status = Status(last, _format_time(due) if due else _NEVER, _format_time(now))
        try:
            await self._status_blob.upload_blob(json.dumps(status.to_json()), overwrite=True)
        except AzureError as error:
            say(self._timer.function.name, "timer status not written", type(error).__name__)


def timer_call(function: Function, is_past_due: bool, status: Status | None = None) -> Invocation:
    """Return the call of a timer function."""
    payload = {
        "Schedule": {"AdjustForDST": True},
        "ScheduleStatus": status.to_json() if status else None,
        "IsPastDue": is_past_due,
    }
    return Invocation(function, TypedValue("json", json.dumps(payload)))


async def _sleep_until(due: datetime | None) -> None:
    while True:
        left = (due - datetime.now(UTC)).total_seconds() if due else _LONGEST_SLEEP_SECONDS
        if left <= 0:
            return
        await asyncio.sleep(min(left, _LONGEST_SLEEP_SECONDS))


def _format_time(moment: datetime) -> str:
    return moment.isoformat()


def _parse_time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    # A status without a next run is not one that missed a run.
    return moment if moment.year > 1 else datetime.max.replace(tzinfo=UTC)
