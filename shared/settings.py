"""The settings of the app: the only reader of the environment.

Importing this module never fails: a wrong setting is found when a trigger fires, and reported with all others, so
that the health routes can always answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from shared import setting_rules

# Of all settings the host reads these itself, when it indexes the functions: they must be right at import.
STORAGE_CONNECTION = "DICOM_STORAGE"
DEFAULT_INBOX = "dicom-inbox"
DEFAULT_PURGE_SCHEDULE = "0 0 3 * * *"
DEFAULT_SWEEP_SCHEDULE = "0 */5 * * * *"

# The folders of functions, in the order in which they are registered.
FUNCTION_FOLDERS = ("store_on_upload", "query_api", "purge_study")

# The app's other containers have fixed names: whoever is on call finds them in every installation.
RECEIPTS = "dicom-receipts"
QUARANTINE = "dicom-quarantine"
QUARANTINE_REASONS = "dicom-quarantine-reasons"
ARCHIVE = "dicom-archive"
CONTROL = "dicom-control"
RETENTION_RECORDS = "retention-records"  # what is in it is written once: it may be immutable, as the next one
ACCESS_AUDIT = "access-audit"
RETENTION_STATE = "retention-state"
RETENTION_POLICY = "retention-policy"  # what is in it is written by people alone
VAULT = "dicom-vault"
DEAD_LETTERS = "event-grid-dead-letters"  # written by Event Grid alone
OWN_CONTAINERS = frozenset(
    {
        RECEIPTS,
        QUARANTINE,
        QUARANTINE_REASONS,
        ARCHIVE,
        CONTROL,
        RETENTION_POLICY,
        RETENTION_RECORDS,
        RETENTION_STATE,
        VAULT,
        ACCESS_AUDIT,
        DEAD_LETTERS,
    }
)
# The longest that a run may take, but for a lookup and a night of retention, which has a budget of its own. The sweep
# never doubts a blob that is younger. It is no matter of the host's `functionTimeout`: that counts an answer until its
# last byte, and restarts the process of a slow one.
LONGEST_RUN_SECONDS = 900


def _container_to_read(value: str) -> str:
    if setting_rules.container(value) in OWN_CONTAINERS:
        raise ValueError("must not be one of the app's other containers")
    return value


ServiceAddress = Annotated[str, AfterValidator(setting_rules.service_address)]
ConnectionString = Annotated[str, AfterValidator(setting_rules.connection_string)]
Address = Annotated[str, AfterValidator(setting_rules.address)]
Container = Annotated[str, AfterValidator(_container_to_read)]
Schedule = Annotated[str, AfterValidator(setting_rules.schedule)]
CallerPartitions = Annotated[dict[str, frozenset[str]], BeforeValidator(setting_rules.caller_partitions)]
Callers = Annotated[dict[str, str], BeforeValidator(setting_rules.callers)]
Approvers = Annotated[frozenset[str], BeforeValidator(setting_rules.object_ids)]
Keywords = Annotated[tuple[str, ...], BeforeValidator(setting_rules.keywords)]
Folders = Annotated[tuple[str, ...], BeforeValidator(partial(setting_rules.some_of, FUNCTION_FOLDERS))]
Suffixes = Annotated[tuple[str, ...], BeforeValidator(setting_rules.suffixes)]


class AfterStore(StrEnum):
    """What becomes of a file once its instance is in the service."""

    KEEP = "keep"
    ARCHIVE = "archive"
    DELETE = "delete"


class OnConflict(StrEnum):
    """What is done where the service has other bytes under the same UIDs."""

    QUARANTINE = "quarantine"
    REPLACE = "replace"


class Audit(StrEnum):
    """Whether it is recorded who saw what."""

    OFF = "off"
    BEST_EFFORT = "best_effort"
    REQUIRED = "required"


class PurgeMode(StrEnum):
    """What retention does with the studies that are due."""

    REPORT = "report"
    APPROVE = "approve"
    DELETE = "delete"


class BeforeDelete(StrEnum):
    """What is done with a study's instances before they are deleted."""

    VAULT = "vault"
    NONE = "none"


