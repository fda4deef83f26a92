"""What the access record says of a lookup: who saw what, when, and how much of it."""

from __future__ import annotations

import json
import re
from typing import Literal

from query_api.lookup import Lookup
from query_api.searching.values import listed
from shared import clock
from shared.dicomweb.checks import is_uid

# What a search takes as a study's UID; whatever else is asked for is not written down.
_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)
_STUDY_FILTERS = frozenset({"studyinstanceuid", "0020000d"})

Phase = Literal["begins", "ends"]


def access_record(
    lookup: Lookup, phase: Phase, status: int, *, bytes_sent: int | None = None, outcome: str | None = None
) -> bytes:
    """Return a line of the access record.

    Args:
        lookup: what was asked.
        phase: `begins` before the first byte is handed out, `ends` when all is over.
        status: of the answer.
        bytes_sent: of its body; None before it ends.
        outcome: `complete`, `cut` or `hung_up`; None before it ends.
    """
    caller = lookup.caller
    fields = {
        "time": clock.now().isoformat(timespec="milliseconds"),
        "request_id": lookup.request_id,
        "phase": phase,
        "caller": {"kind": caller.kind, "id": caller.id, "name": caller.name},
        "transaction": lookup.route.transaction,
        "resource": lookup.route.resource,
        "partition": lookup.partition,
        "study_instance_uid": _study_of(lookup),
        "status": status,
        "outcome": outcome,
        "bytes": bytes_sent,
    }
    return json.dumps(fields).encode() + b"\n"


def _study_of(lookup: Lookup) -> str | None:
    """Return the UID of the study that is asked for, in the path or as a filter; None where there is none.

    Several have a backslash between them, as DICOM writes them (PS3.5 §6.4).
    """
    named = [value for name, value in lookup.http.query_params.multi_items() if name.lower() in _STUDY_FILTERS]
    uids = [uid for value in named for uid in listed("UI", value) if _UID.fullmatch(uid)]
    if is_uid(study := lookup.http.path_params.get("study", "")):
        uids.append(study)
    return "\\".join(dict.fromkeys(uids)) or None
