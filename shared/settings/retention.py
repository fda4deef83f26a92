"""The settings of `purge_study`."""

from __future__ import annotations

from pydantic import Field

from .fixed import DEFAULT_PURGE_SCHEDULE
from .kinds import Approvers, BeforeDelete, Keywords, PurgeMode, Schedule, SomeSettings


class RetentionSettings(SomeSettings):
    """When studies are deleted, by what rules, and what is kept of them."""

    purge_schedule: Schedule = Field(
        default=DEFAULT_PURGE_SCHEDULE,
        description="When retention runs: NCRONTAB, UTC.",
    )
    purge_mode: PurgeMode = Field(
        default=PurgeMode.REPORT,
        description="What is done with the studies that are due: `report` them; delete those in a plan that somebody "
        "approved (`approve`); `delete` them.",
    )
    before_delete: BeforeDelete = Field(
        default=BeforeDelete.VAULT,
        description="What is done with a study before it is deleted: `vault`, every instance is copied into "
        "`dicom-vault` and the copy is read back; or `none`: it cannot be brought back.",
    )
    vault_days: int = Field(
        default=90,
        ge=1,
        le=3650,
        description="How long the vault keeps a study. A lifecycle rule of the storage account empties it: set that "
        "to the same.",
    )
    retention_policy: str = Field(
        default="policy.toml",
        min_length=1,
        max_length=1024,
        description="Name of the blob in `retention-policy` that holds the rules. Without it nothing is due.",
    )
    ledger_key: str | None = Field(
        default=None,
        repr=False,
        min_length=16,
        description="Secret by which retention's ledger turns patient ids into hashes. Not set: retention does "
        "nothing. With another one the ledger is built anew, and nothing is deleted until it is.",
    )
    feed_lag_seconds: int = Field(
        default=300,
        ge=0,
        le=43_200,  # the ledger may be a day behind in all, or nothing is deleted
        description="How far behind the present the ledger follows the change feed, in which changes become visible a "
        "little out of order.",
    )
    purge_budget_seconds: int = Field(
        default=10_800,
        ge=60,
        le=86_400,
        description="How long a night's run of retention may take; the next one goes on where it stopped.",
    )
    approval_key: str | None = Field(
        default=None,
        repr=False,
        min_length=16,
        description="What the header `x-approval-key` must hold to approve or withdraw a plan of retention, and to "
        "restore a study. Not set: none is allowed.",
    )
    approval_valid_days: int = Field(
        default=7,
        ge=1,
        le=90,
        description="How long an approved plan may be carried out.",
    )
    approvers: Approvers | None = Field(
        default=None,
        description="Object ids of the principals that may approve or withdraw a plan, or restore a study, separated "
        "by spaces. Not set: any caller with the approval key.",
    )
    tombstone_attributes: Keywords | None = Field(
        default=None,
        description="Keywords of the attributes that a tombstone keeps of a deleted study, such as `AccessionNumber`, "
        "separated by spaces. Not set: nothing of a patient's.",
    )