class OnPurged(StrEnum):
    """What is done with an instance of a study that retention has deleted."""

    REJECT = "reject"
    STORE = "store"


class ConfigurationError(Exception):
    """Settings are missing or wrong: each by name and with what is allowed, never with its value."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("the app's settings need attention: " + "; ".join(problems))
        self.problems = problems


_ACCOUNTS = (
    "dicom_storage",
    "dicom_storage_blob_service_uri",
    "records_storage",
    "records_storage_blob_service_uri",
)


class Settings(BaseModel):
    """Each field is the app setting of the same name in upper case, unless it names another."""

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True, hide_input_in_errors=True)

    enabled_functions: Folders = Field(
        default=FUNCTION_FOLDERS,
        description="Which of the folders `store_on_upload`, `query_api` and `purge_study` this app runs, separated by "
        "spaces. Several apps of the same package, each with the rights of its own folder, make a hole "
        "in one harmless to the others.",
    )
    dicom_service_url: ServiceAddress = Field(
        description="Address of the DICOM service with its version, "
        "`https://<workspace>-<service>.dicom.azurehealthcareapis.com/v2`. "
        "Must be https; http is allowed only for this machine."
    )
    dicom_token_scope: str = Field(
        default="https://dicom.healthcareapis.azure.com/.default",
        description="Scope of the token sent to the DICOM service.",
    )
    dicom_storage: ConnectionString | None = Field(
        default=None,
        description="Connection string of the storage account that holds the inbox; for Azurite. "
        "In Azure leave it out and set the next one.",
    )
    dicom_storage_blob_service_uri: str | None = Field(
        default=None,
        alias="DICOM_STORAGE__blobServiceUri",
        validate_default=True,
        description="Address of the storage account's blob service, reached by managed identity. `query_api` alone, "
        "without `AUDIT`, needs no storage.",
    )
    dicom_storage_queue_service_uri: str | None = Field(
        default=None,
        alias="DICOM_STORAGE__queueServiceUri",
        validate_default=True,
        description="Address of the same account's queue service; set it with the one before.",
    )
    dicom_storage_table_service_uri: Address | None = Field(
        default=None,
        alias="DICOM_STORAGE__tableServiceUri",
        description="Address of the same account's table service, which retention keeps its ledger in; set it with "
        "`LEDGER_KEY`.",
    )
    records_storage: ConnectionString | None = Field(
        default=None,
        description="Connection string of another storage account for `retention-records` and `access-audit`; for "
        "Azurite.",
    )
    records_storage_blob_service_uri: str | None = Field(
        default=None,
        alias="RECORDS_STORAGE__blobServiceUri",
        validate_default=True,
        description="Address of the blob service of another storage account, reached by managed identity, that holds "
        "`retention-records` and `access-audit`: one with SFTP cannot make them immutable. Not set: the inbox's "
        "account holds them.",
    )
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
        "with an all-digit one, are judged by their content; all others are ignored.",
    )
    after_store: AfterStore = Field(
        default=AfterStore.KEEP,
        description="What becomes of a file once its instance is in the service: `keep`, `archive` (move it to "
        "`dicom-archive`) or `delete`.",
    )
    on_conflict: OnConflict = Field(
        default=OnConflict.QUARANTINE,
        description="What is done where the service has other bytes under the same UIDs: `quarantine` the file, or "
        "`replace` what is stored, whose bytes go to quarantine first.",
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
    approval_key: str | None = Field(
        default=None,
        repr=False,
        min_length=16,
        description="What the header `x-approval-key` must hold for a replay, for a restore, and to approve a plan of "
        "retention. Not set: none is allowed.",
    )
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
    approval_valid_days: int = Field(
        default=7,
        ge=1,
        le=90,
        description="How long an approved plan may be carried out.",
    )
    approvers: Approvers | None = Field(
        default=None,
        description="Object ids of the principals that may approve a plan, separated by spaces. Not set: whoever has "
        "the approval key.",
    )
    tombstone_attributes: Keywords | None = Field(
        default=None,
        description="Keywords of the attributes that a tombstone keeps of a deleted study, such as `AccessionNumber`, "
        "separated by spaces. Not set: nothing of a patient's.",
    )
    python_enable_opentelemetry: bool = Field(
        default=False,
        description="Whether traces, metrics and the log's lines are sent by OpenTelemetry. The platform goes by it as "
        "well: its worker hands the trace on, and a host that traces by OpenTelemetry leaves the lines to the app.",
    )
    otel_exporter_otlp_endpoint: Address | None = Field(
        default=None,
        description="Address of a collector that takes OTLP over HTTP. OpenTelemetry's other settings hold besides, "
        "such as `OTEL_EXPORTER_OTLP_HEADERS` and `OTEL_SERVICE_NAME`.",
    )
    applicationinsights_connection_string: str | None = Field(
        default=None,
        repr=False,
        description="Application Insights, where telemetry goes as well; the host goes by it, too.",
    )
    otel_traces_sampler_arg: float = Field(
        default=1,
        ge=0,
        le=1,
        description="How many of all traces are sent, from `0` to `1`. Metrics count all in any case.",
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
        is_nowhere = all(info.data.get(account, "wrong") is None for account in _ACCOUNTS)
        if value is not Audit.OFF and is_nowhere:
            raise ValueError("needs a storage account: set RECORDS_STORAGE__blobServiceUri")
        return value

    # A validator of the model would not run, and so not tell, while another field is wrong.
    @field_validator("dicom_storage_blob_service_uri")
    @classmethod
    def _is_the_one_storage(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "dicom_storage" in info.data and "enabled_functions" in info.data:  # neither is wrong itself
            given = [one for one in (info.data["dicom_storage"], value) if one is not None]
            needed = info.data["enabled_functions"] != ("query_api",)
            if len(given) > 1 or (needed and not given):
                raise ValueError("set exactly one of this and DICOM_STORAGE")
        return None if value is None else setting_rules.address(value)

    @field_validator("records_storage_blob_service_uri")
    @classmethod
    def _is_the_one_for_records(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("records_storage") is not None:
            raise ValueError("set at most one of this and RECORDS_STORAGE")
        return None if value is None else setting_rules.address(value)

    @field_validator("dicom_storage_queue_service_uri")
    @classmethod
    def _goes_with_blob_service(cls, value: str | None, info: ValidationInfo) -> str | None:
        blob_service = info.data.get("dicom_storage_blob_service_uri")
        if blob_service is not None and value is None:
            raise ValueError("must be set where DICOM_STORAGE__blobServiceUri is")
        return None if value is None else setting_rules.address(value)


def setting_name(field: str) -> str:
    """Return the app setting's name that a field of `Settings` is read from."""
    return Settings.model_fields[field].alias or field.upper()


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; an empty value counts as absent.

    Raises:
        ConfigurationError: one or more are missing or wrong.
    """
    environment = os.environ if environment is None else environment
    given: dict[str, str] = {}
    for field, info in Settings.model_fields.items():
        if value := environment.get(setting_name(field), "").strip():
            given[info.alias or field] = value
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        raise ConfigurationError(_problems(error)) from None


def _problems(error: ValidationError) -> list[str]:
    problems = []
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        name = str(problem["loc"][0]) if problem["loc"] else ""
        name = setting_name(name) if name in Settings.model_fields else name
        message = problem["msg"].removeprefix("Value error, ")
        problems.append(f"{name}: {message}" if name else message)
    return problems


def sources_path() -> str | None:
    """Return SOURCES_PATH alone, so that the file is read, and its mistakes are told, whatever else is wrong."""
    return os.environ.get("SOURCES_PATH", "").strip() or None


@dataclass(frozen=True)
class TriggerSettings:
    """What the triggers' declarations need at import; a wrong value gives way to the default, `load` reports it."""

    enabled_functions: tuple[str, ...]
    inbox_container: str
    blob_source: str
    sweep_schedule: str
    probe_schedule: str | None
    purge_schedule: str
    lookups_ask_for_key: bool


