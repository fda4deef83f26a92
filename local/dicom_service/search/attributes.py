"""The attributes that the service indexes, and those that a search returns: tables, by level."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """The levels of the Query/Retrieve information model (PS3.4 §C.6.2), the widest first."""

    STUDY = 0
    SERIES = 1
    INSTANCE = 2


@dataclass(frozen=True)
class Attribute:
    """An indexed attribute."""

    keyword: str
    tag: str
    vr: str
    level: Level


STUDY_INSTANCE_UID = Attribute("StudyInstanceUID", "0020000D", "UI", Level.STUDY)
SERIES_INSTANCE_UID = Attribute("SeriesInstanceUID", "0020000E", "UI", Level.SERIES)
SOP_INSTANCE_UID = Attribute("SOPInstanceUID", "00080018", "UI", Level.INSTANCE)
PATIENT_ID = Attribute("PatientID", "00100020", "LO", Level.STUDY)
MODALITY = Attribute("Modality", "00080060", "CS", Level.SERIES)

# What a row of the index holds beside its UID.
INDEXED = (
    Attribute("StudyDate", "00080020", "DA", Level.STUDY),
    Attribute("StudyDescription", "00081030", "LO", Level.STUDY),
    Attribute("AccessionNumber", "00080050", "SH", Level.STUDY),
    PATIENT_ID,
    Attribute("PatientName", "00100010", "PN", Level.STUDY),
    Attribute("PatientBirthDate", "00100030", "DA", Level.STUDY),
    Attribute("ReferringPhysicianName", "00080090", "PN", Level.STUDY),
    MODALITY,
    Attribute("PerformedProcedureStepStartDate", "00400244", "DA", Level.SERIES),
    Attribute("ManufacturerModelName", "00081090", "LO", Level.SERIES),
)
UIDS = (STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, SOP_INSTANCE_UID)

# Computed from the other rows of a study or series.
MODALITIES_IN_STUDY = Attribute("ModalitiesInStudy", "00080061", "CS", Level.STUDY)
NUMBER_OF_STUDY_RELATED_INSTANCES = Attribute("NumberOfStudyRelatedInstances", "00201208", "IS", Level.STUDY)
NUMBER_OF_SERIES_RELATED_INSTANCES = Attribute("NumberOfSeriesRelatedInstances", "00201209", "IS", Level.SERIES)

SEARCHABLE = {attribute.tag: attribute for attribute in (*UIDS, *INDEXED, MODALITIES_IN_STUDY)}


def _tags(text: str) -> frozenset[str]:
    return frozenset(text.split())


DEFAULT_FIELDS = {
    Level.STUDY: _tags("00080020 00080050 00080090 00081030 00100010 00100020 00100030 0020000D"),
    Level.SERIES: _tags("00080060 00081090 0020000E 00400244"),
    Level.INSTANCE: _tags("00080018"),
}

# `includefield=all` is built on the defaults of API v1, and so lacks ManufacturerModelName: an oddity to keep.
ALL_FIELDS = {
    Level.STUDY: _tags(
        "00080005 00080020 00080030 00080050 00080056 00080063 00080090 00080201 00081030 00081032 00081060 00081080 "
        "00081110 00100010 00100020 00100030 00100040 00101010 00101020 00101030 00102180 001021B0 0020000D 00200010"
    ),
    Level.SERIES: _tags(
        "00080005 00080021 00080031 00080060 00080201 0008103E 0020000E 00200011 00200060 00400244 00400245 00400275"
    ),
    Level.INSTANCE: _tags("00080005 00080016 00080018 00080056 00080201 00200013 00280008 00280010 00280011 00280100"),
}


def indexed_at(level: Level) -> list[Attribute]:
    """Return the indexed attributes of one level, without its UID."""
    return [attribute for attribute in INDEXED if attribute.level is level]
