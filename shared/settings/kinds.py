"""What a setting may be: types with their rules, and the choices by their words."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from . import rules
from .fixed import FUNCTION_FOLDERS, OWN_CONTAINERS


def container_to_read(value: str) -> str:
    """Require the name of a container that is none of the app's others."""
    if rules.container(value) in OWN_CONTAINERS:
        raise ValueError("must not be one of the app's other containers")
    return value


ServiceAddress = Annotated[str, AfterValidator(rules.service_address)]
ConnectionString = Annotated[str, AfterValidator(rules.connection_string)]
Address = Annotated[str, AfterValidator(rules.address)]
Container = Annotated[str, AfterValidator(container_to_read)]
Schedule = Annotated[str, AfterValidator(rules.schedule)]
CallerPartitions = Annotated[dict[str, frozenset[str]], BeforeValidator(rules.caller_partitions)]
Callers = Annotated[dict[str, str], BeforeValidator(rules.callers)]
Approvers = Annotated[frozenset[str], BeforeValidator(rules.object_ids)]
Keywords = Annotated[tuple[str, ...], BeforeValidator(rules.keywords)]
Folders = Annotated[tuple[str, ...], BeforeValidator(partial(rules.some_of, FUNCTION_FOLDERS))]
Suffixes = Annotated[tuple[str, ...], BeforeValidator(rules.suffixes)]


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


class SomeSettings(BaseModel):
    """Some of the settings. What checks them is built when they are first read: import is not to wait for it."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", str_strip_whitespace=True, hide_input_in_errors=True, defer_build=True
    )