def trigger_settings(environment: Mapping[str, str] | None = None) -> TriggerSettings:
    """Read the settings that stand in the triggers' declarations. Never fails."""
    environment = os.environ if environment is None else environment

    def read(name: str, rule: Callable[[str], str], default: str) -> str:
        try:
            return rule(environment.get(name, "").strip())
        except ValueError:
            return default

    wanted = setting_rules.words(environment.get("ENABLED_FUNCTIONS", "")) or FUNCTION_FOLDERS
    by_scan = environment.get("BLOB_TRIGGER_SOURCE", "").strip() == "LogsAndContainerScan"
    return TriggerSettings(
        # Of what is misspelt, nothing: an app must not run what it was not to.
        enabled_functions=tuple(folder for folder in FUNCTION_FOLDERS if folder in wanted),
        inbox_container=read("DICOM_INBOX_CONTAINER", _container_to_read, DEFAULT_INBOX),
        blob_source="LogsAndContainerScan" if by_scan else "EventGrid",
        sweep_schedule=read("SWEEP_SCHEDULE", setting_rules.schedule, DEFAULT_SWEEP_SCHEDULE),
        probe_schedule=read("PROBE_SCHEDULE", setting_rules.schedule, "") or None,
        purge_schedule=read("PURGE_SCHEDULE", setting_rules.schedule, DEFAULT_PURGE_SCHEDULE),
        lookups_ask_for_key=environment.get("LOOKUP_AUTH", "").strip() != "principal",
    )


