"""The resources of DICOMweb: values that know their path (PS3.18 §10.1, §10.4.1.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

from .checks import check_uid
from .errors import InvalidParameter

Level = Literal["all", "study", "series", "instance"]


@dataclass(frozen=True)
class Resource:
    """All studies, a study, a series or an instance, named by its UIDs."""

    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    sop_instance_uid: str | None = None

    def __post_init__(self) -> None:
        _check("study_instance_uid", self.study_instance_uid, "")
        _check("series_instance_uid", self.series_instance_uid, self.study_instance_uid)
        _check("sop_instance_uid", self.sop_instance_uid, self.series_instance_uid)

    @classmethod
    def study(cls, study_instance_uid: str) -> Self:
        """Return a study, and nothing above it: without its UID it would be all studies."""
        return cls(check_uid("study_instance_uid", study_instance_uid))

    @classmethod
    def series(cls, study_instance_uid: str, series_instance_uid: str) -> Self:
        """Return a series, and nothing above it."""
        check_uid("study_instance_uid", study_instance_uid)
        return cls(study_instance_uid, check_uid("series_instance_uid", series_instance_uid))

    @classmethod
    def instance(cls, study_instance_uid: str, series_instance_uid: str, sop_instance_uid: str) -> Self:
        """Return an instance, and nothing above it."""
        check_uid("study_instance_uid", study_instance_uid)
        check_uid("series_instance_uid", series_instance_uid)
        return cls(study_instance_uid, series_instance_uid, check_uid("sop_instance_uid", sop_instance_uid))

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
        return path_of(self.study_instance_uid, self.series_instance_uid, self.sop_instance_uid)

    def search_path(self, kind: str) -> str:
        """The path of a search for the `studies`, `series` or `instances` in it (PS3.18 §10.6.1.1)."""
        return f"/{kind}" if self.level == "all" else f"{self.path}/{kind}"


def path_of(study: str | None = None, series: str | None = None, instance: str | None = None) -> str:
    """Return the path of what some UIDs name, each of them checked; without any, of all studies."""
    if study is None:
        return "/studies"
    if series is None:
        return f"/studies/{study}"
    return f"/studies/{study}/series/{series}" + ("" if instance is None else f"/instances/{instance}")


def _check(name: str, uid: str | None, parent: str | None) -> None:
    if uid is None:
        return
    check_uid(name, uid)
    if parent is None:
        raise InvalidParameter(f"{name} needs the UIDs above it")
