"""The settings of the app: the only reader of the environment.

Importing this module never fails: a wrong setting is found when a trigger fires, and reported with all others, so
that the health routes can always answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from shared import setting_rules

# Of all settings the host reads these itself, when it indexes the functions: they must be right at import.
STORAGE_CONNECTION = "DICOM_STORAGE"
DEFAULT_INBOX = "dicom-inbox"
DEFAULT_SCHEDULE = "0 0 3 * * *"

# The app's other containers have fixed names: whoever is on call finds them in every installation.
RECEIPTS = "dicom-receipts"
QUARANTINE = "dicom-quarantine"
QUARANTINE_REASONS = "dicom-quarantine-reasons"
RETENTION_RECORDS = "retention-records"
OWN_CONTAINERS = frozenset({RECEIPTS, QUARANTINE, QUARANTINE_REASONS, RETENTION_RECORDS})


def _container_to_read(value: str) -> str:
    if setting_rules.container(value) in OWN_CONTAINERS:
        raise ValueError("must not be a container that the app writes to")
    return value


ServiceAddress = Annotated[str, AfterValidator(setting_rules.service_address)]
ConnectionString = Annotated[str, AfterValidator(setting_rules.connection_string)]
Container = Annotated[str, AfterValidator(_container_to_read)]
Schedule = Annotated[str, AfterValidator(setting_rules.schedule)]


class ConfigurationError(Exception):
    """Settings are missing or wrong: each by name and with what is allowed, never with its value."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("the app's settings need attention: " + "; ".join(problems))
        self.problems = problems


class Settings(BaseModel):
    """Each field is the app setting of the same name in upper case, unless it names another."""

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True, hide_input_in_errors=True)

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
        description="Address of the storage account's blob service, reached by managed identity. "
        "The blob trigger also needs `DICOM_STORAGE__queueServiceUri`.",
    )
    dicom_inbox_container: Container = Field(
        default=DEFAULT_INBOX,
        description="Container that files are dropped into.",
    )
    blob_trigger_source: Literal["EventGrid", "LogsAndContainerScan"] = Field(
        default="EventGrid",
        description="How the platform learns of a new blob; `LogsAndContainerScan` for Azurite, which emits no events.",
    )
    purge_schedule: Schedule = Field(
        default=DEFAULT_SCHEDULE,
        description="When the retention report is made: NCRONTAB, UTC.",
    )
    purge_mode: Literal["report"] = Field(
        default="report",
        description="Only `report`: nothing is deleted.",
    )
    purge_after_days: int | None = Field(
        default=None,
        ge=1,
        le=36_500,
        description="Studies older than this many days, by StudyDate, are reported as due. Not set: no study is.",
    )

    @field_validator("purge_mode", mode="before")
    @classmethod
    def _cannot_delete(cls, value: object) -> object:
        if value == "delete":
            raise ValueError("`delete` is refused: this version has no retention policy to delete by; use `report`")
        return value

    # A validator of the model would not run, and so not tell, while another field is wrong.
    @field_validator("dicom_storage_blob_service_uri")
    @classmethod
    def _is_the_one_storage(cls, value: str | None, info: ValidationInfo) -> str | None:
        storage_is_wrong = "dicom_storage" not in info.data
        if not storage_is_wrong and (info.data["dicom_storage"] is None) == (value is None):
            raise ValueError("set exactly one of this and DICOM_STORAGE")
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


@dataclass(frozen=True)
class TriggerSettings:
    """What the triggers' declarations need at import; a wrong value gives way to the default, `load` reports it."""

    inbox_container: str
    blob_source: str
    purge_schedule: str


def trigger_settings(environment: Mapping[str, str] | None = None) -> TriggerSettings:
    """Read the settings that stand in the triggers' declarations. Never fails."""
    environment = os.environ if environment is None else environment

    def read(name: str, rule: Callable[[str], str], default: str) -> str:
        try:
            return rule(environment.get(name, "").strip())
        except ValueError:
            return default

    by_scan = environment.get("BLOB_TRIGGER_SOURCE", "").strip() == "LogsAndContainerScan"
    return TriggerSettings(
        inbox_container=read("DICOM_INBOX_CONTAINER", _container_to_read, DEFAULT_INBOX),
        blob_source="LogsAndContainerScan" if by_scan else "EventGrid",
        purge_schedule=read("PURGE_SCHEDULE", setting_rules.schedule, DEFAULT_SCHEDULE),
    )
