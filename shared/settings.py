"""The settings of the app: the only reader of the environment.

Importing this module never fails: a wrong setting is found when a trigger fires, and reported with all others, so
that the health routes can always answer.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

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

_CONNECTION_STRING = re.compile(
    r"UseDevelopmentStorage=true|(\w+=[^;]*;)*(AccountName|BlobEndpoint)=[^;]+(;\w+=[^;]*)*;?"
)
_VERSION = re.compile(r"/v[0-9]+(\.[0-9]+)?(-prerelease)?")
_CONTAINER_NAME = r"^[a-z0-9](-?[a-z0-9]){2,62}$"
_ONE_PART = r"(\*|{0}(-{0})?)(/[0-9]+)?"
# NCRONTAB: seconds (may be left out), minutes, hours, days, months, days of the week.
_PARTS = (
    *(_ONE_PART.format(number) for number in ("[0-5]?[0-9]", "[0-5]?[0-9]", "([01]?[0-9]|2[0-3])")),
    *(
        _ONE_PART.format(number)
        for number in ("([012]?[1-9]|[123]0|31)", "(0?[1-9]|1[0-2]|[A-Za-z]{3})", "([0-7]|[A-Za-z]{3})")
    ),
)
_FIELDS = [f"{part}(,{part})*" for part in _PARTS]
_SCHEDULE = f"^({_FIELDS[0]} )?{' '.join(_FIELDS[1:])}$"


class ConfigurationError(Exception):
    """Settings are missing or wrong: each by name and with what is allowed, never with its value."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("the app's settings need attention: " + "; ".join(problems))
        self.problems = problems


class Settings(BaseModel):
    """Each field is the app setting of the same name in upper case, unless it names another."""

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True, hide_input_in_errors=True)

    dicom_service_url: str = Field(
        description="Address of the DICOM service with its version, "
        "`https://<workspace>-<service>.dicom.azurehealthcareapis.com/v2`. https only, but on the same machine."
    )
    dicom_token_scope: str = Field(
        default="https://dicom.healthcareapis.azure.com/.default",
        description="Scope of the token that is shown to the DICOM service.",
    )
    dicom_storage: str | None = Field(
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
    dicom_inbox_container: str = Field(
        default=DEFAULT_INBOX,
        pattern=_CONTAINER_NAME,
        description="Container that files are dropped into.",
    )
    blob_trigger_source: Literal["EventGrid", "LogsAndContainerScan"] = Field(
        default="EventGrid",
        description="How the platform learns of a new blob; `LogsAndContainerScan` for Azurite, which emits no events.",
    )
    purge_schedule: str = Field(
        default=DEFAULT_SCHEDULE,
        pattern=_SCHEDULE,
        description="When the retention report is made: NCRONTAB with seconds, UTC.",
    )
    purge_mode: Literal["report"] = Field(
        default="report",
        description="Only `report`: nothing is deleted.",
    )
    purge_after_days: int | None = Field(
        default=None,
        ge=1,
        le=36_500,
        description="A study whose StudyDate is more days ago than this is reported as due. Not set: none is.",
    )

    @field_validator("dicom_service_url")
    @classmethod
    def _is_safe_address(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            host, _ = parts.hostname, parts.port
        except ValueError:  # whose text quotes the value
            raise ValueError("must be an address") from None
        if not host or (parts.scheme != "https" and not (parts.scheme == "http" and host in LOOPBACK_HOSTS)):
            raise ValueError("must be an https address (http only on the same machine)")
        if parts.query or parts.fragment or "@" in parts.netloc:
            raise ValueError("must be an address without credentials, query or fragment")
        if not _VERSION.fullmatch(parts.path.rstrip("/")):
            raise ValueError("must end with the version of the API, /v2")
        return value.rstrip("/")

    @field_validator("dicom_storage")
    @classmethod
    def _is_connection_string(cls, value: str) -> str:
        if not _CONNECTION_STRING.fullmatch(value):
            raise ValueError("must be a connection string with an AccountName or a BlobEndpoint")
        return value

    @field_validator("dicom_inbox_container")
    @classmethod
    def _is_not_one_of_ours(cls, value: str) -> str:
        if value in OWN_CONTAINERS:
            raise ValueError("must not be a container that the app writes to")
        return value

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
        told_already = "dicom_storage" not in info.data
        if not told_already and (info.data["dicom_storage"] is None) == (value is None):
            raise ValueError("set exactly one of this and DICOM_STORAGE")
        if value is not None and not value.startswith("https://"):
            raise ValueError("must be an https address")
        return value


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

    def read(name: str, pattern: str, default: str) -> str:
        value = environment.get(name, "").strip()
        return value if re.fullmatch(pattern, value) else default

    return TriggerSettings(
        inbox_container=read("DICOM_INBOX_CONTAINER", _CONTAINER_NAME, DEFAULT_INBOX),
        blob_source=read("BLOB_TRIGGER_SOURCE", "LogsAndContainerScan", "EventGrid"),
        purge_schedule=read("PURGE_SCHEDULE", _SCHEDULE, DEFAULT_SCHEDULE),
    )
