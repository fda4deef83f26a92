"""What the access record says of an access: who saw what, when, and how much of it (pure)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from shared import clock
from shared.callers import Caller

Phase = Literal["begins", "ends"]


@dataclass
class Access:
    """An access to patients' data, as far as it is recorded.

    Args:
        request_id: names the request in the log and to the caller.
        caller: who asks.
        transaction: `search`, `retrieve` or `changes`.
        resource: what is searched for or retrieved: `studies`, `series metadata`, `receipt`, `plan`, `retention`.
        partition: the DICOM service's, if the access is about one partition.
        studies: the UIDs of the studies that it is about.
        plan: the id of the retention plan that it is about.
    """

    request_id: str
    caller: Caller
    transaction: str
    resource: str
    partition: str | None = None
    studies: tuple[str, ...] = ()
    plan: str | None = None


def access_record(
    access: Access, phase: Phase, status: int, *, bytes_sent: int | None = None, outcome: str | None = None
) -> bytes:
    """Return a line of the access record.

    Args:
        access: what was asked.
        phase: `begins` before the first byte is handed out, `ends` when all is over.
        status: of the answer.
        bytes_sent: of its body; None before it ends.
        outcome: `complete`, `cut` or `hung_up`; None before it ends.
    """
    caller = access.caller
    fields: dict[str, Any] = {
        "time": clock.now().isoformat(timespec="milliseconds"),
        "request_id": access.request_id,
        "phase": phase,
        "caller": {"kind": caller.kind, "id": caller.id, "name": caller.name},
        "transaction": access.transaction,
        "resource": access.resource,
        "partition": access.partition,
        # Several have a backslash between them, as DICOM writes them (PS3.5 §6.4).
        "study_instance_uid": "\\".join(dict.fromkeys(access.studies)) or None,
        "status": status,
        "outcome": outcome,
        "bytes": bytes_sent,
    }
    if access.plan is not None:
        fields["plan"] = access.plan
    return json.dumps(fields).encode() + b"\n"
