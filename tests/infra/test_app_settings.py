"""The app settings that infra/ sets are the code's, and right; what it leaves alone has the default that it goes by."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from shared.settings import (
    FUNCTION_FOLDERS,
    STORAGE_CONNECTION,
    PurgeMode,
    Settings,
    load,
    setting_name,
    trigger_settings,
)

from .apps import ACCESS, APP, MAIN, app_settings, own_settings
from .bicep import INFRA, Expression, read

KEYS = read(INFRA / "modules/keys.bicep")
# Settings that the platform and its libraries read.
OF_THE_PLATFORM = {
    *(
        f"AzureWebJobsStorage__{name}"
        for name in ("accountName", "blobServiceUri", "queueServiceUri", "tableServiceUri")
    ),
    *(
        f"{connection}__{name}"
        for connection in ("AzureWebJobsStorage", STORAGE_CONNECTION)
        for name in ("credential", "clientId")
    ),
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "AZURE_CLIENT_ID",
    "AzureFunctionsJobHost__telemetryMode",
    "AZURE_TOKEN_CREDENTIALS",
    "AzureWebJobs.store_on_upload.Disabled",
}
# What Azure's own move to Flex Consumption leaves out: ignored there at best.
REFUSED_BY_FLEX = re.compile(
    r"FUNCTIONS_|WEBSITE_|ENABLE_ORYX_BUILD|SCM_DO_BUILD_DURING_DEPLOYMENT|AzureWebJobsDashboard|PYTHON_ISOLATE|TZ$"
)
LIMITS = ("minValue", "maxValue")
# What is not set, and that infra/ goes by.
GONE_BY = {
    "dicom_inbox_container": "dicom-inbox",  # the container's name, and the events' filter
    "retention_policy": "policy.toml",  # as docs/deploying.md says
    "replace_stuck": False,  # else ingest would need a role that may delete
    "on_conflict": "quarantine",
    "on_purged": "reject",
    "lookup_auth": "key",
    "dicom_token_scope": "https://dicom.healthcareapis.azure.com/.default",  # a new service's
    "ingest_concurrency": 16,  # the description of maximumInstances
}

in_each_app = pytest.mark.parametrize("app", list(ACCESS))


def environment(given: dict[str, Any]) -> dict[str, str]:
    """Return settings with something likely in the place of what only Azure knows."""
    return {name: value if isinstance(value, str) else likely(name, value) for name, value in given.items()}


def likely(name: str, value: Expression) -> str:
    parameter = re.fullmatch(r"(?:string\()?(\w+)\)?", value.text)
    if parameter and parameter[1] in MAIN.declarations:
        return str(MAIN.constant(MAIN.declarations[parameter[1]].value))
    if name == "DICOM_SERVICE_URL":
        return "https://workspace-service.dicom.azurehealthcareapis.com/v2"
    if name.endswith("Uri"):
        return "https://account.blob.core.windows.net/"
    return "120" if name == "SETTLE_AFTER_SECONDS" else "what is in the vault"


@in_each_app
def test_an_apps_settings_are_known_and_right(app: str) -> None:
    """By their names, and taken by the code as they are."""
    given = app_settings(app)
    known = {setting_name(field) for field in Settings.model_fields}
    assert set(given) <= known | OF_THE_PLATFORM
    assert load(environment(given)).enabled_functions == tuple(ACCESS[app]["functions"])


@in_each_app
def test_what_the_host_reads_at_import_is_the_same(app: str) -> None:
    """The settings that stand in the triggers' declarations are read twice."""
    given = environment(app_settings(app))
    loaded, declared = load(given), trigger_settings(given)
    assert declared.enabled_functions == loaded.enabled_functions
    assert (declared.inbox_container, declared.blob_source) == (
        loaded.dicom_inbox_container,
        loaded.blob_trigger_source,
    )
    schedules = (declared.sweep_schedule, declared.probe_schedule, declared.purge_schedule)
    assert schedules == (loaded.sweep_schedule, loaded.probe_schedule, loaded.purge_schedule)


@in_each_app
def test_an_app_gets_what_the_platform_asks_for(app: str) -> None:
    """All of it, but for what is about an account or a trigger that the app does not have."""
    missing = OF_THE_PLATFORM - set(app_settings(app))
    of_others = {
        "ingest": (),
        "lookups": (f"{STORAGE_CONNECTION}__", "AzureWebJobs.store_on_upload."),
        "retention": ("AzureWebJobs.store_on_upload.",),
    }
    assert missing == {name for name in OF_THE_PLATFORM if name.startswith(of_others[app])}


@in_each_app
def test_addresses_are_those_of_their_services(app: str) -> None:
    """Blobs of one account, queues and tables of the same; records of their own account."""
    accounts = {
        "AzureWebJobsStorage": {"hostAccount"},
        STORAGE_CONNECTION: {"dataAccount!", "data: account"},
        "RECORDS_STORAGE": {"records: account"},
    }
    for name, value in app_settings(app).items():
        if found := re.fullmatch(r"(\w+)__(\w+)ServiceUri", name):
            expected = {f"{account}.properties.primaryEndpoints.{found[2]}" for account in accounts[found[1]]}
            assert behind(value.text) in expected, name
    assert app_settings(app)["DICOM_SERVICE_URL"] == Expression("'${dicomAccess.outputs.serviceUrl}/v2'")


