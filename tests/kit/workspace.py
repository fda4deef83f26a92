"""What a Log Analytics workspace would have of a running stack, for the alerts' own queries to be asked there.

`AppTraces` are the lines of the stack's log, as of when they are read. `AppRequests` and `AppAvailabilityResults` are
the platform's own accounts, which no stack keeps: here they are of the calls that the log tells of, and of what whoever
asked was answered. Alerts look back for hours, and a stack runs for seconds: the time between two things that happen to
it is left out there, and made up for here (`later`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta

import httpx

from query_api.routes import ROUTES
from tests.infra.alerts import fires, window
from tests.kit.drop_box import DropBox, wait_for
from tests.kql.query import TABLES
from tests.kql.values import Row

STRAY_FILES_PER_DAY = 5  # an installation's own limit
# By `readiness.bicep`; so long the platform waits for an answer, and we shorter.
_BETWEEN_QUESTIONS = timedelta(minutes=15)
_PATIENCE_SECONDS = 2.0
_OVER_HTTP = {route.name for route in ROUTES} | {"health_live", "health_ready"}
_CALL = re.compile(r"^(\w+)  (?:succeeded|failed|cancelled)  ")


class Workspace:
    """The log of a stack.

    Args:
        box: of the stack.
        tables: what is there already.
        skipped: how much time was left out before.
    """

    def __init__(
        self, box: DropBox, tables: dict[str, list[Row]] | None = None, skipped: timedelta = timedelta()
    ) -> None:
        self.box = box
        self._tables = tables or {name: [] for name in TABLES}
        self._skipped = skipped
        self._read = len(_whole_lines(box)) if tables else 0

    def from_here(self) -> Workspace:
        """Return another one, with the same past as far as this one has read it, whose future is its own."""
        return Workspace(self.box, {name: list(rows) for name, rows in self._tables.items()}, self._skipped)

    def later(self, by: timedelta) -> None:
        """Have some time go by before what happens next."""
        self._collect()
        self._skipped += by

    def fires(self, alert: str) -> bool:
        """Say whether an alert that looks now fires."""
        self._collect()
        return fires(alert, self._tables, self._now, strayFilesPerDay=STRAY_FILES_PER_DAY)

    def ask(self, path: str) -> httpx.Response:
        """Ask the app for something; the host takes down what was called, and how it was answered."""
        before = len(self._called())
        response = self.box.get(path)
        [name] = wait_for(lambda: self._called()[before:], "nothing was called")
        self._add("AppRequests", Name=name, ResultCode=str(response.status_code))
        return response

    def ask_if_ready(self, times: int = 1) -> None:
        """Do what the platform does: ask at `health/ready` every quarter of an hour; no answer is a failure."""
        url = f"{self.box.stack.app_url}/health/ready"
        for number in range(times):
            if number:
                self.later(_BETWEEN_QUESTIONS)
            try:
                status = httpx.head(url, timeout=_PATIENCE_SECONDS, trust_env=False).status_code
            except httpx.TransportError:
                status = 0
            self._add("AppAvailabilityResults", Name="ingest", Success=status == 200)
            if status:
                self._add("AppRequests", Name="health_ready", ResultCode=str(status))

    def restart(self, **settings: str) -> None:
        """Have the app start anew with other settings; what the first one has said is kept."""
        self._collect()
        self.box.stack.restart_app(settings=settings)
        self._read = 0

    @property
    def _now(self) -> datetime:
        return datetime.now(UTC) + self._skipped

    def _collect(self) -> None:
        """Take over what was written since the last time."""
        written = _whole_lines(self.box)
        new, self._read = written[self._read :], len(written)
        for line in new:
            # As `DropBox.events`: on 3.13 the worker's own words stand before ours.
            message = line[line.index("{") :] if '"event": ' in line else line
            self._add("AppTraces", Message=message)
            call = _CALL.match(line)
            if call and call[1] not in _OVER_HTTP:
                self._add("AppRequests", Name=call[1], ResultCode="0")

    def _called(self) -> list[str]:
        """Return the functions that were called over HTTP, in order."""
        calls = map(_CALL.match, _whole_lines(self.box))
        return [call[1] for call in calls if call and call[1] in _OVER_HTTP]

    def _add(self, table: str, **fields: object) -> None:
        self._tables[table].append({"TimeGenerated": self._now, **fields})


def _whole_lines(box: DropBox) -> list[str]:
    """Return the log's lines; one that is still being written is none yet."""
    return box.log().rpartition("\n")[0].splitlines()


def see_both_ways(
    alert: str, log: Workspace, provoked: AbstractContextManager[None], go_on: Callable[[], object]
) -> None:
    """See that an alert is silent, fires once its condition is provoked, and is over when the app has gone on.

    Args:
        alert: its name.
        log: of a stack that is well.
        provoked: within it the condition is there; after it, mended.
        go_on: has the stack do all that it does from day to day.
    """
    assert not log.fires(alert), "it fires while all is well"
    with provoked:
        wait_for(lambda: log.fires(alert) or None, "it does not fire")  # once the last line is written, too
    log.later(window(alert))
    go_on()
    assert not log.fires(alert), "it is not over"
