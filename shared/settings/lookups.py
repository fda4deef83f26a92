"""The settings of `query_api`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from .kinds import Address, Audit, CallerPartitions, Callers, SomeSettings
from .places import ACCOUNTS


class LookupSettings(SomeSettings):
    """What lookups may cost, who may ask, and what is recorded of it."""

    lookup_concurrency: int = Field(
        default=64,
        ge=1,
        le=1000,
        description="How many lookups one process answers at the same time; more are answered 503, so that ingest is "
        "not starved.",
    )
    lookup_timeout_seconds: float = Field(
        default=200,
        gt=0,
        le=220,
        description="How long a lookup may stand still: until its first byte, and between any two. There is no limit "
        "in total. The platform's own is 230.",
    )
    max_results: int = Field(
        default=1000,
        ge=1,
        le=10_000,
        description="How many results a search gives at most at a time; its answer says where there are more.",
    )
    wildcard_scan_limit: int = Field(
        default=2000,
        ge=1,
        le=100_000,
        description="How many results of the DICOM service are looked through for a search that it cannot do itself, "
        "such as by `*`. Where there are more, the search is refused.",
    )
    empty_search_status: Literal["200", "204"] = Field(
        default="200",
        description="The answer to a search that finds nothing: `200` with an empty list, as the Standard has it now, "
        "or `204`, as it had it before.",
    )
    public_url: Address | None = Field(
        default=None,
        description="Address above all lookups as callers see it, such as `https://example.org/imaging/api`, behind "
        "gateways that call the app by another host or path: what they say in `X-Forwarded-Host` and `-Prefix` the "
        "Functions host replaces. Links in answers start with it.",
    )
    lookup_auth: Literal["key", "principal"] = Field(
        default="key",
        description="Who may ask: `key`, whoever has a function key; `principal`, whoever App Service authentication "
        "vouches for, without a key.",
    )
    website_auth_enabled: bool = Field(
        default=False,
        description="Set by the platform while App Service authentication is on. Only then is a principal believed.",
    )
    caller_partitions: CallerPartitions | None = Field(
        default=None,
        repr=False,
        description="Which partitions a principal may see, by app role or application id: "
        "`Radiology=site-a,site-b Research=trial Admin=*`. Not set: every caller sees all. Set: whoever has no role "
        "that is named, a function key's bearer too, sees nothing.",
    )
    audit: Audit = Field(
        default=Audit.OFF,
        validate_default=True,
        description="Whether it is recorded in `access-audit` who saw what: `off`, `best_effort`, or `required`: "
        "nothing is handed out that could not be recorded.",
    )
    audit_key: str | None = Field(
        default=None,
        repr=False,
        min_length=16,
        validate_default=True,
        description="Secret by which the access record turns function keys into fingerprints; must be set where "
        "`AUDIT` is on.",
    )
    callers: Callers = Field(
        default={},
        repr=False,
        description="Names for the fingerprints of function keys in the access record: "
        "`ris=<fingerprint> viewer=<fingerprint>`.",
    )

    @field_validator("audit_key")
    @classmethod
    def _goes_with_audit(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("audit", Audit.OFF) is not Audit.OFF:
            raise ValueError("must be set where AUDIT is on")
        return value

    @field_validator("audit")
    @classmethod
    def _has_where_to_write(cls, value: Audit, info: ValidationInfo) -> Audit:
        is_nowhere = all(info.data.get(account, "wrong") is None for account in ACCOUNTS)
        if value is not Audit.OFF and is_nowhere:
            raise ValueError("needs a storage account: set RECORDS_STORAGE__blobServiceUri")
        return value
