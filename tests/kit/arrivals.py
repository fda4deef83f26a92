"""Files that come to a running stack by events in its queue, as infra/ has it, and timers that are fired by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.storage.queue import QueueClient

from shared.queues import ARRIVALS, ARRIVALS_POISON
from shared.settings import DEFAULT_INBOX, RECEIPTS
from store_on_upload.probing.dropped import NAME
from store_on_upload.waiting.put_off import MAX_POISONINGS
from tests.kit.drop_box import DropBox, wait_for
from tests.kit.host_messages import storage_event
from tests.kit.stack_service import Service

NEVER = "0 0 0 1 1 *"
SETTINGS = {
    "AzureWebJobs.store_on_upload.Disabled": "true",
    "SWEEP_SCHEDULE": NEVER,
    "PURGE_SCHEDULE": NEVER,
    "PROBE_SCHEDULE": NEVER,
}
CLOCK_AHEAD_SECONDS = 7200.0  # so old are files for the app when they come
FAILS_BY_ITSELF: dict[str, Any] = {"kind": "store", "fault": "status", "status": 500, "requests": None}


@dataclass
class Arrivals:
    """Ingest on a stack.

    Args:
        box: what is dropped there.
    """

    box: DropBox

    @property
    def service(self) -> Service:
        """The DICOM service."""
        return Service(self.box.stack)

    def tell(self, queue: str, message: object) -> None:
        """Put a message into a queue: text as it is, anything else as JSON."""
        with QueueClient.from_connection_string(self.box.stack.connection_string, queue) as client:
            client.send_message(message if isinstance(message, str) else json.dumps(message))

    def drop(self, name: str, content: bytes) -> str:
        """Upload a file, with its event; return its version."""
        etag = self.box.drop(name, content)
        self.tell(ARRIVALS, storage_event(name))
        return etag

    def settle(self, name: str, content: bytes, verdict: str) -> None:
        """Drop a file, and see that it gets a verdict."""
        assert self.box.receipt(name, self.drop(name, content))["verdict"] == verdict

    def next_event(self, act: Callable[[], object], *names: str) -> dict[str, Any]:
        """Do something, and return the first event of some names that comes of it."""
        before = len(self.box.events(*names))
        act()
        return wait_for(lambda: self.box.events(*names)[before:] or None, f"no {names}")[0]

    def sweep(self) -> dict[str, Any]:
        """Have a sweep run, and return its event."""
        return self.next_event(lambda: self.box.stack.fire("sweep_inbox"), "sweep", "sweep_failed")

    def probe(self) -> dict[str, Any]:
        """Have a probe run, with its file's event, and return what is said of it."""

        def act() -> None:
            self.box.stack.fire("probe_route")
            inbox = self.box.storage.get_container_client(DEFAULT_INBOX)
            [name] = wait_for(lambda: list(inbox.list_blob_names(name_starts_with=NAME)) or None, "no probe")
            self.tell(ARRIVALS, storage_event(name))

        return self.next_event(act, "probe", "probe_failed")

    def set_aside(self, name: str, number: int) -> None:
        """Have a file's message set aside when the file is due, and see that it counts; the next one is taken away."""
        wait_for(lambda: self._is_due(name) or None, "its next try is not due")
        self.tell(ARRIVALS_POISON, storage_event(name))
        wait_for(lambda: self._times_set_aside(name) == number or None, "it is not counted")
        if number == MAX_POISONINGS:
            return
        with QueueClient.from_connection_string(self.box.stack.connection_string, ARRIVALS) as client:
            wait_for(lambda: client.get_queue_properties().approximate_message_count or None, "no message of the file")
            client.clear_messages()

    def _is_due(self, name: str) -> bool:
        """Say whether a file's next try is due: it has no receipt yet, or its time has come by the app's clock."""
        due_at = json.loads(self.box.blob(RECEIPTS, name) or b"{}").get("due_at")
        now = datetime.now(UTC) + timedelta(seconds=CLOCK_AHEAD_SECONDS)
        return due_at is None or datetime.fromisoformat(due_at) < now

    def _times_set_aside(self, name: str) -> int:
        """Return how often a file's message was set aside."""
        receipt = json.loads(self.box.blob(RECEIPTS, name) or b"{}")
        return int(receipt.get("poisonings", 0))
