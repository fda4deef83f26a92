"""The names of the service's partitions, and other spellings of them."""

from __future__ import annotations

from collections.abc import Iterable

from shared.dicomweb import DICOMwebClient, StatusError


async def partition_names(dicom: DICOMwebClient) -> tuple[str, ...]:
    """Return the names of the service's partitions; none if the service was created without partitions.

    Raises:
        DICOMwebError: see `shared.dicomweb.errors`.
    """
    try:
        return tuple(partition.name for partition in await dicom.list_partitions())
    except StatusError as error:
        if error.status_code in (400, 404):
            return ()
        raise


def is_other_spelling(name: str, names: Iterable[str]) -> bool:
    """Return whether a name differs from one of the names in letter case only, and is none of them itself."""
    known = set(names)
    return name not in known and name.casefold() in {one.casefold() for one in known}
