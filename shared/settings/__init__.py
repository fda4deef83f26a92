"""The settings of the app: the only reader of the environment.

Importing them never fails: a wrong setting is found when a trigger fires, and reported with all others, so that the
health routes can always answer.
"""

from .fixed import (
    ACCESS_AUDIT,
    ARCHIVE,
    CONTROL,
    DEAD_LETTERS,
    DEFAULT_INBOX,
    FUNCTION_FOLDERS,
    LONGEST_RUN_SECONDS,
    OWN_CONTAINERS,
    QUARANTINE,
    QUARANTINE_REASONS,
    RECEIPTS,
    REPLACED,
    RETENTION_POLICY,
    RETENTION_RECORDS,
    RETENTION_STATE,
    STORAGE_CONNECTION,
    VAULT,
)
from .kinds import AfterStore, Audit, BeforeDelete, OnConflict, OnPurged, PurgeMode, Suffixes
from .model import ConfigurationError, Settings, load, setting_name, sources_path
from .telemetry import TelemetrySettings, keep_azure_monitor_to_one_address, telemetry_settings
from .triggers import trigger_settings

__all__ = [
    "ACCESS_AUDIT",
    "ARCHIVE",
    "CONTROL",
    "DEAD_LETTERS",
    "DEFAULT_INBOX",
    "FUNCTION_FOLDERS",
    "LONGEST_RUN_SECONDS",
    "OWN_CONTAINERS",
    "QUARANTINE",
    "QUARANTINE_REASONS",
    "RECEIPTS",
    "REPLACED",
    "RETENTION_POLICY",
    "RETENTION_RECORDS",
    "RETENTION_STATE",
    "STORAGE_CONNECTION",
    "VAULT",
    "AfterStore",
    "Audit",
    "BeforeDelete",
    "ConfigurationError",
    "OnConflict",
    "OnPurged",
    "PurgeMode",
    "Settings",
    "Suffixes",
    "TelemetrySettings",
    "keep_azure_monitor_to_one_address",
    "load",
    "setting_name",
    "sources_path",
    "telemetry_settings",
    "trigger_settings",
]
