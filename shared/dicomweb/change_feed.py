"""The change feed of the Azure service: what was stored, replaced and deleted, and when. It spans all partitions."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any
from urllib.parse import quote, urlencode

from pydicom import Dataset

from . import media_types
from .answers import dataset_of, fields_of, items_of, reading_answer, time_of
from .errors import InvalidParameter, InvalidResponse
from .messages import Answer, Request
from .query import MAX_LIMIT, check_page
from .session import Session

_TRANSACTION = "change feed"
_TICK = timedelta(microseconds=1)


class ChangeAction(StrEnum):
    """What happened."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class ChangeState(StrEnum):
    """What has become of that version by now, not at the time of the change."""

    CURRENT = "current"
    REPLACED = "replaced"  # a later version is there
    DELETED = "deleted"


@dataclass(frozen=True)
class Change:
    """One change of one instance.

    Args:
        sequence: unique; grows, but not in the order of the timestamps alone.
        timestamp: when the change was made, with a zone.
        partition_name: `Microsoft.Default` where partitions are off.
        metadata: of the version that is there now; None if it was not asked for, or there is none.
    """

    sequence: int
    action: ChangeAction
    state: ChangeState
    timestamp: datetime
    partition_name: str | None
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    metadata: Dataset | None = None


class ChangeFeed:
    """Reads the change feed; every method raises `DICOMwebError`, see `errors`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def page(
        self,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int = MAX_LIMIT,
        offset: int = 0,
        include_metadata: bool = False,
    ) -> list[Change]:
        """Return some changes of a window of time, oldest first; none past the last.

        Args:
            start: of the window, inclusive; with a zone, as `end`.
            end: of the window, exclusive.
            limit: how many at most, 1 to 200.
            offset: changes of the window to pass over; the service reads them all the same.

        Raises:
            InvalidParameter: no window, or no page.
            DICOMwebError: see `errors`.
        """
        start, end = _window_in_utc(start, end)
        check_page(limit, offset)
        pairs = {"limit": str(limit), "offset": str(offset), "includeMetadata": str(include_metadata).lower()}
        times = {"startTime": start, "endTime": end}
        pairs |= {name: time.isoformat() for name, time in times.items() if time is not None}

        return await self._session.fetch_json(_request("/changefeed", pairs), _changes)

    async def window(
        self, start: datetime | None = None, end: datetime | None = None, *, include_metadata: bool = False
    ) -> AsyncGenerator[Change]:
        """Yield the changes of a window of time, oldest first.

        One that becomes visible meanwhile may be missed, and one beside it may come twice: see `iter`.

        Args:
            start: of the window, inclusive; with a zone, as `end`.
            end: of the window, exclusive.

        Raises:
            InvalidParameter: no window.
            InvalidResponse: a page came again in the place of the next one.
            DICOMwebError: see `errors`.
        """
        offset, last = 0, list[Change]()
        while page := await self.page(start=start, end=end, offset=offset, include_metadata=include_metadata):
            # Then another page was skipped, and its changes are not known.
            if page == last:
                raise InvalidResponse("change feed: the service gives the same page again, whatever the offset")
            for change in page:
                yield change
            offset, last = offset + len(page), page

    async def latest(self, *, include_metadata: bool = False) -> Change | None:
        """Return the latest change; None if there was never one.

        Raises:
            DICOMwebError: see `errors`.
        """
        request = _latest(include_metadata=include_metadata)
        return await self._session.fetch_json(request, lambda decoded: None if decoded is None else _change(decoded))

    async def latest_and_time(self) -> tuple[Change | None, datetime | None]:
        """Return the latest change, as `latest` does, and when that was, by the service's clock; None if it has none.

        Raises:
            DICOMwebError: see `errors`.
        """

        async def read(answer: Answer) -> tuple[Change | None, datetime | None]:
            decoded = None if answer.status_code == 204 else await answer.json()
            with reading_answer(_TRANSACTION):
                return None if answer.status_code == 204 else _change(decoded), _date(answer)

        return await self._session.fetch(_latest(include_metadata=False), read)

    async def iter(
        self,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        window: timedelta = timedelta(hours=1),
        overlap: timedelta = timedelta(minutes=5),
        include_metadata: bool = False,
    ) -> AsyncGenerator[Change]:
        """Yield every change from `start` until before `end`, once, window by window.

        Changes become visible a little out of order, so each window begins `overlap` before the last one ended, and
        what was seen there is dropped. For the same reason `end` should lie some minutes back. Windows without changes
        are passed over in one request. What is remembered is as much as `overlap` and one window hold.

        Args:
            start: the first change that there is, if None.
            end: just after the latest change, if None.
            window: of how much time at a time; the service reads a window from its beginning for each page of 200.
            overlap: by how much of it windows overlap.

        Raises:
            InvalidParameter: no window.
            DICOMwebError: see `errors`; what was yielded before holds, go on from the latest timestamp less `overlap`.
        """
        start, end = _window_in_utc(start, end)
        if window <= timedelta() or overlap < timedelta():
            raise InvalidParameter("window must be longer than nothing, and overlap not negative")
        if end is None:
            latest = await self.latest()
            if latest is None:
                return
            end = latest.timestamp + _TICK
        at = await self._next_change(start, end)
        seen: dict[int, datetime] = {}
        while at is not None and at < end:
            until = end if window >= end - at else at + window
            begin = _earlier(at, overlap, start)
            is_quiet = True
            async for change in self._unseen(seen, begin, until, include_metadata):
                is_quiet = False
                yield change
            if is_quiet and (at := await self._next_change(until, end)) is not None and overlap:
                # The next window lies far ahead: the overlap with this one is read now.
                async for change in self._unseen(seen, _earlier(until, overlap, begin), until, include_metadata):
                    yield change
            elif not is_quiet:
                at = until
            still_read = _earlier(until, overlap, start)
            seen = {sequence: when for sequence, when in seen.items() if when >= still_read}

    async def _unseen(
        self, seen: dict[int, datetime], start: datetime, end: datetime, include_metadata: bool
    ) -> AsyncGenerator[Change]:
        async for change in self.window(start, end, include_metadata=include_metadata):
            if change.sequence not in seen:
                seen[change.sequence] = change.timestamp
                yield change

    async def _next_change(self, start: datetime | None, end: datetime) -> datetime | None:
        if start is not None and start >= end:
            return None
        first = await self.page(start=start, end=end, limit=1)
        return first[0].timestamp if first else None


def _request(path: str, pairs: dict[str, str], statuses: frozenset[int] = frozenset({200})) -> Request:
    query = urlencode(pairs, quote_via=quote)
    return Request(_TRANSACTION, "GET", path, accept=media_types.JSON, query=query, statuses=statuses)


def _latest(*, include_metadata: bool) -> Request:
    pairs = {"includeMetadata": str(include_metadata).lower()}
    return _request("/changefeed/latest", pairs, frozenset({200, 204}))


def _date(answer: Answer) -> datetime | None:
    try:
        return parsedate_to_datetime(answer.headers.get("date", "")).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _window_in_utc(start: datetime | None, end: datetime | None) -> tuple[datetime | None, datetime | None]:
    """Return a window in UTC: within one zone, Python compares clock readings, which go back once a year."""
    if any(time is not None and time.tzinfo is None for time in (start, end)):
        raise InvalidParameter("start and end must have a zone")
    start, end = (None if time is None else time.astimezone(UTC) for time in (start, end))
    if start is not None and end is not None and end <= start:
        raise InvalidParameter("end must be later than start")
    return start, end


def _earlier(time: datetime, overlap: timedelta, earliest: datetime | None) -> datetime:
    """Return the time so much earlier, but not before `earliest`."""
    earliest = earliest or datetime.min.replace(tzinfo=UTC)
    return earliest if overlap >= time - earliest else time - overlap


def _changes(decoded: Any) -> list[Change]:
    return [_change(item) for item in items_of(decoded)]


def _change(item: Any) -> Change:
    fields = fields_of(item)
    metadata = fields.get("metadata")
    return Change(
        sequence=int(fields["sequence"]),
        action=ChangeAction(fields["action"].lower()),
        state=ChangeState(fields["state"].lower()),
        timestamp=time_of(fields["timestamp"]),
        partition_name=fields.get("partitionname"),
        study_instance_uid=fields["studyinstanceuid"],
        series_instance_uid=fields["seriesinstanceuid"],
        sop_instance_uid=fields["sopinstanceuid"],
        metadata=None if metadata is None else dataset_of(_TRANSACTION, metadata),
    )
