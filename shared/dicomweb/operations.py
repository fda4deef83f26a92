"""Operations of the Azure service: long work under way, such as a reindexing."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from . import media_types
from .answers import fields_of, time_of
from .errors import InvalidParameter
from .messages import Request
from .session import Session

_ID = re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True)
class Operation:
    """One operation: `status` is in lower case, `percent_complete` from 0 to 100."""

    operation_id: str
    type: str
    status: str
    percent_complete: int
    created: datetime
    last_updated: datetime

    @property
    def is_finished(self) -> bool:
        """Whether it has come to its end, good or bad."""
        return self.status not in ("notstarted", "running")

    @property
    def succeeded(self) -> bool:
        """Whether it has come to a good end; API v1 calls that completed."""
        return self.status in ("succeeded", "completed")


class Operations:
    """Looks at operations; every method raises `DICOMwebError`, see `errors`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def get(self, operation_id: str) -> Operation:
        """Return an operation as it stands.

        Raises:
            NotFound: there is none under this id.
        """
        if not _ID.fullmatch(operation_id):
            raise InvalidParameter("operation_id must be a UUID, with its hyphens or without")
        # 202 while it is under way.
        statuses = frozenset({200, 202})
        request = Request(
            "get operation", "GET", f"/operations/{operation_id}", accept=media_types.JSON, statuses=statuses
        )
        return await self._session.fetch_json(request, _operation)

    async def wait(self, operation_id: str, *, timeout_seconds: float = 600, pause_seconds: float = 2.0) -> Operation:
        """Wait for an operation's end, good or bad: look at `Operation.succeeded`.

        Raises:
            NotFound: there is none under this id.
            TimeoutError: it is still under way.
        """
        async with asyncio.timeout(timeout_seconds):
            # The service tells nobody when it is done.
            while not (operation := await self.get(operation_id)).is_finished:  # noqa: ASYNC110
                await asyncio.sleep(pause_seconds)
        return operation


def started_operation(decoded: Any) -> str:
    """Read the reference to an operation that a request has started, and return its id.

    Raises:
        TypeError, ValueError: it has none; see `reading_answer`.
    """
    operation_id = fields_of(decoded)["id"]
    if not _ID.fullmatch(operation_id):
        raise ValueError
    return str(operation_id)


def _operation(decoded: Any) -> Operation:
    fields = fields_of(decoded)
    return Operation(
        operation_id=fields["operationid"],
        type=fields["type"].lower(),
        status=fields["status"].lower(),
        percent_complete=int(fields.get("percentcomplete") or 0),
        created=time_of(fields["createdtime"]),
        last_updated=time_of(fields["lastupdatedtime"]),
    )
