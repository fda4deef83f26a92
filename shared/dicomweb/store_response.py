"""The answer to a store: one outcome per instance, never a bare status (PS3.18 §10.5.3, Annex I.2)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Any

from .answers import reading_answer

# PS3.3 and PS3.18 Annex I.2: what a store response dataset holds.
_FAILED_SOP_SEQUENCE = "00081198"
_REFERENCED_SOP_SEQUENCE = "00081199"
_REFERENCED_SOP_CLASS_UID = "00081150"
_REFERENCED_SOP_INSTANCE_UID = "00081155"
_WARNING_REASON = "00081196"
_FAILURE_REASON = "00081197"
_FAILED_ATTRIBUTES_SEQUENCE = "00741048"
_ERROR_COMMENT = "00000902"
_RETRIEVE_URL = "00081190"

_UID = r"[A-Za-z0-9.-]{1,64}"
_INSTANCE = re.compile(rf"/studies/({_UID})/series/({_UID})/instances/{_UID}/?\Z")


class StoreStatus(Enum):
    """What became of one instance."""

    STORED = "stored"
    WARNED = "warned"  # stored, with a reason to look at it
    FAILED = "failed"  # not stored, for a reason
    NOT_NAMED = "not_named"  # not in the answer, so not known to be stored: a body that was cut short ends like this
    NOT_RECEIVED = "not_received"  # 204: the service saw nothing in the request


class StoreReason(IntEnum):
    """Reasons that the Azure service gives (0008,1196 and 0008,1197)."""

    ATTRIBUTES_DROPPED = 1  # stored, but some attributes are invalid and cannot be searched
    IMPLICIT_VR = 45063  # B007H: stored, in an implicit VR transfer syntax
    PROCESSING_FAILURE = 272  # 0110H: trouble of the service's own
    INVALID = 43264  # A900H: not readable as DICOM, or a required attribute is missing or invalid
    OTHER_STUDY = 43265  # A901H: belongs to another study than the one named
    ALREADY_STORED = 45070  # B00EH: an instance with these UIDs is there already
    BEING_STORED = 45071  # B00FH: another store of it is under way, or died midway


@dataclass(frozen=True)
class InstanceOutcome:
    """What the service says of one instance.

    `reason` is a `StoreReason` where we know it. `failed_attributes` are tags of eight hexadecimal digits: comments of
    the service quote values, so they are dropped. Study and series are those of the instance's URL, where it has one.
    """

    status: StoreStatus
    sop_instance_uid: str | None = None
    sop_class_uid: str | None = None
    reason: int | None = None
    failed_attributes: tuple[str, ...] = ()
    study_instance_uid: str | None = None
    series_instance_uid: str | None = None

    @property
    def is_stored(self) -> bool:
        """Whether the service has it now, with or without a warning."""
        return self.status in (StoreStatus.STORED, StoreStatus.WARNED)


@dataclass(frozen=True)
class StoreResult:
    """The status of a store and what it says of each instance; nothing for 204."""

    status_code: int
    outcomes: tuple[InstanceOutcome, ...] = ()

    def outcome_of(self, sop_instance_uid: str | None = None) -> InstanceOutcome:
        """Return what is said of the one instance that was sent, whatever the status.

        Args:
            sop_instance_uid: its UID; without it an answer that names just one instance is taken to be about ours.
        """
        if sop_instance_uid is not None:
            sop_instance_uid = sop_instance_uid.rstrip(" \0")
            named = [outcome for outcome in self.outcomes if outcome.sop_instance_uid == sop_instance_uid]
            if named:  # an instance that is called both stored and failed is not known to be stored
                return min(named, key=lambda outcome: outcome.is_stored)
        if len(self.outcomes) == 1 and _may_be(self.outcomes[0], sop_instance_uid):
            return self.outcomes[0]
        status = StoreStatus.NOT_RECEIVED if self.status_code == 204 else StoreStatus.NOT_NAMED
        return InstanceOutcome(status, sop_instance_uid)


def _may_be(only: InstanceOutcome, sop_instance_uid: str | None) -> bool:
    """A lone outcome is ours if we do not know our UID, or if the service could not read it from a failed file."""
    unreadable = only.status is StoreStatus.FAILED and only.sop_instance_uid is None
    return sop_instance_uid is None or unreadable


def parse_store_response(transaction: str, status_code: int, dataset: Any) -> StoreResult:
    """Read a store response dataset, DICOM JSON already decoded.

    Raises:
        InvalidResponse: it is none.
    """
    with reading_answer(transaction):
        return StoreResult(status_code, (*_referenced(dataset), *_failed(dataset)))


def _referenced(dataset: Mapping[str, Any]) -> Iterator[InstanceOutcome]:
    for item in _values(dataset, _REFERENCED_SOP_SEQUENCE):
        reason = _first(item, _WARNING_REASON)
        status = StoreStatus.STORED if reason is None else StoreStatus.WARNED
        yield _outcome(item, status, reason)


def _failed(dataset: Mapping[str, Any]) -> Iterator[InstanceOutcome]:
    for item in _values(dataset, _FAILED_SOP_SEQUENCE):
        yield _outcome(item, StoreStatus.FAILED, _first(item, _FAILURE_REASON))


def _outcome(item: Mapping[str, Any], status: StoreStatus, reason: Any) -> InstanceOutcome:
    sop_instance_uid = _first(item, _REFERENCED_SOP_INSTANCE_UID)
    url = _INSTANCE.search(str(_first(item, _RETRIEVE_URL) or ""))
    return InstanceOutcome(
        status=status,
        # Stored padding of a UID is no part of it (PS3.5 §9.1).
        sop_instance_uid=None if sop_instance_uid is None else str(sop_instance_uid).rstrip(" \0"),
        sop_class_uid=_first(item, _REFERENCED_SOP_CLASS_UID),
        reason=None if reason is None else _reason(int(reason)),
        failed_attributes=tuple(_failed_tags(item)),
        study_instance_uid=url[1] if url else None,
        series_instance_uid=url[2] if url else None,
    )


def _reason(code: int) -> int:
    try:
        return StoreReason(code)
    except ValueError:
        return code


def _failed_tags(item: Mapping[str, Any]) -> Iterator[str]:
    """Take the tags out of comments shaped `DICOM100: (gggg,eeee) - …`, and leave the text that quotes values."""
    for entry in _values(item, _FAILED_ATTRIBUTES_SEQUENCE):
        comment = str(_first(entry, _ERROR_COMMENT) or "")
        tag = comment.partition("(")[2].partition(")")[0].replace(",", "")
        if len(tag) == 8 and all(digit in "0123456789abcdefABCDEF" for digit in tag):
            yield tag.upper()


def _values(dataset: Mapping[str, Any], tag: str) -> list[Any]:
    values: list[Any] = dataset.get(tag, {}).get("Value", [])
    return values


def _first(dataset: Mapping[str, Any], tag: str) -> Any:
    return next(iter(_values(dataset, tag)), None)
