"""Are the instances in the DICOM service? Study by study, so that a search answers for many at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from shared.dicomweb import DICOMwebClient, NotFound
from store_on_upload.storing.uids import Uids, is_stored

from .checking import Check
from .report import Difference

# Fewer are asked for one by one: the study may have thousands.
_WORTH_A_SEARCH = 4


@dataclass(frozen=True)
class Study:
    """A study of a partition; None for a service without partitions."""

    partition: str | None
    uid: str


@dataclass(frozen=True)
class Stored:
    """An instance that a receipt says is stored, and the blob's name."""

    uids: Uids
    blob: str


async def check_instances(check: Check, study: Study, stored: Sequence[Stored]) -> None:
    """Count the instances of a study that are not in the service, but for those that retention deleted.

    Raises:
        DICOMwebError: the service failed.
        AzureError: storage did.
    """
    dicom = check.clients.dicom_in(study.partition)
    found = await _search(dicom, study) if len(stored) >= _WORTH_A_SEARCH else set()
    for instance in stored:
        if instance.uids.sop_instance_uid in found or await is_stored(dicom, instance.uids):
            continue
        if await check.purged.has(study.partition, study.uid):
            check.report.purged += 1
        else:
            check.report.add(Difference.NOT_IN_SERVICE, instance.blob)


async def _search(dicom: DICOMwebClient, study: Study) -> set[str]:
    """Return the instances of a study; what is stored meanwhile may hide some, so each lack is looked into."""
    found: set[str] = set()
    try:
        async with aclosing(dicom.iter_instances(study_instance_uid=study.uid)) as instances:
            async for instance in instances:
                found.add(str(instance.SOPInstanceUID))
    except NotFound:
        return set()
    return found
