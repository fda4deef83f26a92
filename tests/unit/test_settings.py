"""The settings: defaults, problems, and what is told of them."""

from __future__ import annotations

import pytest

from shared.settings import ConfigurationError, Settings, load, setting_name, telemetry_settings, trigger_settings

GOOD = {"DICOM_SERVICE_URL": "https://host/v2", "DICOM_STORAGE": "UseDevelopmentStorage=true"}


def problems(**changes: str) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        load({**GOOD, **changes})
    assert str(raised.value) == "the app's settings need attention: " + "; ".join(raised.value.problems)
    return raised.value.problems


def test_defaults_lose_nothing() -> None:
    """With the two settings that must be there, everything else is at its safe default."""
    settings = load(GOOD)
    assert settings.model_dump(exclude={"dicom_service_url", "dicom_storage"}) == {
        "enabled_functions": ("store_on_upload", "query_api", "purge_study"),
        "dicom_token_scope": "https://dicom.healthcareapis.azure.com/.default",
        "dicom_storage_blob_service_uri": None,
        "dicom_storage_queue_service_uri": None,
        "dicom_storage_table_service_uri": None,
        "records_storage": None,
        "records_storage_blob_service_uri": None,
        "dicom_inbox_container": "dicom-inbox",
        "blob_trigger_source": "EventGrid",
        "inbox_suffixes": (".dcm", ".dicom", ".ima"),
        "after_store": "keep",
        "on_conflict": "quarantine",
        "on_purged": "reject",
        "replace_stuck": False,
        "give_up_after_days": 14,
        "max_instance_bytes": 4 * 1024**3,
        "settle_after_seconds": 0,
        "ingest_concurrency": 16,
        "sweep_schedule": "0 */5 * * * *",
        "sweep_min_age_seconds": 900,
        "probe_schedule": None,
        "sources_path": None,
        "approval_key": None,
        "replay_key": None,
        "lookup_concurrency": 64,
        "lookup_timeout_seconds": 200,
        "max_results": 1000,
        "wildcard_scan_limit": 2000,
        "empty_search_status": "200",
        "public_url": None,
        "lookup_auth": "key",
        "website_auth_enabled": False,
        "caller_partitions": None,
        "audit": "off",
        "audit_key": None,
        "callers": {},
        "purge_schedule": "0 0 3 * * *",
        "purge_mode": "report",
        "before_delete": "vault",
        "vault_days": 90,
        "retention_policy": "policy.toml",
        "ledger_key": None,
        "feed_lag_seconds": 300,
        "purge_budget_seconds": 10_800,
        "approval_valid_days": 7,
        "approvers": None,
        "tombstone_attributes": None,
        "python_enable_opentelemetry": False,
        "otel_exporter_otlp_endpoint": None,
        "applicationinsights_connection_string": None,
        "otel_traces_sampler_arg": 1,
    }


