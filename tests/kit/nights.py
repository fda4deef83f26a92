"""Nights of retention on a running stack: a policy and its lists, studies of many kinds, the timer, what it left."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from azure.core.exceptions import ResourceNotFoundError

from local.stack import Stack
from shared.settings import RETENTION_POLICY, RETENTION_RECORDS, RETENTION_STATE, VAULT
from tests.conftest import APPROVAL_KEY
from tests.kit.drop_box import DropBox, Instance, make_instance, wait_for
from tests.kit.stack_service import Service

# Far enough from today, so that no real clock is meant by chance: what is stored on the one day is due on the other.
STORED = datetime(2030, 1, 1, 12, tzinfo=UTC)
FIRST_DUE = datetime(2038, 1, 2, 3, tzinfo=UTC)
LIFE_POLICY = """
[policy]
time_zone = "Europe/Paris"

[[rule]]
name = "all"
keep_years = 8
from = ["study_date"]

[brakes]
min_age_days = 0
max_share = 1.0
"""
_REFUSED = "retention_refused"
_TOLD = (
    _REFUSED,
    "retention_halted",
    "retention_busy",
    "approval_ignored",
    "purge_failed",
    "purge_dropped",
    "study_purged",
    "study_unreadable",
    "purged_late_instance",
    "purged_too_soon",
    "purge_unchecked",
)


@dataclass(frozen=True)
class Night:
    """What a night left.

    Args:
        event: its line in the log.
        refusals: why nothing was deleted, by code.
        plan: the lines of its plan; none where there is no plan.
        told: what else it said, by event and reason.
    """

    event: dict[str, Any]
    refusals: tuple[str, ...]
    plan: tuple[dict[str, Any], ...]
    told: tuple[tuple[str, str | None], ...] = ()

    @property
    def due(self) -> list[str]:
        """The UIDs of the plan's studies, in its order."""
        return [line["study"] for line in self.plan[1:]]


class Nights:
    """Retention on a stack, night after night."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.box = DropBox(stack)
        self.service = Service(stack)
        self._ahead = timedelta()

    def set_time(self, now: datetime, *, settings: Mapping[str, str] | None = None) -> None:
        """Set the clocks of the app and of the DICOM service; with other settings of the app, if any are given."""
        self._ahead = now - datetime.now(UTC)
        self.stack.set_clock(self._ahead.total_seconds(), settings=settings)

    def later(self, by: timedelta, *, settings: Mapping[str, str] | None = None) -> None:
        """Have some time go by; with other settings of the app, if any are given."""
        self.set_time(self.now() + by, settings=settings)

    def now(self) -> datetime:
        """Return what both clocks show."""
        return datetime.now(UTC) + self._ahead

    def store_on(self, day: datetime) -> None:
        """Set the clock of the DICOM service alone: what is stored from now on was received that day."""
        self.stack.set_service_clock((day - datetime.now(UTC)).total_seconds())

    def next_night(self) -> Night:
        """Return what the night after leaves."""
        self.later(timedelta(days=1))
        return self.night()

    def write(self, name: str, content: str | bytes) -> None:
        """Put the policy, a list or a STOP into its container."""
        blob = self.box.storage.get_blob_client(RETENTION_POLICY, name)
        blob.upload_blob(content.encode() if isinstance(content, str) else content, overwrite=True)

    def take_away(self, name: str) -> None:
        """Delete it there."""
        self.box.storage.get_blob_client(RETENTION_POLICY, name).delete_blob()

    def store(self, **attributes: Any) -> Instance:
        """Store a study of one instance, and return it."""
        instance = make_instance(**attributes)
        self.service.store(instance.content)
        return instance

    def studies(self) -> set[str]:
        """Return the UIDs of all studies that the service has, as lookups see them."""
        return {study["StudyInstanceUID"] for study in self.box.get("/studies?limit=1000&format=plain").json()}

    def night(self) -> Night:
        """Have the timer's function run, and return what it left."""
        nights, told = self._nights(), len(self._told())
        self.stack.fire("purge_study")
        [event] = wait_for(lambda: self._nights()[len(nights) :] or None, "the night has no end")
        said = [(each["event"], each.get("reason")) for each in self._told()[told:]]
        refused = [str(reason) for name, reason in said if name == _REFUSED]
        lines = self.records(f"plans/{event['plan']}.jsonl").splitlines() if "plan" in event else []
        others = [each for each in said if each[0] != _REFUSED]
        return Night(event, tuple(refused), tuple(map(json.loads, lines)), tuple(others))

    def post(
        self, path: str, body: object, *, approval_key: str = APPROVAL_KEY, key: str | None = None
    ) -> httpx.Response:
        """Ask retention for something that needs both keys; with other ones, if any are given."""
        headers = {"x-functions-key": self.stack.function_key if key is None else key, "x-approval-key": approval_key}
        url = f"{self.stack.app_url}/retention/{path}"
        return httpx.post(url, json=body, headers=headers, timeout=30, trust_env=False)

    def approve(self, night: Night, *, count: int | None = None, **keys: str) -> httpx.Response:
        """Approve a night's plan, as somebody who has read it would; or for another number of studies."""
        plan = night.event["plan"]
        summary = json.loads(self.records(f"plans/{plan}.json"))
        body = {"approver": "Dr. A", "hash": summary["hash"], "count": count or summary["to_delete"]}
        return self.post(f"plans/{plan}/approve", body, **keys)

    def records(self, name: str) -> bytes:
        """Return a blob of the records."""
        return self.box.storage.get_blob_client(RETENTION_RECORDS, name).download_blob().readall()

    def state(self, name: str) -> bytes:
        """Return a blob of what retention remembers."""
        return self.box.storage.get_blob_client(RETENTION_STATE, name).download_blob().readall()

    def tombstone_names(self) -> list[str]:
        """Return the names of the tombstones."""
        return self._names(RETENTION_RECORDS, "tombstones/")

    def tombstones(self, *studies: str) -> dict[str, dict[str, Any]]:
        """Return the latest tombstones of some studies, or of all, by study: each of these is kept out by a pointer."""
        names = {name.split("/")[2]: name for name in self.tombstone_names()}  # of several, the last is the latest
        pointers = {name.rpartition("/")[2].removesuffix(".json"): name for name in self.pointers()}
        assert names.keys() == pointers.keys()
        found = {study: json.loads(self.records(names[study])) for study in studies or names if study in names}
        for study, tombstone in found.items():
            assert json.loads(self.state(pointers[study]))["deletion_id"] == tombstone["deletion_id"]
        return found

    def pointers(self) -> list[str]:
        """Return the names of the pointers that keep studies out."""
        return self._names(RETENTION_STATE, "purged/")

    def copies(self, study: str) -> list[str]:
        """Return the names of the files of a study in the vault."""
        return [name for name in self._names(VAULT, "") if f"/{study}/" in name and name.endswith(".dcm")]

    def vaulted(self, study: str) -> list[bytes]:
        """Return the files of a study in the vault."""
        blobs = [self.box.storage.get_blob_client(VAULT, name) for name in self.copies(study)]
        return [blob.download_blob().readall() for blob in blobs]

    def _nights(self) -> list[dict[str, Any]]:
        return self.box.events("retention_night", "retention_failed")

    def _told(self) -> list[dict[str, Any]]:
        return self.box.events(*_TOLD)

    def _names(self, container: str, prefix: str) -> list[str]:
        try:
            return list(self.box.storage.get_container_client(container).list_blob_names(name_starts_with=prefix))
        except ResourceNotFoundError:
            return []
