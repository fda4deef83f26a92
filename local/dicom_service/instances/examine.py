"""One received file → an instance to store, or the failure that its sender is told (PS3.18 §10.5, API v2).

Only the UIDs and PatientID can make the service refuse an instance. Whatever else is invalid is stored with a
warning and left out of the metadata and the index; the file itself is never changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path
from typing import Any

from pydicom.uid import ImplicitVRLittleEndian

from local.dicom_service.instances import dicom_json, part10, uids
from local.dicom_service.instances.dicom_json import Attributes, JSONDataset
from local.dicom_service.instances.element_values import person_name_text
from local.dicom_service.retrieve.pixel_data import PixelData
from local.dicom_service.search.attributes import INDEXED, MODALITIES_IN_STUDY, PATIENT_ID, Attribute

SOP_CLASS_UID = "00080016"
SOP_INSTANCE_UID = "00080018"
STUDY_INSTANCE_UID = "0020000D"
SERIES_INSTANCE_UID = "0020000E"
_REQUIRED_UIDS = (SOP_CLASS_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, SOP_INSTANCE_UID)


class FailureReason(IntEnum):
    """FailureReason (0008,1197) of an instance that was not stored."""

    PROCESSING_FAILURE = 0x0110
    VALIDATION_FAILURE = 0xA900
    OTHER_STUDY = 0xA901
    ALREADY_EXISTS = 0xB00E
    BEING_CREATED = 0xB00F


class WarningReason(IntEnum):
    """WarningReason (0008,1196) of an instance that was stored."""

    INVALID_ATTRIBUTES = 0x0001
    IMPLICIT_VR = 0xB007


@dataclass(frozen=True)
class Failure:
    """An instance that was not stored; `attributes` has the reasons by tag, None where none are reported."""

    reason: FailureReason
    sop_class_uid: str | None = None
    sop_instance_uid: str | None = None
    attributes: dict[str, str] | None = None


@dataclass(frozen=True)
class Instance:
    """An instance that may be stored; `invalid` has the broken rules of what is left out of its metadata, by tag."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    metadata: str
    indexed: dict[str, str]
    pixel_data: PixelData | None
    warning_reason: WarningReason | None
    warnings: dict[str, str] = field(default_factory=dict)
    several_values: list[str] = field(default_factory=list)
    invalid: dict[str, str] = field(default_factory=dict)


def examine(
    path: Path,
    *,
    study_instance_uid: str | None,
    implicit_vr: str,
    preamble: str,
    mismatch_code: int,
    extended: Iterable[Attribute],
    max_bytes: int,
) -> Instance | Failure:
    """Read a file and decide about it.

    `study_instance_uid` is the one in the URL, if any; `extended` are the attributes that are indexed beside the
    usual ones; a deflated file may have `max_bytes` when it is inflated; the rest are switches.

    Raises:
        OSError: the file cannot be read from disk.
    """
    try:
        with part10.opened(path, preamble_required=preamble == "require", max_bytes=max_bytes) as file:
            dataset = dicom_json.convert(file)
    except part10.NotPart10:
        return Failure(FailureReason.VALIDATION_FAILURE)
    if failed := _refused(dataset):
        return _failure(dataset, failed)
    if study_instance_uid not in (None, uids.canonical(_uid(dataset, STUDY_INSTANCE_UID))):
        return _of_another_study(dataset, FailureReason(mismatch_code))
    if file.transfer_syntax_uid == ImplicitVRLittleEndian and implicit_vr == "reject":
        return _failure(dataset, None)
    instance = _instance(dataset, file.transfer_syntax_uid, file.pixel_data)
    return replace(instance, several_values=_several_values(dataset.attributes, extended))