def test_all_at_once_by_name() -> None:
    """All that is wrong is told in one error, each by the name that the operator set."""
    told = problems(
        DICOM_SERVICE_URL="ftp://host",
        DICOM_STORAGE="",
        DICOM_INBOX_CONTAINER="No Container",
        BLOB_TRIGGER_SOURCE="Polling",
        PURGE_SCHEDULE="daily",
        PURGE_MODE="maybe",
        VAULT_DAYS="ten",
    )
    assert [problem.partition(":")[0] for problem in told] == [
        "DICOM_SERVICE_URL",
        "DICOM_STORAGE__blobServiceUri",
        "DICOM_INBOX_CONTAINER",
        "BLOB_TRIGGER_SOURCE",
        "PURGE_SCHEDULE",
        "PURGE_MODE",
        "VAULT_DAYS",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DICOM_SERVICE_URL", ""),
        ("DICOM_SERVICE_URL", "host/v2"),
        ("DICOM_SERVICE_URL", "http://host/v2"),
        ("DICOM_SERVICE_URL", "http://127.0.0.1.example/v2"),
        ("DICOM_SERVICE_URL", "https://user:password@host/v2"),
        ("DICOM_SERVICE_URL", "https://:password@host/v2"),
        ("DICOM_SERVICE_URL", "https://"),
        ("DICOM_SERVICE_URL", "https:///v2"),
        ("DICOM_SERVICE_URL", "https://[host]/v2"),
        ("DICOM_SERVICE_URL", "https://host:port/v2"),
        ("DICOM_SERVICE_URL", "https://ho\u2100st/v2"),
        ("DICOM_SERVICE_URL", "https://host/v2?x=1"),
        ("DICOM_SERVICE_URL", "https://host/v2#x"),
        ("DICOM_SERVICE_URL", "https://host"),
        ("DICOM_SERVICE_URL", "https://host/studies"),
        ("DICOM_STORAGE", "nonsense"),
        ("DICOM_STORAGE", "AccountName="),
        ("DICOM_INBOX_CONTAINER", "IN"),
        ("DICOM_INBOX_CONTAINER", "in--box"),
        ("DICOM_INBOX_CONTAINER", "dicom-quarantine"),
        ("DICOM_INBOX_CONTAINER", "retention-records"),
        ("PURGE_SCHEDULE", "99 99 99 * * *"),
        ("PURGE_SCHEDULE", "0 0 24 * * *"),
        ("PURGE_SCHEDULE", "01:00:00"),
        ("VAULT_DAYS", "0"),
        ("VAULT_DAYS", "1.5"),
        ("APPROVERS", "somebody"),
        ("TOMBSTONE_ATTRIBUTES", "Nonsense"),
        ("LEDGER_KEY", "short"),
        ("PURGE_MODE", "everything"),
    ],
)
def test_refused_values(name: str, value: str) -> None:
    """Each of these is refused under its name, and its value is not told."""
    [told] = problems(**{name: value})
    assert told.startswith(f"{name}: ")
    assert not value or value not in told.removeprefix(name)


@pytest.mark.parametrize(
    "address", ["https://host/v2/", "http://127.0.0.1:8080/v2", "http://localhost/v2", "http://[::1]:8080/v2"]
)
def test_addresses(address: str) -> None:
    """https anywhere and http on this machine are taken, without the slash at the end."""
    assert load({**GOOD, "DICOM_SERVICE_URL": address}).dicom_service_url == address.rstrip("/")


@pytest.mark.parametrize(
    "changes", [{"DICOM_STORAGE": ""}, {"DICOM_STORAGE__blobServiceUri": "https://account.blob.core.windows.net"}]
)
def test_one_storage(changes: dict[str, str]) -> None:
    """Exactly one of the two ways to the storage account must be set."""
    assert problems(**changes) == ["DICOM_STORAGE__blobServiceUri: set exactly one of this and DICOM_STORAGE"]


LOOKUPS = {"DICOM_STORAGE": "", "ENABLED_FUNCTIONS": "query_api"}
RECORDS = {"RECORDS_STORAGE__blobServiceUri": "https://records.blob.core.windows.net"}


def test_lookups_alone_need_no_storage() -> None:
    """Unless they are recorded: then an account for the record is enough."""
    assert load({**GOOD, **LOOKUPS}).dicom_storage is None
    audited = {**LOOKUPS, "AUDIT": "required", "AUDIT_KEY": "0123456789abcdef"}
    assert problems(**audited) == ["AUDIT: needs a storage account: set RECORDS_STORAGE__blobServiceUri"]
    assert load({**GOOD, **audited, **RECORDS}).records_storage_blob_service_uri == next(iter(RECORDS.values()))


@pytest.mark.parametrize("enabled", ["", "store_on_upload", "purge_study", "query_api purge_study"])
def test_all_others_need_the_inbox_s_storage(enabled: str) -> None:
    """An account for records does not do instead."""
    told = problems(DICOM_STORAGE="", ENABLED_FUNCTIONS=enabled, **RECORDS)
    assert told == ["DICOM_STORAGE__blobServiceUri: set exactly one of this and DICOM_STORAGE"]


def test_one_storage_for_records() -> None:
    """At most one of the two ways to it."""
    told = problems(RECORDS_STORAGE="UseDevelopmentStorage=true", **RECORDS)
    assert told == ["RECORDS_STORAGE__blobServiceUri: set at most one of this and RECORDS_STORAGE"]


