"""Where it stands which studies retention has deleted: for each a blob in `retention-records` (pure)."""

from __future__ import annotations

from typing import Final

from shared.dicomweb.partitions import DEFAULT_PARTITION

TOMBSTONES: Final = "tombstones/"


def tombstone_name(partition: str | None, study_instance_uid: str) -> str:
    """Return the name of a study's tombstone; without partitions a service calls its one `Microsoft.Default`."""
    return f"{TOMBSTONES}{partition or DEFAULT_PARTITION}/{study_instance_uid}.json"
