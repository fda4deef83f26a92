"""All settings, how they are read, and what is told of those that are wrong."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pydantic import ValidationError

from .ingest import IngestSettings
from .lookups import LookupSettings
from .places import PlaceSettings
from .retention import RetentionSettings
from .telemetry import TelemetryFields

# What the platform leaves in the place of a secret that it cannot read. Whoever knows the vault's name could write it.
_NOT_RESOLVED = "@Microsoft.KeyVault("


# Fields come in the order of the bases, the last one first: a rule about two of them sees those that come before.
class Settings(TelemetryFields, RetentionSettings, LookupSettings, IngestSettings, PlaceSettings):
    """Each field is the app setting of the same name in upper case, unless it names another."""


class ConfigurationError(Exception):
    """Settings are missing or wrong: each by name and with what is allowed, never with its value."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("the app's settings need attention: " + "; ".join(problems))
        self.problems = problems


def setting_name(field: str) -> str:
    """Return the app setting's name that a field of `Settings` is read from."""
    return Settings.model_fields[field].alias or field.upper()


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; an empty value counts as absent, and so does a reference in the place of a secret.

    Raises:
        ConfigurationError: one or more are missing or wrong.
    """
    environment = os.environ if environment is None else environment
    given: dict[str, str] = {}
    for field, info in Settings.model_fields.items():
        value = environment.get(setting_name(field), "").strip()
        if value and not value.startswith(_NOT_RESOLVED):
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
