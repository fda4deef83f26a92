"""The verdicts on a blob, and how a store's answer becomes one (a table).

Every blob gets exactly one. Codes of reasons are stable: receipts, quarantine and documentation name them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from shared.dicomweb import InstanceOutcome, StoreReason, StoreResult, StoreStatus
from shared.events import Failed


class Verdict(StrEnum):
    """As it stands in the receipt."""

    STORED = "stored"
    STORED_WITH_WARNINGS = "stored_with_warnings"
    DUPLICATE = "duplicate"  # there already, with the same bytes
    CONFLICT = "conflict"  # there already, with other bytes
    REJECTED = "rejected"
    IGNORED = "ignored"  # not one of ours by its name

    @property
    def quarantines(self) -> bool:
        """Whether the file leaves the inbox for the quarantine."""
        return self in (Verdict.CONFLICT, Verdict.REJECTED)


# Code → what a person should know and do.
REASONS: dict[str, str] = {
    "empty": "The blob has no content. Send the file again.",
    "not_dicom": "This is no DICOM Part 10 file: `DICM` is not at byte 128. Export it as DICOM and send it again.",
    "unreadable": "The DICOM header cannot be read. Export the file again at its source.",
    "unfinished": "The file ends before its data does. Send it again, under its final name, once it is complete.",
    "uids_missing": "The dataset lacks a valid Study, Series or SOP Instance UID. Correct it at its source.",
    "too_long_for_explicit_vr": "An element's value is longer than 64 KiB, which this file's encoding can hold and "
    "the one the DICOM service asks for cannot. Have its sender export it in Explicit VR.",
    "too_large_for_explicit_vr": "The DICOM service asks for another encoding of this file, and more than 64 MiB "
    "beside its pixel data would have to be written anew. Have its sender export it in Explicit VR.",
    "too_large": "The file is larger than the DICOM service takes in one request.",
    "refused": "The DICOM service does not take the file: a required attribute is missing or invalid, or the "
    "dataset cannot be read. The attributes named, if any, tell which.",
    "other_bytes": "An instance with the same UIDs and other content is stored already, and was left as it is. "
    "Compare the two, then delete the stored one or give this one UIDs of its own.",
    "name": "The name does not end in `.dcm`.",
}


@dataclass(frozen=True)
class Decision:
    """A verdict and its grounds.

    Args:
        verdict: one of `Verdict`.
        reason: a key of `REASONS`, for a verdict that needs one.
        service_code: WarningReason or FailureReason, as the service gave it.
        attributes: tags that the service named; never their values.
    """

    verdict: Verdict
    reason: str | None = None
    service_code: int | None = None
    attributes: tuple[str, ...] = ()


class NotYet(Failed):
    """No verdict can be given now: the service has neither taken nor refused the instance."""


class AlreadyStored(Exception):
    """The service has an instance with these UIDs; whether it is the same one, its bytes tell."""

    def __init__(self, sop_instance_uid: str | None) -> None:
        super().__init__()
        self.sop_instance_uid = sop_instance_uid


def rejected(reason: str) -> Decision:
    """Return the verdict on a file that will never be stored as it is."""
    return Decision(Verdict.REJECTED, reason)


def judge(result: StoreResult, sop_instance_uid: str | None) -> Decision:
    """Read a store's answer for our one instance.

    Args:
        result: the answer.
        sop_instance_uid: the dataset's own; None where it was not found near the file's start: an answer that
            names one instance is then about ours.

    Raises:
        AlreadyStored: failure 45070.
        NotYet: our instance is not named, or the failure passes.
    """
    outcome = result.outcome_of(sop_instance_uid)
    match outcome.status:
        case StoreStatus.STORED:
            return Decision(Verdict.STORED)
        case StoreStatus.WARNED:
            return Decision(Verdict.STORED_WITH_WARNINGS, None, outcome.reason, outcome.failed_attributes)
        case StoreStatus.FAILED:
            return _judge_failure(outcome)
        case StoreStatus.NOT_NAMED | StoreStatus.NOT_RECEIVED:
            raise NotYet(f"the answer is no word about our instance: {outcome.status.value}")


def _judge_failure(outcome: InstanceOutcome) -> Decision:
    match outcome.reason:
        case StoreReason.ALREADY_STORED:
            raise AlreadyStored(outcome.sop_instance_uid)
        case StoreReason.INVALID | StoreReason.OTHER_STUDY:
            return Decision(Verdict.REJECTED, "refused", outcome.reason, outcome.failed_attributes)
        case _:
            # 272 and 45071 pass; of a code we do not know, that is the safe thing to believe.
            raise NotYet(f"the service failed with reason {outcome.reason}")