@dataclass(frozen=True)
class TelemetrySettings:
    """Whether telemetry is sent, and where to.

    Args:
        is_on: whether there is anywhere to send it to, and it is to be sent.
        otlp_endpoint: of a collector.
        insights_connection: of Application Insights.
        ratio: how many of all traces are sent.
        service_name: what the app is called there.
    """

    is_on: bool
    otlp_endpoint: str | None
    insights_connection: str | None
    ratio: float
    service_name: str


def telemetry_settings(environment: Mapping[str, str] | None = None) -> TelemetrySettings:
    """Read the settings of telemetry alone, for it begins before all others are read. Never fails: wrong means off."""
    environment = os.environ if environment is None else environment

    def read(field: str) -> str:
        return environment.get(setting_name(field), "").strip()

    is_wanted, endpoint = read("python_enable_opentelemetry"), read("otel_exporter_otlp_endpoint")
    connection = read("applicationinsights_connection_string") or None
    try:
        ratio = float(read("otel_traces_sampler_arg") or 1)
        collector = setting_rules.address(endpoint) if endpoint else None
    except ValueError:
        ratio, collector, is_wanted = 0.0, None, ""
    return TelemetrySettings(
        is_on=is_wanted.lower() in ("1", "true", "yes", "on") and bool(collector or connection),
        otlp_endpoint=collector,
        insights_connection=connection,
        ratio=min(max(ratio, 0.0), 1.0),
        service_name=environment.get("OTEL_SERVICE_NAME") or environment.get("WEBSITE_SITE_NAME") or "dicom-dropbox",
    )


def keep_azure_monitor_to_one_address() -> None:
    """Have Azure Monitor's library write to the address of the installation alone, before it is imported.

    By itself it tells its makers how it fares, and asks them how to go on. There is no other way to say so.
    """
    for name in ("STATSBEAT_DISABLED_ALL", "CONTROLPLANE_DISABLED", "SDKSTATS_DISABLED"):
        os.environ[f"APPLICATIONINSIGHTS_{name}"] = "true"
