"""The settings of `store_on_upload`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .fixed import DEFAULT_INBOX, DEFAULT_SWEEP_SCHEDULE, LONGEST_RUN_SECONDS
from .kinds import AfterStore, Container, OnConflict, OnPurged, Schedule, SomeSettings, Suffixes


class IngestSettings(SomeSettings):
    """From the inbox to the verdict."""

    dicom_inbox_container: Container = Field(
        default=DEFAULT_INBOX,
        description="Container that files are dropped into.",
    )
    blob_trigger_source: Literal["EventGrid", "LogsAndContainerScan"] = Field(
        default="EventGrid",
        description="How the platform learns of a new blob; `LogsAndContainerScan` for Azurite, which emits no events.",
    )
    inbox_suffixes: Suffixes = Field(
        default=(".dcm", ".dicom", ".ima"),
        description="Suffixes of the files to store, separated by spaces, in any case. Names without a suffix, or "
        "with an all-digit one, are judged by their content. Archives and compressed files, such as `.zip` or "
        "`.dcm.gz`, are rejected (`store_on_upload/names.py` has the list); all other names are ignored.",
    )
    after_store: AfterStore = Field(
        default=AfterStore.KEEP,
        description="What becomes of a file once its instance is in the service: `keep`, `archive` (move it to "
        "`dicom-archive`) or `delete`.",
    )
    on_conflict: OnConflict = Field(
        default=OnConflict.QUARANTINE,
        description="What is done where the service has other bytes under the same UIDs: `quarantine` the file, or "
        "`replace` what is stored, which is copied to `dicom-replaced` first.",
    )
    on_purged: OnPurged = Field(
        default=OnPurged.REJECT,
        description="What is done with an instance of a study that retention has deleted, or may have, where "
        "the file does not tell its study: `reject` or `store`.",
    )
    replace_stuck: bool = Field(
        default=False,
        description="Whether an instance that has been half stored for an hour is deleted and stored again, which "
        "takes a role that may delete. The half may be another sender's, still on its way.",
    )
    give_up_after_days: float = Field(
        default=14,
        gt=0,
        le=365,
        description="How long a file may fail by itself before it goes to quarantine. Time in which the service, its "
        "token, the storage or a stop was at fault does not count.",
    )
    max_instance_bytes: int = Field(
        default=4 * 1024**3,
        ge=1,
        le=4 * 1024**3,
        description="The largest file to store; the service takes at most 4 GiB.",
    )
    settle_after_seconds: int = Field(
        default=0,
        ge=0,
        le=86_400,
        description="How long an empty or unfinished file must be unchanged before it is rejected. Set it (60 or "
        "more) on accounts with a hierarchical namespace or SFTP, where a file is seen before it is complete.",
    )
    ingest_concurrency: int = Field(
        default=16,
        ge=1,
        le=64,
        description="How many files one process stores at the same time; each takes some 10 MiB of memory at most.",
    )
    sweep_schedule: Schedule = Field(
        default=DEFAULT_SWEEP_SCHEDULE,
        description="When the inbox is swept for files that were missed: NCRONTAB, UTC.",
    )
    sweep_min_age_seconds: int = Field(
        default=LONGEST_RUN_SECONDS,
        ge=LONGEST_RUN_SECONDS,
        le=86_400,
        description="How old a file must be before the sweep looks after it; never less than the longest run.",
    )
    probe_schedule: Schedule | None = Field(
        default=None,
        description="When a synthetic instance is sent through ingest, to see whether it gets in: NCRONTAB, UTC. Not "
        "set: never.",
    )
    sources_path: str | None = Field(
        default=None,
        description="Path of the file that has rules for parts of the inbox; not set: `sources.toml` beside "
        "`host.json`, if there is one.",
    )
    replay_key: str | None = Field(
        default=None,
        repr=False,
        min_length=16,
        description="What the header `x-replay-key` must hold for a replay of files in quarantine. Not set: none is "
        "allowed, whatever `APPROVAL_KEY` says.",
    )