@pytest.mark.parametrize("value", ["query-api", "query_api purge", "all"])
def test_what_is_enabled_must_be_known(value: str) -> None:
    """A misspelt folder is told; the triggers are declared for those that are known, and for no others."""
    must_be = "must be some of store_on_upload, query_api, purge_study, separated by spaces"
    assert problems(ENABLED_FUNCTIONS=value) == [f"ENABLED_FUNCTIONS: {must_be}"]
    assert set(trigger_settings({"ENABLED_FUNCTIONS": value}).enabled_functions) <= {"query_api"}


def test_a_reference_in_the_place_of_a_secret_is_none() -> None:
    """The platform leaves it there where it cannot read the vault: whoever guesses it has no key."""
    reference = "@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/a-key)"
    keys = [setting_name(name) for name in Settings.model_fields if name.endswith("_key")]
    assert len(keys) > 2
    settings = load(GOOD | dict.fromkeys(keys, reference))
    assert [getattr(settings, name.lower()) for name in keys] == [None] * len(keys)
    with pytest.raises(ConfigurationError, match="AUDIT"):
        load(GOOD | {"AUDIT": "required", "AUDIT_KEY": reference})


def test_names() -> None:
    """A field is read from the setting of its name, or of the one that Azure prescribes."""
    assert setting_name("dicom_service_url") == "DICOM_SERVICE_URL"
    assert setting_name("dicom_storage_blob_service_uri") == "DICOM_STORAGE__blobServiceUri"


def test_a_probe_has_no_default_schedule() -> None:
    """It is off unless it is asked for, and where its schedule is none."""
    assert trigger_settings({}).probe_schedule is None
    assert trigger_settings({"PROBE_SCHEDULE": "often"}).probe_schedule is None
    assert trigger_settings({"PROBE_SCHEDULE": "0 */10 * * * *"}).probe_schedule == "0 */10 * * * *"


@pytest.mark.parametrize(
    ("name", "value"), [("BLOB_TRIGGER_SOURCE", "Polling"), ("DICOM_INBOX_CONTAINER", " "), ("PURGE_SCHEDULE", "")]
)
def test_triggers_are_declared_with_defaults(name: str, value: str) -> None:
    """A setting that a trigger cannot be declared with gives way to its default, so that import never fails."""
    assert trigger_settings({name: value}) == trigger_settings({})


COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.example.org/"}
INSIGHTS = {"APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=0"}


@pytest.mark.parametrize(
    ("given", "is_on"),
    [
        ({}, False),
        ({**COLLECTOR, **INSIGHTS}, False),
        ({"PYTHON_ENABLE_OPENTELEMETRY": "false", **COLLECTOR}, False),
        ({"PYTHON_ENABLE_OPENTELEMETRY": "true"}, False),
        ({"PYTHON_ENABLE_OPENTELEMETRY": "true", **COLLECTOR}, True),
        ({"PYTHON_ENABLE_OPENTELEMETRY": "1", **INSIGHTS}, True),
        ({"PYTHON_ENABLE_OPENTELEMETRY": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://elsewhere"}, False),
        ({"PYTHON_ENABLE_OPENTELEMETRY": "true", "OTEL_TRACES_SAMPLER_ARG": "half", **COLLECTOR}, False),
    ],
)
def test_telemetry_is_on_only_where_it_is_wanted_and_can_be_sent(given: dict[str, str], is_on: bool) -> None:
    """What is set wrongly is off, which `load` tells of; to read it never fails."""
    assert telemetry_settings(given).is_on is is_on


def test_telemetry_is_called_what_the_platform_calls_the_app() -> None:
    """Unless OpenTelemetry's own setting says otherwise."""
    platform = {"WEBSITE_SITE_NAME": "func-ingest"}
    assert telemetry_settings(platform).service_name == "func-ingest"
    assert telemetry_settings({**platform, "OTEL_SERVICE_NAME": "mine"}).service_name == "mine"
