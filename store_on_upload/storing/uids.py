"""Which instance of the service: by the UIDs that a header, an answer or a receipt tells, or by a search."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Protocol

from shared.dicomweb import DICOMwebClient, InstanceOutcome, NotFound, Query, StoreResult, StoreStatus
from shared.part10 import Header
from store_on_upload.setback import NotYet


@dataclass(frozen=True)
class Uids:
    """Of one instance."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str


class TellsUids(Protocol):
    """What may tell the UIDs of an instance."""

    @property
    def study_instance_uid(self) -> str | None:
        """Its study's."""

    @property
    def series_instance_uid(self) -> str | None:
        """Its series'."""

    @property
    def sop_instance_uid(self) -> str | None:
        """Its own."""


def uids_of(told: TellsUids) -> Uids | None:
    """Return an instance's UIDs; None where one of them is not told."""
    study, series, instance = told.study_instance_uid, told.series_instance_uid, told.sop_instance_uid
    return Uids(study, series, instance) if study and series and instance else None


class OtherUids(Exception):
    """The service has read other UIDs in the file than the app."""

    def __init__(self, outcome: InstanceOutcome) -> None:
        super().__init__()
        self.outcome = outcome


def checked_outcome(result: StoreResult, sent: TellsUids) -> InstanceOutcome:
    """Return what a store's answer says of the one file that was sent.

    Raises:
        OtherUids: it names other UIDs than the file's.
    """
    outcome = result.outcome_of(sent.sop_instance_uid)
    if outcome.status is StoreStatus.NOT_NAMED and len(result.outcomes) == 1:
        [only] = result.outcomes
        outcome = only if only.sop_instance_uid else outcome
    pairs = (
        (sent.study_instance_uid, outcome.study_instance_uid),
        (sent.series_instance_uid, outcome.series_instance_uid),
        (sent.sop_instance_uid, outcome.sop_instance_uid),
    )
    if any(ours and named and ours != named for ours, named in pairs):
        raise OtherUids(outcome)
    return outcome


async def find_uids(dicom: DICOMwebClient, header: Header, named_by_service: str | None) -> Uids:
    """Return the instance's UIDs: from its header, or by a search where the header could not be followed.

    Raises:
        NotYet: several instances share the UID, or there is none.
        DICOMwebError: the service cannot be asked.
    """
    if uids := uids_of(header):
        return uids
    if named_by_service is None:
        raise NotYet("not_confirmed")
    found = await dicom.search_for_instances(Query({"SOPInstanceUID": named_by_service}, limit=2))
    if len(found) != 1:
        raise NotYet("not_confirmed")
    [only] = found
    return Uids(str(only.StudyInstanceUID), str(only.SeriesInstanceUID), str(only.SOPInstanceUID))


async def is_stored(dicom: DICOMwebClient, uids: Uids) -> bool:
    """Say whether the service has a whole instance under these UIDs: one that is only being stored has no metadata.

    Raises:
        DICOMwebError: the service cannot be asked.
    """
    try:
        await dicom.retrieve_instance_metadata(**asdict(uids))
    except NotFound:
        return False
    return True
