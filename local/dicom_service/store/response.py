"""The result of a Store request as a dataset in DICOM JSON (PS3.18 §10.5.3, table 10.5.3-1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from local.dicom_service.instances.dicom_json import Attributes
from local.dicom_service.instances.examine import Failure, Instance

_REFERENCED_SOP_CLASS_UID = "00081150"
_REFERENCED_SOP_INSTANCE_UID = "00081155"
_RETRIEVE_URL = "00081190"
_WARNING_REASON = "00081196"
_FAILURE_REASON = "00081197"
_FAILED_SOP_SEQUENCE = "00081198"
_REFERENCED_SOP_SEQUENCE = "00081199"
_FAILED_ATTRIBUTES_SEQUENCE = "00741048"
_ERROR_COMMENT = "00000902"

Outcome = Instance | Failure


@dataclass(frozen=True)
class StoreResponse:
    """The status and the dataset of a Store response; no dataset where nothing was sent."""

    status_code: int
    dataset: Attributes | None


def build(outcomes: list[Outcome], studies_url: str, study_instance_uid: str | None) -> StoreResponse:
    """Sum up the outcomes; `studies_url` is the absolute URL of all studies, without a slash at its end."""
    stored = [outcome for outcome in outcomes if isinstance(outcome, Instance)]
    failed = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    dataset: Attributes = {}
    if stored and study_instance_uid is not None:
        dataset[_RETRIEVE_URL] = _element("UR", f"{studies_url}/{study_instance_uid}")
    if failed:
        dataset[_FAILED_SOP_SEQUENCE] = _sequence([_failed_item(outcome) for outcome in failed])
    if stored:
        dataset[_REFERENCED_SOP_SEQUENCE] = _sequence([_stored_item(outcome, studies_url) for outcome in stored])
    return StoreResponse(_status(stored, failed), dataset or None)


def _status(stored: list[Instance], failed: list[Failure]) -> int:
    if not stored:
        return 409 if failed else 204
    return 202 if failed or any(instance.warning_reason for instance in stored) else 200


def _stored_item(instance: Instance, studies_url: str) -> Attributes:
    url = (
        f"{studies_url}/{instance.study_instance_uid}/series/{instance.series_instance_uid}"
        f"/instances/{instance.sop_instance_uid}"
    )
    item = {
        _REFERENCED_SOP_CLASS_UID: _element("UI", instance.sop_class_uid),
        _REFERENCED_SOP_INSTANCE_UID: _element("UI", instance.sop_instance_uid),
        _RETRIEVE_URL: _element("UR", url),
    }
    if instance.warning_reason is not None:
        item[_WARNING_REASON] = _element("US", int(instance.warning_reason))
    return {**item, _FAILED_ATTRIBUTES_SEQUENCE: _comments(instance.warnings)}


def _failed_item(failure: Failure) -> Attributes:
    item: Attributes = {}
    if failure.sop_class_uid is not None:
        item[_REFERENCED_SOP_CLASS_UID] = _element("UI", failure.sop_class_uid)
    if failure.sop_instance_uid is not None:
        item[_REFERENCED_SOP_INSTANCE_UID] = _element("UI", failure.sop_instance_uid)
    item[_FAILURE_REASON] = _element("US", int(failure.reason))
    if failure.attributes is not None:
        item[_FAILED_ATTRIBUTES_SEQUENCE] = _comments(failure.attributes)
    return item


def _comments(reasons: dict[str, str]) -> Attributes:
    texts = [f"DICOM100: ({tag[:4]},{tag[4:]}) - {reason}" for tag, reason in reasons.items()]
    return _sequence([{_ERROR_COMMENT: _element("LO", text)} for text in texts])


def _element(vr: str, value: Any) -> Attributes:
    return {"vr": vr, "Value": [value]}


def _sequence(items: list[Attributes]) -> Attributes:
    return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
