"""Which studies retention has deleted, and nobody has put back: for each a pointer in `retention-state` (pure).

It leads to the tombstone, which stays in `retention-records` whatever becomes of the study.
"""

from __future__ import annotations

from typing import Final

from shared.dicomweb.partitions import DEFAULT_PARTITION

PURGED: Final = "purged/"


def pointer_folder(partition: str | None) -> str:
    """Return what the pointers of a partition begin with; a service without partitions has `Microsoft.Default`."""
    return f"{PURGED}{partition or DEFAULT_PARTITION}/"


def pointer_name(partition: str | None, study_instance_uid: str) -> str:
    """Return the name of a purged study's pointer."""
    return f"{pointer_folder(partition)}{study_instance_uid}.json"
