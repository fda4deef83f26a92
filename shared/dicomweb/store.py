"""Store (PS3.18 §10.5), with what the Azure service adds: replacing, and an expiry."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from datetime import timedelta
from itertools import islice
from typing import TypeVar

from . import media_types
from .body import Body
from .checks import check_int
from .errors import InvalidParameter
from .media_types import format_media_type
from .messages import Answer, Request
from .multipart import closing_delimiter, part_head
from .resource import Resource
from .store_response import StoreResult, parse_store_response
from .transactions import Transactions

# 200: all stored. 202: some failed, or all stored with warnings. 204: nothing was in the request, as the service saw
# it. 409: none stored. Each but 204 has a dataset that says it for each instance.
_STATUSES = frozenset({200, 202, 204, 409})

_TRANSACTION = "store instance"

K = TypeVar("K")


class StoreTransaction(Transactions):
    """Store, one instance a request, so that each is confirmed by itself."""

    async def store_instance(
        self,
        source: Body,
        *,
        study_instance_uid: str | None = None,
        replace: bool = False,
        expire_after: timedelta | None = None,
        once: bool = False,
    ) -> StoreResult:
        """Store one instance, a Part 10 file.

        Args:
            source: the file's bytes, which can be read again for each attempt.
            study_instance_uid: the study that it must belong to.
            replace: put it in the place of one with the same UIDs. An extension of the Azure service, as the next one.
            expire_after: have the service delete the whole study so long after this store. The latest store to a
                study decides: one without it takes an earlier expiry back.
            once: send one request, and no other if it fails: what a repetition is answered does not tell whether the
                first request was carried out.

        Returns:
            What the service says of the instance: look at `StoreResult.outcome_of`, not at the status.

        Raises:
            InvalidParameter: a UID or an expiry that is none.
            Busy, RequestNotSent: not stored, later.
            ResponseLost: perhaps stored; a repetition is answered ALREADY_STORED then.
            InvalidResponse: the answer cannot be read: perhaps stored.
            Exception: whatever the source raised: not stored.
        """
        content_type, body = (media_types.DICOM, source) if self._single_part else _as_multipart(source)
        request = Request(
            _TRANSACTION,
            "PUT" if replace else "POST",
            Resource(study_instance_uid).path,
            accept=media_types.DICOM_JSON,
            headers={"Content-Type": content_type, **_expiry(expire_after)},
            body=body,
            statuses=_STATUSES,
            is_sent_once=once,
        )
        return await self._session.fetch(request, _read)

    async def store_instances(
        self,
        sources: Iterable[tuple[K, Body]],
        *,
        at_once: int = 8,
        study_instance_uid: str | None = None,
        replace: bool = False,
        expire_after: timedelta | None = None,
    ) -> AsyncGenerator[tuple[K, StoreResult | Exception]]:
        """Store many, each in a request of its own, and yield what came of each, as they finish.

        One that fails ends none of the others. Close the generator to end all that is under way.

        Args:
            sources: each with a key of the caller's, such as its path; taken one by one as the uploads go on.
            at_once: how many are under way at most; beyond the transport's connections (64) they wait for one, and
                fail after a while.
            study_instance_uid, replace, expire_after: as in `store_instance`.

        Yields:
            The key, and the result or what `store_instance` raised.

        Raises:
            InvalidParameter: `at_once` is less than 1.
        """
        check_int("at_once", at_once, 1)

        async def store(key: K, source: Body) -> tuple[K, StoreResult | Exception]:
            try:
                return key, await self.store_instance(
                    source, study_instance_uid=study_instance_uid, replace=replace, expire_after=expire_after
                )
            except Exception as error:  # of the service, or of this one source
                return key, error

        waiting = iter(sources)
        running: set[asyncio.Task[tuple[K, StoreResult | Exception]]] = set()
        try:
            while True:
                for key, source in islice(waiting, at_once - len(running)):
                    running.add(asyncio.create_task(store(key, source)))
                if not running:
                    return
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


def _as_multipart(source: Body) -> tuple[str, Body]:
    """Return the Content-Type and the body of a message that has an instance as its only part (RFC 2387)."""
    boundary = secrets.token_hex(16)
    head = part_head(boundary.encode(), media_types.DICOM)
    end = closing_delimiter(boundary.encode())

    async def chunks() -> AsyncGenerator[bytes]:
        yield head
        async with aclosing(aiter(source)) as content:
            async for chunk in content:
                yield chunk
        yield end

    content_type = format_media_type(media_types.RELATED, {"type": media_types.DICOM, "boundary": boundary})
    return content_type, Body(chunks, len(head) + source.length + len(end))


def _expiry(after: timedelta | None) -> dict[str, str]:
    if after is None:
        return {}
    milliseconds = after // timedelta(milliseconds=1)
    if milliseconds < 1:
        raise InvalidParameter("expire_after must be at least a millisecond")
    return {
        "msdicom-expiry-time-milliseconds": str(milliseconds),
        "msdicom-expiry-option": "RelativeToNow",
        "msdicom-expiry-level": "Study",
    }


async def _read(answer: Answer) -> StoreResult:
    if answer.status_code == 204:
        return StoreResult(204)
    return parse_store_response(_TRANSACTION, answer.status_code, await answer.json())