def behind(text: str) -> str:
    """Return what a module's output is, after the module's name; anything else as it is."""
    if found := re.fullmatch(r"(\w+)\.outputs\.(\w+)", text):
        file = read(INFRA / MAIN.declarations[found[1]].type)
        return f"{found[1]}: {file.constant(file.declarations[f'output {found[2]}'].value).text}"
    return text


@in_each_app
def test_an_installations_own_settings_are_known_and_right(app: str) -> None:
    """They stand in a file with a place for each app, and none of them is the platform's."""
    assert set(own_settings()) == set(ACCESS)
    own = own_settings()[app]
    assert set(own) <= {setting_name(field) for field in Settings.model_fields}
    load(environment({**app_settings(app), **own}))


@in_each_app
def test_an_installations_own_settings_name_no_collector(app: str) -> None:
    """The host would send it its own spans, too, which have paths and queries in them (docs/telemetry.md)."""
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" not in own_settings()[app]


def test_an_installations_own_settings_win() -> None:
    """They stand last where settings are joined."""
    value = MAIN.declarations["settings"].value
    assert value is not None
    for app in ACCESS:
        merged = MAIN.property(value, app)
        assert merged is not None
        unions = re.findall(r"union\((.*?)\)", (merged.text or b"").decode())
        assert unions[0].endswith(f"{app}Settings, own.{app}")
    both = MAIN.property(value, "ingest")
    assert both is not None
    assert re.search(r"own\.ingest, own\.lookups, own\.retention\)$", (both.text or b"").decode())


@in_each_app
def test_flex_consumption_refuses_none_of_them(app: str) -> None:
    """And none is for another plan."""
    assert [name for name in app_settings(app) if REFUSED_BY_FLEX.match(name)] == []


def test_one_app_for_all_has_right_settings() -> None:
    """Those of the three together, which do not contradict one another."""
    together: dict[str, Any] = {}
    for app in ACCESS:
        for name, value in app_settings(app).items():
            assert name == "ENABLED_FUNCTIONS" or together.setdefault(name, value) == value
    together["ENABLED_FUNCTIONS"] = " ".join(FUNCTION_FOLDERS)
    loaded = load(environment(together))
    assert (loaded.after_store, loaded.audit, loaded.purge_mode) == ("archive", "required", "approve")
    assert (loaded.before_delete, loaded.vault_days) == ("vault", 90)


def test_the_lookups_know_no_inbox() -> None:
    """Not even where it is."""
    assert not [name for name in app_settings("lookups") if name.startswith(STORAGE_CONNECTION)]
    assert ACCESS["lookups"]["dataContainers"] == ACCESS["lookups"]["queues"] == []


def test_what_infra_goes_by_is_the_codes_default() -> None:
    """Settings that it leaves alone; and how many lookups an instance takes at once."""
    assert {field: Settings.model_fields[field].default for field in GONE_BY} == GONE_BY
    assert APP.variable("requestsAtOnce") == Settings.model_fields["lookup_concurrency"].default
    [text] = MAIN.declarations["maximumInstances"].decorators["description"]
    assert f"up to {GONE_BY['ingest_concurrency']} files" in text


def test_parameters_that_become_settings_have_their_limits() -> None:
    """Those whose variable is called like a setting: what Bicep lets through, the app takes."""
    variables = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    fields = {setting_name(field): info for field, info in Settings.model_fields.items()}
    seen = set()
    for parameter in MAIN.of_kind("parameter"):
        [variable] = re.findall(r"^\$\{([A-Z_]+)", variables[parameter.name]["value"])
        if (info := fields.get(variable)) is None:
            continue
        seen.add(variable)
        limits = {name: parameter.decorators[name][0] for name in LIMITS if name in parameter.decorators}
        bounds = [bound for one in info.metadata for bound in (getattr(one, "ge", None), getattr(one, "le", None))]
        assert list(limits.values()) == [bound for bound in bounds if bound is not None], variable
        if "allowed" in parameter.decorators:
            assert parameter.decorators["allowed"][0] == [mode.value for mode in PurgeMode]
    assert seen == {"SETTLE_AFTER_SECONDS", "VAULT_DAYS", "PURGE_MODE"}
    assert MAIN.constant(MAIN.declarations["vaultDays"].value) == fields["VAULT_DAYS"].default


@in_each_app
def test_an_app_may_read_the_secrets_that_its_settings_refer_to(app: str) -> None:
    """And no other; each is called like its setting."""
    referring = {name for name, value in app_settings(app).items() if "keys.outputs" in getattr(value, "text", "")}
    assert {name.lower().replace("_", "-") for name in referring} == set(ACCESS[app]["secrets"])
    for name in referring:
        symbol = app_settings(app)[name].text.rpartition(".")[2]
        body = KEYS.object(KEYS.declarations[symbol])
        assert KEYS.constant(KEYS.property(body, "name")) == name.lower().replace("_", "-")
        output = KEYS.constant(KEYS.declarations[f"output {symbol}"].value)
        assert f"secrets/${{{symbol}.name}})" in output.text


def test_every_secret_of_the_code_is_made() -> None:
    """What no log shows; but for what an installation says of its callers, in settings.json."""
    secret = {setting_name(name) for name, one in Settings.model_fields.items() if not one.repr}
    set_by_some_app = {name for app in ACCESS for name in app_settings(app)}
    assert secret - set_by_some_app == {"CALLERS", "CALLER_PARTITIONS"}
