"""The policy as it is written: `policy.toml`, table by table."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .entries import Age, Always, BlobName, Day, Days, Keyword, Name, Phrases, Texts, Whole, Years, Zone

ANCHORS = ("study_date", "received", "patient_last_study")
PERIODS = ("keep_years", "keep_until_age", "keep_forever")
KEYWORDS = {"modality": "Modality", "institution": "InstitutionName", "referring_physician": "ReferringPhysicianName"}
DESCRIPTION = "StudyDescription"


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Brakes(_Table):
    """What keeps a night from deleting too much."""

    per_night: Whole = Field(
        default=500, ge=1, le=1_000_000_000, description="How many studies a night may delete; the rest waits."
    )
    max_share: float = Field(
        default=0.02,
        gt=0,
        le=1,
        strict=True,
        description="Which share of all studies may fall due since the last plan, rounded up to whole studies.",
    )
    max_times_usual: float = Field(
        default=3,
        ge=1,
        strict=True,
        allow_inf_nan=False,
        description="How many times the usual number a night may delete: the median of the last 14 nights above zero.",
    )
    min_age_days: Days = Field(
        default=30,
        description="How many days a study is kept after its newest instance was received, whatever a rule says.",
    )


class Condition(_Table):
    """Which studies a rule is for: all keys of the table must hold."""

    modality: Texts | None = Field(default=None, description="An instance has one of these modalities.")
    study_date_before: Day | None = Field(default=None, description="The study was made before this day.")
    study_date_from: Day | None = Field(default=None, description="The study was made on this day or later.")
    age_at_study_below: Age | None = Field(default=None, description="The patient was younger on the day of the study.")
    age_at_study_from: Age | None = Field(default=None, description="The patient was as old, or older, on that day.")
    age_at_last_study_below: Age | None = Field(
        default=None, description="The patient was younger on the day of the last study that is stored."
    )
    age_at_last_study_from: Age | None = Field(
        default=None, description="The patient was as old, or older, on the day of the last study that is stored."
    )
    description_words: Phrases | None = Field(
        default=None,
        description="StudyDescription has one of these words, or rows of words, in it; in scripts without blanks "
        "between words, such as Japanese, also as a part of a longer word.",
    )
    institution: Texts | None = Field(default=None, description="InstitutionName is one of these.")
    referring_physician: Texts | None = Field(default=None, description="ReferringPhysicianName is one of these.")
    partition: Texts | None = Field(
        default=None, description="The study is in one of these partitions; without any, in Microsoft.Default."
    )
    attribute: dict[Keyword, Texts] | None = Field(
        default=None, min_length=1, description="Each attribute, by its keyword, has one of the values given for it."
    )
    all_: Annotated[tuple[Condition, ...], Field(min_length=1)] | None = Field(
        default=None, alias="all", description="Each of these conditions holds."
    )
    any_: Annotated[tuple[Condition, ...], Field(min_length=1)] | None = Field(
        default=None, alias="any", description="One of these conditions holds, or more."
    )
    not_: Condition | None = Field(default=None, alias="not", description="This condition does not hold.")

    @model_validator(mode="after")
    def _says_something(self) -> Condition:
        if not self.model_fields_set:
            raise ValueError("there is no condition in it: write one, or leave it out")
        return self

    @property
    def values(self) -> list[tuple[str, tuple[str, ...]]]:
        """The keywords whose values it asks for, each with the values that it takes."""
        own = [(keyword, getattr(self, key)) for key, keyword in KEYWORDS.items() if getattr(self, key)]
        return [*own, *(self.attribute or {}).items()]

    @property
    def nested(self) -> tuple[Condition, ...]:
        """The conditions in it."""
        return (*(self.all_ or ()), *(self.any_ or ()), *([self.not_] if self.not_ else ()))

    def keywords(self) -> Iterator[str]:
        """Yield the keywords of the attributes that it asks for, dates apart."""
        yield from (keyword for keyword, _ in self.values)
        if self.description_words:
            yield DESCRIPTION
        for condition in self.nested:
            yield from condition.keywords()


class Rule(_Table):
    """How long some studies, or all, are kept."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [period]} for period in PERIODS]})

    name: Name = Field(description="By which plans and people call it; no other rule has the same.")
    when: Condition | None = Field(default=None, description="Which studies it is for; without it, all.")
    keep_years: Years | None = Field(default=None, description="How many years studies are kept.")
    keep_until_age: Age | None = Field(default=None, description="The birthday until which studies are kept.")
    keep_forever: Always | None = Field(default=None, description="Studies are never deleted.")
    from_: tuple[str, ...] = Field(
        default=ANCHORS,
        alias="from",
        min_length=1,
        description="From which dates `keep_years` counts: the latest does, and each must be known. Names of "
        "`[[anchor]]` tables may stand here, too.",
    )
    from_if_known: tuple[str, ...] = Field(
        default=(), description="Names of `[[anchor]]` tables that count as well where their list has a date."
    )
    round_to: Literal["year_end"] | None = Field(
        default=None, description="`year_end`: until the last day of the year in which the period ends."
    )


class HoldList(_Table):
    """A list of studies that are not deleted."""

    name: Name = Field(description="By which plans and people call it; no other hold has the same.")
    list: BlobName = Field(description="Name of the blob beside the policy.")


class AnchorList(_Table):
    """A list of dates that DICOM does not know."""

    name: Name = Field(description="By which rules call it; no other anchor has the same.")
    list: BlobName = Field(description="Name of the blob beside the policy.")
    max_age_days: Annotated[Days, Field(ge=1)] = Field(
        description="How old the blob may be; with an older one nothing is deleted."
    )


class Head(_Table):
    """What holds for all rules."""

    time_zone: Zone = Field(description="The time zone in which dates are days, such as Europe/Paris.")
    placeholder_birth_dates: tuple[Day, ...] = Field(
        default=(), description="Birth dates that stand for an unknown one; they count as absent."
    )
    received_counts_from: Day | None = Field(
        default=None,
        description="Receptions before this day do not count as `received`, for archives that were migrated.",
    )


class Policy(_Table):
    """The whole file."""

    policy: Head = Field(description="What holds for all rules.")
    rule: tuple[Rule, ...] = Field(default=(), description="How long studies are kept; the latest date counts.")
    hold: tuple[HoldList, ...] = Field(default=(), description="Lists of studies that are not deleted.")
    anchor: tuple[AnchorList, ...] = Field(default=(), description="Lists of dates that DICOM does not know.")
    brakes: Brakes = Field(default=Brakes(), description="What keeps a night from deleting too much.")

    @cached_property
    def zone(self) -> ZoneInfo:
        """The time zone in which dates are days."""
        return ZoneInfo(self.policy.time_zone)
