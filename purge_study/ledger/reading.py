"""A study at the service, as the ledger keeps it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Final, Protocol, TypeVar

from purge_study.run import Run
from shared.dicomweb import InvalidResponse, NotFound, Query

from .row import Reading, StudyKey
from .summing import Summing


class _TakesInstances(Protocol):
    def add(self, instance: dict[str, Any]) -> None: ...


S = TypeVar("S", bound=_TakesInstances)
# Raise it if the app reads anything else of a study, or understands it otherwise, than it did before: then all studies
# in a ledger are read again.
READ_AS: Final = 2
_YIELD_AFTER_INSTANCES = 20  # of ordinary ones, some milliseconds


async def read_study(run: Run, key: StudyKey, keywords: Iterable[str]) -> Reading | None:
    """Read a study's metadata; None if there is no such study.

    However many instances it has, one at a time is in memory.

    Args:
        run: of this night.
        key: which study.
        keywords: of the attributes to keep.

    Raises:
        DICOMwebError: see `shared.dicomweb.errors`.
    """
    wanted = frozenset(keywords)
    found = await read_instances(run, key, lambda: Summing(wanted, run.hasher))
    if found is None:
        return None
    summing, etag = found
    return summing.reading(etag)


async def read_instances(run: Run, key: StudyKey, begin: Callable[[], S]) -> tuple[S, str | None] | None:
    """Read the metadata of a study, instance by instance; None if there is no such study.

    Args:
        run: of this night.
        key: which study.
        begin: makes what takes the instances; anew, where a connection was lost.

    Returns:
        What has taken all instances, and the metadata's ETag.

    Raises:
        DICOMwebError: see `shared.dicomweb.errors`.
    """

    async def read(instances: AsyncIterator[dict[str, Any]]) -> S:
        taking = begin()
        number = 0
        async for instance in instances:
            taking.add(instance)
            number += 1
            if number % _YIELD_AFTER_INSTANCES == 0:
                await asyncio.sleep(0)
        return taking

    dicom = run.dicom_of(key)
    try:
        return await run.pace.ask(lambda: dicom.read_study_metadata(read, study_instance_uid=key.uid))
    except NotFound:
        return None


async def read_or_miss(run: Run, key: StudyKey, keywords: Iterable[str]) -> Reading | None:
    """Read a study's metadata; None only if a search finds no such study either.

    A study that is forgotten never comes up again: one 404, a gateway's perhaps, is not enough for that.

    Raises:
        InvalidResponse: a search finds a study that has no metadata.
        DICOMwebError: see `shared.dicomweb.errors`.
    """
    reading = await read_study(run, key, keywords)
    if reading is None and await is_found(run, key):
        raise InvalidResponse("retrieve metadata: the service has none of a study that its search finds")
    return reading


async def is_found(run: Run, key: StudyKey) -> bool:
    """Say whether a search finds a study.

    Raises:
        DICOMwebError: see `shared.dicomweb.errors`.
    """
    query = Query({"StudyInstanceUID": key.uid}, limit=1)
    return bool(await run.pace.ask(lambda: run.dicom_of(key).search_for_studies(query)))
