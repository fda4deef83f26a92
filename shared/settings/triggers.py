"""What the host reads at import, when it indexes the functions."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from . import rules
from .fixed import DEFAULT_INBOX, DEFAULT_PURGE_SCHEDULE, DEFAULT_SWEEP_SCHEDULE, FUNCTION_FOLDERS
from .kinds import container_to_read


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

    wanted = rules.words(environment.get("ENABLED_FUNCTIONS", "")) or FUNCTION_FOLDERS
    by_scan = environment.get("BLOB_TRIGGER_SOURCE", "").strip() == "LogsAndContainerScan"
    return TriggerSettings(
        # Of what is misspelt, nothing: an app must not run what it was not to.
        enabled_functions=tuple(folder for folder in FUNCTION_FOLDERS if folder in wanted),
        inbox_container=read("DICOM_INBOX_CONTAINER", container_to_read, DEFAULT_INBOX),
        blob_source="LogsAndContainerScan" if by_scan else "EventGrid",
        sweep_schedule=read("SWEEP_SCHEDULE", rules.schedule, DEFAULT_SWEEP_SCHEDULE),
        probe_schedule=read("PROBE_SCHEDULE", rules.schedule, "") or None,
        purge_schedule=read("PURGE_SCHEDULE", rules.schedule, DEFAULT_PURGE_SCHEDULE),
        lookups_ask_for_key=environment.get("LOOKUP_AUTH", "").strip() != "principal",
    )
