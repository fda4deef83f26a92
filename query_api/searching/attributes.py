"""What can be searched for, and at which of the six resources (PS3.18 §10.6.1.1), by the Azure service."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword

from shared.dicomweb import Resource
from shared.dicomweb.search import Kind

_TAG = re.compile(r"[0-9A-Fa-f]{8}", re.ASCII)


class Level(IntEnum):
    """The levels of the Query/Retrieve information model (PS3.4 §C.6.2), the widest first."""

    STUDY = 0
    SERIES = 1
    INSTANCE = 2


@dataclass(frozen=True)
class Attribute:
    """An attribute that can be searched for.

    Args:
        tag: eight hexadecimal digits, in upper case.
        vr: what its values are; empty where nobody knows.
        level: of what it is an attribute.
    """

    tag: str
    vr: str
    level: Level

    @property
    def name(self) -> str:
        """Its keyword, or the tag of one that has none."""
        return keyword_of(self.tag) or self.tag


STUDY_INSTANCE_UID: Final = "0020000D"
SERIES_INSTANCE_UID: Final = "0020000E"
SOP_INSTANCE_UID: Final = "00080018"
MODALITY: Final = "00080060"
MODALITIES_IN_STUDY: Final = "00080061"
NUMBER_OF_STUDY_RELATED_SERIES: Final = "00201206"
NUMBER_OF_STUDY_RELATED_INSTANCES: Final = "00201208"
NUMBER_OF_SERIES_RELATED_INSTANCES: Final = "00201209"
RETRIEVE_URL: Final = "00081190"

# What names a result of each level.
UID_OF: Final = {
    Level.STUDY: STUDY_INSTANCE_UID,
    Level.SERIES: SERIES_INSTANCE_UID,
    Level.INSTANCE: SOP_INSTANCE_UID,
}

SEARCHABLE: Final[Mapping[str, Attribute]] = {
    tag: Attribute(tag, vr, level)
    for tag, vr, level in (
        (STUDY_INSTANCE_UID, "UI", Level.STUDY),
        ("00100010", "PN", Level.STUDY),  # PatientName
        ("00100020", "LO", Level.STUDY),  # PatientID
        ("00100030", "DA", Level.STUDY),  # PatientBirthDate
        ("00080050", "SH", Level.STUDY),  # AccessionNumber
        ("00080090", "PN", Level.STUDY),  # ReferringPhysicianName
        ("00080020", "DA", Level.STUDY),  # StudyDate
        ("00081030", "LO", Level.STUDY),  # StudyDescription
        (MODALITIES_IN_STUDY, "CS", Level.STUDY),
        (SERIES_INSTANCE_UID, "UI", Level.SERIES),
        (MODALITY, "CS", Level.SERIES),
        ("00400244", "DA", Level.SERIES),  # PerformedProcedureStepStartDate
        ("00081090", "LO", Level.SERIES),  # ManufacturerModelName
        (SOP_INSTANCE_UID, "UI", Level.INSTANCE),
    )
}

# What the service counts or gathers by itself where it is asked to, which PS3.18 §10.6.3.3 wants in every result.
COMPUTED: Final[Mapping[Level, tuple[str, ...]]] = {
    Level.STUDY: (MODALITIES_IN_STUDY, NUMBER_OF_STUDY_RELATED_INSTANCES),
    Level.SERIES: (NUMBER_OF_SERIES_RELATED_INSTANCES,),
    Level.INSTANCE: (),
}


def _tags(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# `includefield=all`, by level, with what the service leaves out of its own: ManufacturerModelName.
ALL_FIELDS: Final[Mapping[Level, tuple[str, ...]]] = {
    Level.STUDY: _tags(
        "00080005 00080020 00080030 00080050 00080056 00080063 00080090 00080201 00081030 00081032 00081060 00081080 "
        "00081110 00100010 00100020 00100030 00100040 00101010 00101020 00101030 00102180 001021B0 0020000D 00200010"
    ),
    Level.SERIES: _tags(
        "00080005 00080021 00080031 00080060 00080201 0008103E 00081090 0020000E 00200011 00200060 00400244 00400245 "
        "00400275"
    ),
    Level.INSTANCE: _tags("00080005 00080016 00080018 00080056 00080201 00200013 00280008 00280010 00280011 00280100"),
}


@dataclass(frozen=True)
class Scope:
    """What is searched: results of one level, by attributes of some levels.

    Args:
        kind: of the results.
        parent: the study or series whose path it is, or all studies.
    """

    kind: Kind
    parent: Resource

    @property
    def level(self) -> Level:
        """The level of the results."""
        return {"studies": Level.STUDY, "series": Level.SERIES, "instances": Level.INSTANCE}[self.kind]

    @property
    def levels(self) -> tuple[Level, ...]:
        """The levels whose attributes can be searched for, and come back: those below what the path names."""
        above = {"all": Level.STUDY, "study": Level.SERIES, "series": Level.INSTANCE}[self.parent.level]
        return tuple(level for level in Level if above <= level <= self.level)

    @property
    def attributes(self) -> list[Attribute]:
        """What can be searched for."""
        return [attribute for attribute in SEARCHABLE.values() if attribute.level in self.levels]

    @property
    def attribute_names(self) -> str:
        """The keywords of what can be searched for, for messages."""
        return ", ".join(attribute.name for attribute in self.attributes)


def tag_of(name: str) -> str | None:
    """Return the tag that a keyword or eight hexadecimal digits name, in upper case; None for anything else."""
    if _TAG.fullmatch(name):
        return name.upper()
    tag = tag_for_keyword(name)
    return None if tag is None else f"{tag:08X}"


def keyword_of(tag: str) -> str:
    """Return the keyword that is a tag's alone in the Standard's dictionary, or an empty text."""
    keyword = keyword_for_tag(int(tag, 16))
    return keyword if tag_for_keyword(keyword) == int(tag, 16) else ""


def vr_of(tag: str) -> str:
    """Return the VR of a tag in the Standard's dictionary; empty where it has none, or several."""
    try:
        vr = dictionary_VR(int(tag, 16))
    except KeyError:
        return ""
    return vr if len(vr) == 2 else ""


def names_of(tags: Iterable[str]) -> str:
    """Return the keywords of tags, for messages."""
    return ", ".join(keyword_of(tag) or tag for tag in tags)
