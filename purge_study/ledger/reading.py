"""A study at the service, as the ledger keeps it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

from purge_study.run import Run
from shared.dicomweb import NotFound

from .row import Reading, StudyKey
from .summing import Summing

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

    async def read(instances: AsyncIterator[dict[str, Any]]) -> Summing:
        summing = Summing(wanted, run.hasher)
        number = 0
        async for instance in instances:
            summing.add(instance)
            number += 1
            if number % _YIELD_AFTER_INSTANCES == 0:
                await asyncio.sleep(0)
        return summing

    dicom = run.dicom_of(key)
    try:
        summing, etag = await run.pace.ask(lambda: dicom.read_study_metadata(read, study_instance_uid=key.uid))
    except NotFound:
        return None
    return summing.reading(etag)
