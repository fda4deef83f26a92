"""A study at the service, as the ledger keeps it."""

from __future__ import annotations

from collections.abc import Iterable

from purge_study.run import Run

from .row import Reading, StudyKey


async def read_study(run: Run, key: StudyKey, keywords: Iterable[str]) -> Reading | None:
    """Read a study's metadata; None if there is no such study.

    Args:
        run: of this night.
        key: which study.
        keywords: of the attributes to keep.

    Raises:
        DICOMwebError: see `shared.dicomweb.errors`.
    """
    raise NotImplementedError