def _refused(dataset: JSONDataset) -> dict[str, str]:
    """Return the reasons to refuse the instance, by tag: at most one, of the first attribute that has one."""
    for tag in _REQUIRED_UIDS:
        if len(_values(dataset.attributes, tag)) != 1:
            return {tag: "exactly one value is required"}
    if PATIENT_ID.tag not in dataset.attributes:
        return {PATIENT_ID.tag: "the attribute is required"}
    for tag in (*_REQUIRED_UIDS, PATIENT_ID.tag):
        if tag in dataset.broken:
            return {tag: dataset.broken[tag]}
    if len(_values(dataset.attributes, PATIENT_ID.tag)) > 1:
        return {PATIENT_ID.tag: "the value holds a backslash"}
    return {}


def _of_another_study(dataset: JSONDataset, reason: FailureReason) -> Failure:
    if reason is FailureReason.OTHER_STUDY:  # which says it all
        return _failure(dataset, None, reason)
    return _failure(dataset, {STUDY_INSTANCE_UID: "the instance belongs to another study than the request names"})


def _failure(
    dataset: JSONDataset,
    failed: dict[str, str] | None,
    reason: FailureReason = FailureReason.VALIDATION_FAILURE,
) -> Failure:
    sop_class, sop_instance = (_values(dataset.attributes, tag) for tag in (SOP_CLASS_UID, SOP_INSTANCE_UID))
    return Failure(
        reason,
        str(sop_class[0]) if sop_class else None,
        str(sop_instance[0]) if sop_instance else None,
        failed,
    )


def _instance(dataset: JSONDataset, transfer_syntax_uid: str, pixel_data: PixelData | None) -> Instance:
    warnings = {**dataset.broken_inside, **dataset.broken}
    dropped = set(dataset.broken)
    if not _values(dataset.attributes, PATIENT_ID.tag):
        warnings.setdefault(PATIENT_ID.tag, "the attribute is empty")
        dropped.add(PATIENT_ID.tag)
    kept = {tag: value for tag, value in dataset.attributes.items() if tag not in dropped}
    return Instance(
        study_instance_uid=_uid(dataset, STUDY_INSTANCE_UID),
        series_instance_uid=_uid(dataset, SERIES_INSTANCE_UID),
        sop_instance_uid=_uid(dataset, SOP_INSTANCE_UID),
        sop_class_uid=_uid(dataset, SOP_CLASS_UID),
        transfer_syntax_uid=transfer_syntax_uid,
        metadata=json.dumps(kept, ensure_ascii=False, separators=(",", ":")),
        indexed=_indexed(kept),
        pixel_data=pixel_data,
        warning_reason=_warning_reason(transfer_syntax_uid, warnings),
        warnings=warnings,
        invalid=dataset.broken,
    )


def _warning_reason(transfer_syntax_uid: str, warnings: dict[str, str]) -> WarningReason | None:
    if transfer_syntax_uid == ImplicitVRLittleEndian:
        return WarningReason.IMPLICIT_VR
    return WarningReason.INVALID_ATTRIBUTES if warnings else None


def _indexed(attributes: Attributes) -> dict[str, str]:
    """Return the first value of each indexed attribute that has one, and its own VR."""
    found = {attribute.keyword: _first_text(attributes, attribute) for attribute in INDEXED}
    return {keyword: text for keyword, text in found.items() if text}


def _first_text(attributes: Attributes, attribute: Attribute) -> str:
    values = _values(attributes, attribute.tag)
    first = values[0] if values and attributes[attribute.tag]["vr"] == attribute.vr else None
    if isinstance(first, dict):
        return person_name_text(first)
    return str(first or "")


def _several_values(attributes: Attributes, extended: Iterable[Attribute]) -> list[str]:
    indexed = (*INDEXED, MODALITIES_IN_STUDY, *extended)
    return [attribute.keyword for attribute in indexed if len(_values(attributes, attribute.tag)) > 1]


def _values(attributes: Attributes, tag: str) -> list[Any]:
    values: list[Any] = attributes.get(tag, {}).get("Value", [])
    return values


def _uid(dataset: JSONDataset, tag: str) -> str:
    return str(_values(dataset.attributes, tag)[0])
