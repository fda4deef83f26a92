"""What goes wrong in a soak: the DICOM service answers badly for a while, or the app is killed."""

from __future__ import annotations

import time
from random import Random
from typing import Any

import httpx

from local.stack import Stack

# In an outage the app asks once a minute at last: what lasts until it has asked often would last for ever.
_LONGEST_FAULT_SECONDS = 1.0


class Disturber:
    """Does it.

    Args:
        stack: that runs.
        random: decides what, and how much of it.
    """

    def __init__(self, stack: Stack, random: Random) -> None:
        self._stack = stack
        self._random = random
        self._service = httpx.Client(base_url=stack.dicom_url.removesuffix("/v2"), timeout=60, trust_env=False)
        self.faults = 0
        self.kills = 0

    def close(self) -> None:
        """Close the connection to the service."""
        self._service.close()

    def fail(self) -> None:
        """Have the service fail for a few requests, or a second at most."""
        self._service.post("/admin/faults", json=self._fault()).raise_for_status()
        self.faults += 1
        time.sleep(self._random.uniform(0, _LONGEST_FAULT_SECONDS))
        self._service.delete("/admin/faults").raise_for_status()

    def kill(self, clock_ahead_seconds: float | None = None) -> None:
        """Kill the app, and start it again."""
        self._stack.restart_app(clock_ahead_seconds=clock_ahead_seconds)
        self.kills += 1

    def _fault(self) -> dict[str, Any]:
        pick = self._random
        faults: list[dict[str, Any]] = [
            {"fault": "status", "status": pick.choice((500, 502, 503, 504, 429, 408))},
            {"fault": "status", "status": pick.choice((503, 429)), "retry_after": str(pick.randint(0, 2))},
            {"fault": "status", "status": pick.choice((401, 403))},
            {"fault": "drop_after_commit", "kind": "store"},
            {"fault": "cut", "bytes": pick.randint(0, 200)},
            {"fault": "truncate"},
            {"fault": "delay", "seconds": 0.2},
            {"fault": "throttle", "per_second": 20},
        ]
        return {**pick.choice(faults), "requests": pick.randint(1, 12)}
