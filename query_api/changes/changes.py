"""What is new and gone since the caller last asked, for services that would otherwise poll searches."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from starlette.responses import JSONResponse, Response

from query_api.lookup import Lookup
from shared.dicomweb import Change, ChangeAction
from shared.dicomweb.partitions import DEFAULT_PARTITION
from shared.function_key import is_function_key
from shared.probe_uids import is_of_probe
from shared.problems import NOT_KEPT, invalid_parameter

from .position import EPOCH, Position
from .reading import Page, Wanted, latest_position, read_on

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000
NOW: Final = "now"
PARAMETERS: Final = ("since", "limit")

# What the feed calls `create` and so on, as what is the case.
ACTIONS: Final = {ChangeAction.CREATE: "created", ChangeAction.UPDATE: "updated", ChangeAction.DELETE: "deleted"}

# RFC 3339 §5.6. A plus sign that was not encoded comes as a space.
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[ +-]\d\d:\d\d)", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,4}", re.ASCII)


async def changes(lookup: Lookup) -> Response:
    """Answer with the changes after a position, and a token for the next."""
    asked = _parameters(lookup)
    limit = _limit(asked.get("limit"))
    feed = lookup.dicom.change_feed
    if asked.get("since") == NOW:
        page = Page([], await latest_position(feed), has_more=False)
    else:
        page = await read_on(feed, _position(asked.get("since")), limit, _wanted(lookup))
    lookup.datasets = len(page.changes)
    return JSONResponse(_body(page), headers=NOT_KEPT)


def _wanted(lookup: Lookup) -> Wanted:
    """Return what tells the changes of the path's partition, or of all, that the caller may see."""

    def is_wanted(change: Change) -> bool:
        partition = change.partition_name or DEFAULT_PARTITION
        is_visible = lookup.may_see(partition) and not is_of_probe(change.study_instance_uid)
        return lookup.partition in (None, partition) and is_visible

    return is_wanted


def _parameters(lookup: Lookup) -> Mapping[str, str]:
    """Return the caller's parameters, each once."""
    given = [(name, value) for name, value in lookup.http.query_params.multi_items() if not is_function_key(name)]
    names = [name for name, _ in given]
    if unknown := set(names) - set(PARAMETERS):
        parameter = "one" if len(unknown) == 1 else "some"
        raise invalid_parameter("query", f"{parameter} of its parameters is not known; since and limit are allowed")
    for name in PARAMETERS:
        if names.count(name) > 1:
            raise invalid_parameter(name, "it is allowed once")
    return dict(given)


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    limit = int(text) if _NUMBER.fullmatch(text) else 0
    if not 1 <= limit <= MAX_LIMIT:
        raise invalid_parameter("limit", f"a whole number from 1 to {MAX_LIMIT} is allowed")
    return limit


def _position(since: str | None) -> Position:
    if since is None:
        return Position()
    try:
        return Position(_time(since)) if _TIME.fullmatch(since) else Position.from_token(since)
    except (ValueError, OverflowError):
        detail = "allowed are the value of `next` of an earlier answer, as it stands; a time with its zone, such as "
        raise invalid_parameter("since", f"{detail}2026-01-31T00:00:00Z; and {NOW}") from None


def _time(text: str) -> datetime:
    return max(EPOCH, datetime.fromisoformat(text.upper().replace(" ", "+")).astimezone(UTC))


def _body(page: Page) -> dict[str, Any]:
    told = [_told(change) for change in page.changes]
    return {"changes": told, "next": page.position.to_token(), "more": page.has_more}


def _told(change: Change) -> dict[str, Any]:
    return {
        "sequence": change.sequence,
        "action": ACTIONS[change.action],
        "state": change.state.value,
        "timestamp": change.timestamp.isoformat().replace("+00:00", "Z"),
        "partition": change.partition_name,
        "study_instance_uid": change.study_instance_uid,
        "series_instance_uid": change.series_instance_uid,
        "sop_instance_uid": change.sop_instance_uid,
    }
