"""The resources of DICOMweb: values that know their path (PS3.18 §10.1, §10.4.1.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from .errors import InvalidParameter

Level = Literal["all", "study", "series", "instance"]

# PS3.5 §9.1, as the service checks it: digits and dots, ending in a digit, at most 64 characters.
_UID = re.compile(r"[0-9.]{0,63}[0-9]", re.ASCII)


def check_uid(name: str, value: str) -> str:
    """Return the UID as it stands.

    Raises:
        InvalidParameter: it is none; the message has the parameter's name only.
    """
    if not _UID.fullmatch(value):
        raise InvalidParameter(f"{name} is not a valid UID: digits and dots, ending in a digit, at most 64 characters")
    return value


@dataclass(frozen=True)
class Resource:
    """All studies, a study, a series or an instance, named by its UIDs."""

    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    sop_instance_uid: str | None = None

    def __post_init__(self) -> None:
        uids = (self.study_instance_uid, self.series_instance_uid, self.sop_instance_uid)
        names = ("study_instance_uid", "series_instance_uid", "sop_instance_uid")
        for name, value, parent in zip(names, uids, ("", *uids), strict=False):
            if value is not None:
                check_uid(name, value)
                if parent is None:
                    raise InvalidParameter(f"{name} needs the UIDs above it")

    @property
    def level(self) -> Level:
        """The level of PS3.3's information model that it names."""
        if self.study_instance_uid is None:
            return "all"
        if self.series_instance_uid is None:
            return "study"
        return "series" if self.sop_instance_uid is None else "instance"

    @property
    def path(self) -> str:
        """The path below the service's base address."""
        parts = ["/studies"]
        if self.study_instance_uid is not None:
            parts.append(f"/{self.study_instance_uid}")
        if self.series_instance_uid is not None:
            parts.append(f"/series/{self.series_instance_uid}")
        if self.sop_instance_uid is not None:
            parts.append(f"/instances/{self.sop_instance_uid}")
        return "".join(parts)

    def search_path(self, level: str) -> str:
        """The path of a search for the `studies`, `series` or `instances` in it (PS3.18 §10.6.1.1)."""
        return f"/{level}" if self.level == "all" else f"{self.path}/{level}"
