"""The policy as it is written: `policy.toml`, table by table."""

from __future__ import annotations

from functools import cached_property
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Brakes(_Table):
    """What keeps a night from deleting too much."""

    per_night: int = Field(default=500, ge=1)
    max_share: float = Field(default=0.02, gt=0, le=1)
    max_times_usual: float = Field(default=3, ge=1)
    min_age_days: int = Field(default=30, ge=0)


class Rule(_Table):
    """One rule."""

    name: str


class HoldList(_Table):
    """A list of studies that are not deleted."""

    name: str
    list: str


class AnchorList(_Table):
    """A list of dates that DICOM does not know."""

    name: str
    list: str
    max_age_days: int = Field(ge=1)


class Head(_Table):
    """What holds for all rules."""

    time_zone: str


class Policy(_Table):
    """The whole file."""

    policy: Head
    rule: tuple[Rule, ...] = ()
    hold: tuple[HoldList, ...] = ()
    anchor: tuple[AnchorList, ...] = ()
    brakes: Brakes = Brakes()

    @cached_property
    def zone(self) -> ZoneInfo:
        """The time zone in which dates are days."""
        return ZoneInfo(self.policy.time_zone)
