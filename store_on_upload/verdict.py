"""The verdicts on a blob, their reasons, and how a store's answer becomes one (tables).

Every version of a blob gets exactly one. Codes of reasons are stable: receipts, quarantine and documents name them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from shared.dicomweb import InstanceOutcome, StatusError, StoreReason, StoreStatus
from shared.dicomweb.checks import is_numeric_uid

from .setback import NotYet

_STUDY_INSTANCE_UID = "0020000D"


class Verdict(StrEnum):
    """As it stands in the receipt."""

    STORED = "stored"
    STORED_WITH_WARNINGS = "stored_with_warnings"
    DUPLICATE = "duplicate"  # there already, with the same bytes
    REPLACED = "replaced"  # there already with other bytes, which gave way
    CONFLICT = "conflict"  # there already, with other bytes
    REJECTED = "rejected"
    IGNORED = "ignored"  # none of ours
    GAVE_UP = "gave_up"  # failed by itself for too long

    @property
    def quarantines(self) -> bool:
        """Whether the file leaves the inbox for the quarantine."""
        return self in (Verdict.CONFLICT, Verdict.REJECTED, Verdict.GAVE_UP)

    @property
    def is_in_service(self) -> bool:
        """Whether the DICOM service has the instance."""
        return self in (Verdict.STORED, Verdict.STORED_WITH_WARNINGS, Verdict.DUPLICATE, Verdict.REPLACED)


# Code → what a person should know and do. First those of verdicts.
REASONS: dict[str, str] = {
    "empty": "The blob has no content. Send the file again.",
    "not_dicom": "This is no DICOM file: neither is `DICM` at byte 128, nor does it begin with a dataset. Export it "
    "as DICOM and send it again.",
    "archive": "This is an archive. Unpack it first, and send the files in it.",
    "unreadable": "The DICOM header cannot be read. Export the file again at its source.",
    "unfinished": "The file ends before its data does. Send it again, under its final name, once it is complete.",
    "uids_missing": "The dataset lacks a valid Study, Series or SOP Instance UID. Correct it at its source.",
    "too_large": "The file is larger than the app or the DICOM service takes. See the setting MAX_INSTANCE_BYTES.",
    "too_long_for_explicit_vr": "An element's value is longer than 64 KiB, which this file's encoding can hold and "
    "the one the DICOM service asks for cannot. Have its sender export it in Explicit VR.",
    "too_large_for_explicit_vr": "The DICOM service asks for another encoding of this file, and more than 64 MiB "
    "beside its pixel data would have to be written anew. Have its sender export it in Explicit VR.",
    "refused": "The DICOM service does not take the file: a required attribute is missing or invalid, or the "
    "dataset cannot be read. The attributes named, if any, tell which.",
    "other_study": "The DICOM service reads another Study Instance UID in the file than the app does, and has not "
    "stored it: the dataset names more than one. Have it exported again.",
    "other_uids": "The DICOM service reads other UIDs in the file than the app does: the dataset names more than one "
    "instance. Search the service for the UIDs in the receipt and in the file. Delete what this file has left there, "
    "and have the file exported again.",
    "purged": "Retention has deleted this study. If it is to come back, restore it from the vault, or delete its "
    "pointer in `retention-state`, then replay the file.",
    "study_unknown": "The app cannot read from the file for certain which study it belongs to. Retention has deleted "
    "studies, and this may be one of them, so the app has not sent the file. Have the sender export it again. To "
    "store it even so: stop the senders, set ON_PURGED to `store`, replay this file alone, then restore the setting.",
    "reserved": "The Study Instance UID begins as those of the app's own probe do, which lookups hide. Give the study "
    "another one at its source.",
    "other_bytes": "An instance with the same UIDs and other content is stored already, and was left as it is. "
    "Compare the two, then delete the stored one or give this one UIDs of its own.",
    "other_patient": "An instance with the same UIDs is stored already, and belongs to another patient: the PatientID "
    "or the birth date differs, or cannot be compared. The app never replaces such an instance. Find out whose "
    "instance it is.",
    "stored_since": "An instance with the same UIDs and other content was stored after this file had come, or at the "
    "same moment, and was left as it is. If this one is to replace it, drop it again.",
    "corrected": "An instance with the same UIDs and other content is stored already. A bulk update has corrected "
    "it, and the DICOM service still has it as it was first stored. A replacement would lose one of the "
    "two, so the app left it as it is. Delete the stored instance and replay this file, or give this "
    "one UIDs of its own.",
    "no_replacement": "An instance with the same UIDs and other content is stored already, and the DICOM service "
    "offers no PUT to replace it with. Delete the stored one and replay this one, or set ON_CONFLICT to `quarantine`.",
    "kept_failing": "The file failed by itself for GIVE_UP_AFTER_DAYS, while others went through. `failure` tells "
    "how. Look at the DICOM service's log, then replay it.",
    "crashed": "The app ended abnormally each time that it handled this file. Look at its memory, then replay it.",
    "name": "The name is none of ours: see the setting INBOX_SUFFIXES.",
    "temporary": "A temporary name. The file is looked at once it has its final one.",
    "folder": "A folder's marker: an empty blob whose name ends in `/`, or which storage marks as a folder.",
    "dicomdir": "A DICOMDIR lists the files of a medium, and holds no instance.",
    "no_dicom_content": "A name without a suffix, and no DICOM in it.",
    "gone": "The blob was deleted or overwritten by its producer before it had a verdict. If it is undeleted, the next "
    "sweep takes it up again. If the receipt has UIDs, an attempt may have stored the file: search the DICOM service "
    "for them.",
    # Then those of what is only put off: `reason` of a receipt that is not final.
    "swept": "The file had been missed: the sweep has sent it on.",
    "service_unreachable": "The DICOM service or its token cannot be had. It is tried again.",
    "service_busy": "The DICOM service is busy or down. It is tried again.",
    "outage": "The DICOM service is down, or does not let the app in. All files wait but for a few trials a minute.",
    "no_room": "Other files go first: see INGEST_CONCURRENCY. It is tried again.",
    "too_slow": "The file could not be sent within 12 minutes. It is tried again.",
    "access_denied": "The DICOM service does not let the app in: see its role. It is tried again.",
    "service_failed": "The DICOM service did not answer as it should. It is tried again.",
    "storage_failed": "The storage account did not answer as it should. It is tried again. If it stays so for one "
    "file, see whether it is in the archive tier.",
    "being_stored": "Another store of the instance is under way, or has died midway. If it stays so: see the setting "
    "REPLACE_STUCK.",
    "remains_denied": "Another store of the instance has died midway, and with REPLACE_STUCK what it left should give "
    "way; but the app's role does not let it delete. Have somebody delete that instance at the DICOM service.",
    "being_replaced": "Another file is just taking the place of the stored instance. It is tried again.",
    "note_damaged": "What the app has written down of the instance's latest replacement cannot be read. Find the "
    "damaged blob as docs/ingest.md says under Replacing, and delete it. The file is tried again.",
    "partition_misspelt": "The DICOM service lists the file's partition in other letter case. Correct the name in "
    "sources.toml and deploy the app. The file is tried again.",
    "not_confirmed": "The DICOM service did not confirm the instance. It is tried again.",
    "unsettled": "The file is empty or unfinished, and may still be written to: see SETTLE_AFTER_SECONDS.",
    "stopped": "A blob named STOP in dicom-control stops ingest. Delete it to go on.",
    "app_failed": "The app failed: its log has the event blob_failed. It is tried again.",
    "poisoned": "The app could not finish with the file five times in a row. It is tried again, three times in all.",
}

# WarningReason of a store → what a person should know and do.
WARNINGS: dict[int, str] = {
    StoreReason.ATTRIBUTES_DROPPED.value: "The DICOM service has stored the file, but some attributes are invalid: "
    "`attributes` has their tags. The service omits them from `/metadata` and from searches; the stored file still "
    "has them. A viewer that needs one of them, such as OHIF, may fail to open the study. Correct the attributes at "
    "the source.",
    StoreReason.IMPLICIT_VR.value: "The DICOM service has stored the file in implicit VR, and warns of that encoding. "
    "If `attributes` names tags, these attributes are invalid: the service omits them from `/metadata` and from "
    "searches, and a viewer may fail to open the study. Correct them at the source. Otherwise you need do nothing.",
}
OTHER_WARNING = (
    "The DICOM service has stored the file with a warning that this app does not know. Look up `service_code` in the "
    "documentation of the service."
)


@dataclass(frozen=True)
class Replaced:
    """What gave way to another instance, and where it is now.

    Args:
        size_bytes: of it, as the service gave it.
        sha256: of the same.
        kept_as: its name in `dicom-replaced`.
    """

    size_bytes: int
    sha256: str
    kept_as: str


@dataclass(frozen=True)
class Decision:
    """A verdict and its grounds.

    Args:
        verdict: one of `Verdict`.
        reason: a key of `REASONS`, for a verdict that needs one.
        service_code: WarningReason or FailureReason, as the service gave it.
        attributes: tags that the service named; never their values.
        replaced: what gave way, and is kept in `dicom-replaced`; for a `conflict`, what was about to.
    """

    verdict: Verdict
    reason: str | None = None
    service_code: int | None = None
    attributes: tuple[str, ...] = ()
    replaced: Replaced | None = None


class AlreadyStored(Exception):
    """The service has an instance with these UIDs; whether it is the same one, its bytes tell."""

    def __init__(self, sop_instance_uid: str | None) -> None:
        super().__init__()
        self.sop_instance_uid = sop_instance_uid


def rejected(reason: str) -> Decision:
    """Return the verdict on a file that will never be stored as it is."""
    return Decision(Verdict.REJECTED, reason)


def conflict(reason: str) -> Decision:
    """Return the verdict on a file whose place another one has."""
    return Decision(Verdict.CONFLICT, reason)


def ignored(reason: str) -> Decision:
    """Return the verdict on a blob that is none of ours."""
    return Decision(Verdict.IGNORED, reason)


def advice_on(verdict: Verdict | None, reason: str | None, service_code: int | None) -> str | None:
    """Return what a person should know and do about a verdict; None if there is nothing to do.

    Args:
        verdict: None until there is one.
        reason: a key of `REASONS`.
        service_code: WarningReason or FailureReason of the DICOM service.
    """
    if reason:
        return REASONS[reason]
    if verdict is Verdict.STORED_WITH_WARNINGS:
        return OTHER_WARNING if service_code is None else WARNINGS.get(service_code, OTHER_WARNING)
    return None


def judge(outcome: InstanceOutcome, study_instance_uid: str | None = None) -> Decision:
    """Read what a store's answer says of our one instance.

    Args:
        outcome: what it says.
        study_instance_uid: the study that it was stored into, a valid UID; None if the service was to choose.

    Raises:
        AlreadyStored: failure 45070.
        NotYet: our instance is not named, or the failure passes.
    """
    match outcome.status:
        case StoreStatus.STORED:
            return Decision(Verdict.STORED)
        case StoreStatus.WARNED:
            return Decision(Verdict.STORED_WITH_WARNINGS, None, outcome.reason, outcome.failed_attributes)
        case StoreStatus.FAILED:
            return _judge_failure(outcome, study_instance_uid)
        case StoreStatus.NOT_NAMED | StoreStatus.NOT_RECEIVED:
            raise NotYet("not_confirmed")


def _judge_failure(outcome: InstanceOutcome, study_instance_uid: str | None) -> Decision:
    match outcome.reason:
        case StoreReason.ALREADY_STORED:
            raise AlreadyStored(outcome.sop_instance_uid)
        case StoreReason.INVALID | StoreReason.OTHER_STUDY if study_instance_uid and _is_about_study(outcome):
            return Decision(Verdict.REJECTED, "other_study", outcome.reason, outcome.failed_attributes)
        case StoreReason.INVALID | StoreReason.OTHER_STUDY:
            return Decision(Verdict.REJECTED, "refused", outcome.reason, outcome.failed_attributes)
        case StoreReason.BEING_STORED:
            raise NotYet("being_stored", outcome.reason)
        case _:
            # 272 passes; of a code we do not know, that is the safe thing to believe.
            raise NotYet("service_failed", outcome.reason)


def _is_about_study(outcome: InstanceOutcome) -> bool:
    return outcome.reason == StoreReason.OTHER_STUDY or _STUDY_INSTANCE_UID in outcome.failed_attributes


def judge_refusal(error: StatusError, study_instance_uid: str | None) -> Decision | None:
    """Read what the status says with which a store was refused as a whole; None if that may pass.

    Args:
        error: the refusal.
        study_instance_uid: the study that it was to be stored into; None if the service was to choose.
    """
    if error.status_code == 413:
        return rejected("too_large")
    if error.status_code == 400 and not is_numeric_uid(study_instance_uid or "0"):
        return rejected("refused")  # the service takes no such UID in the request's path
    return None
