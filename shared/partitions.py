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


class PartitionNames:
    """Knows the service's own names of its partitions, and requests the list only for a name that it does not know."""

    def __init__(self, dicom: DICOMwebClient) -> None:
        self._dicom = dicom
        self._known = frozenset[str]()

    async def misspells(self, name: str) -> bool:
        """Return whether the service lists the partition under another spelling.

        Raises:
            DICOMwebError: see `shared.dicomweb.errors`.
        """
        if name in self._known:
            return False
        self._known = frozenset(await partition_names(self._dicom))
        return is_other_spelling(name, self._known)
