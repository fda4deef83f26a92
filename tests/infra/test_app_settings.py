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

from .apps import ACCESS, APP, MAIN, OWN_SETTINGS, app_settings
from .bicep import INFRA, Expression, read, text_of

KEYS = read(INFRA / "modules/keys.bicep")
FIELDS = {setting_name(field): info for field, info in Settings.model_fields.items()}
HOST = "AzureWebJobsStorage"
# Settings that the platform and its libraries read.
OF_THE_PLATFORM = {
    *(f"{HOST}__{name}" for name in ("accountName", "blobServiceUri", "queueServiceUri", "tableServiceUri")),
    *(f"{connection}__{name}" for connection in (HOST, STORAGE_CONNECTION) for name in ("credential", "clientId")),
    *("APPLICATIONINSIGHTS_CONNECTION_STRING", "APPLICATIONINSIGHTS_AUTHENTICATION_STRING", "AZURE_CLIENT_ID"),
    *("AzureFunctionsJobHost__telemetryMode", "AZURE_TOKEN_CREDENTIALS", "AzureWebJobs.store_on_upload.Disabled"),
}
# Those of them that an app does not have, for it lacks the account or the trigger.
OF_OTHERS: dict[str, tuple[str, ...]] = {
    "ingest": (),
    "lookups": (f"{STORAGE_CONNECTION}__", "AzureWebJobs.store_on_upload."),
    "retention": ("AzureWebJobs.store_on_upload.",),
}
# What Azure's own move to Flex Consumption leaves out: ignored there at best.
REFUSED_BY_FLEX = re.compile(
    r"FUNCTIONS_|WEBSITE_|ENABLE_ORYX_BUILD|SCM_DO_BUILD_DURING_DEPLOYMENT|AzureWebJobsDashboard|PYTHON_ISOLATE|TZ$"
)
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
        return str(MAIN.variable(parameter[1]))
    if name.endswith(("Uri", "_URL")):
        return "https://account.example/v2"
    return "120" if name == "SETTLE_AFTER_SECONDS" else "what is in the vault"


@in_each_app
def test_an_apps_settings_are_known_and_right(app: str) -> None:
    """Taken by the code and by the platform as they are; those in triggers' declarations, which are read twice, too."""
    given = app_settings(app)
    assert set(given) <= set(FIELDS) | OF_THE_PLATFORM
    assert OF_THE_PLATFORM - set(given) == {name for name in OF_THE_PLATFORM if name.startswith(OF_OTHERS[app])}
    assert [name for name in given if REFUSED_BY_FLEX.match(name)] == []
    loaded, declared = load(environment(given)), trigger_settings(environment(given))
    assert loaded.enabled_functions == declared.enabled_functions == tuple(ACCESS[app]["functions"])
    names = ("sweep_schedule", "probe_schedule", "purge_schedule")
    assert [getattr(declared, name) for name in names] == [getattr(loaded, name) for name in names]
    assert (declared.inbox_container, declared.blob_source) == (
        loaded.dicom_inbox_container,
        loaded.blob_trigger_source,
    )
    # An installation's own stand in a file with a place for each app; a collector would get the host's spans, which
    # have paths and queries in them (docs/telemetry.md).
    own = OWN_SETTINGS[app]
    assert set(OWN_SETTINGS) == set(ACCESS)
    assert set(own) <= set(FIELDS) - {"OTEL_EXPORTER_OTLP_ENDPOINT"}
    load(environment({**given, **own}))


@in_each_app
def test_addresses_are_those_of_their_services(app: str) -> None:
    """Blobs of one account, queues and tables of the same; records of their own account."""
    accounts = {
        HOST: {"hostAccount"},
        STORAGE_CONNECTION: {"dataAccount!", "data: account"},
        "RECORDS_STORAGE": {"records: account"},
    }
    for name, value in app_settings(app).items():
        if found := re.fullmatch(r"(\w+)__(\w+)ServiceUri", name):
            text = value.text
            if output := re.fullmatch(r"(\w+)\.outputs\.(\w+)", text):  # what that is in the module
                module = read(INFRA / MAIN.declarations[output[1]].type)
                text = f"{output[1]}: {module.variable(f'output {output[2]}').text}"
            assert text in {f"{account}.properties.primaryEndpoints.{found[2]}" for account in accounts[found[1]]}, name
    assert app_settings(app)["DICOM_SERVICE_URL"] == Expression("'${dicomAccess.outputs.serviceUrl}/v2'")


def test_an_installations_own_settings_win() -> None:
    """They stand last where settings are joined."""
    settings = MAIN.declarations["settings"].value
    assert settings is not None
    texts = {app: text_of(MAIN.property(settings, app)) for app in ACCESS}
    for app, text in texts.items():
        assert re.findall(r"union\((.*?)\)", text)[0].endswith(f"{app}Settings, own.{app}")
    assert re.search(r"own\.ingest, own\.lookups, own\.retention\)$", texts["ingest"])


def test_one_app_for_all_has_right_settings() -> None:
    """Those of the three together, which do not contradict one another."""
    together: dict[str, Any] = {}
    for app in ACCESS:
        for name, value in app_settings(app).items():
            assert name == "ENABLED_FUNCTIONS" or together.setdefault(name, value) == value
    loaded = load(environment(together | {"ENABLED_FUNCTIONS": " ".join(FUNCTION_FOLDERS)}))
    assert (loaded.after_store, loaded.audit, loaded.purge_mode) == ("archive", "required", "approve")
    assert (loaded.before_delete, loaded.vault_days) == ("vault", 90)


def test_the_lookups_know_no_inbox() -> None:
    assert not [name for name in app_settings("lookups") if name.startswith(STORAGE_CONNECTION)]
    assert ACCESS["lookups"]["dataContainers"] == ACCESS["lookups"]["queues"] == []


def test_what_infra_goes_by_is_the_codes_default() -> None:
    assert {field: Settings.model_fields[field].default for field in GONE_BY} == GONE_BY
    assert APP.variable("requestsAtOnce") == Settings.model_fields["lookup_concurrency"].default
    [text] = MAIN.declarations["maximumInstances"].decorators["description"]
    assert f"up to {GONE_BY['ingest_concurrency']} files" in text


def test_parameters_that_become_settings_have_their_limits() -> None:
    """Those whose variable is called like a setting: what Bicep lets through, the app takes."""
    given = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    variables = {re.findall(r"^\$\{([A-Z_]+)", given[one.name]["value"])[0]: one for one in MAIN.of_kind("parameter")}
    assert variables.keys() & FIELDS.keys() == {"SETTLE_AFTER_SECONDS", "VAULT_DAYS", "PURGE_MODE"}
    for name in variables.keys() & FIELDS.keys():
        decorators, metadata = variables[name].decorators, FIELDS[name].metadata
        limits = [decorators[limit][0] for limit in ("minValue", "maxValue") if limit in decorators]
        bounds = [bound for one in metadata for bound in (getattr(one, "ge", None), getattr(one, "le", None))]
        assert limits == [bound for bound in bounds if bound is not None], name
    assert variables["PURGE_MODE"].decorators["allowed"][0] == [mode.value for mode in PurgeMode]
    assert MAIN.variable("vaultDays") == FIELDS["VAULT_DAYS"].default


@in_each_app
def test_an_app_may_read_the_secrets_that_its_settings_refer_to(app: str) -> None:
    """And no other; each is called like its setting."""
    referring = {
        name: value.text.rpartition(".")[2]
        for name, value in app_settings(app).items()
        if "keys.outputs" in getattr(value, "text", "")
    }
    assert {name.lower().replace("_", "-") for name in referring} == set(ACCESS[app]["secrets"])
    for name, symbol in referring.items():
        assert KEYS.body(symbol)["name"] == name.lower().replace("_", "-")
        assert f"secrets/${{{symbol}.name}})" in KEYS.variable(f"output {symbol}").text


def test_every_secret_of_the_code_is_made() -> None:
    """What no log shows; but for what an installation says of its callers, in settings.json."""
    secret = {name for name, one in FIELDS.items() if not one.repr}
    assert secret - {name for app in ACCESS for name in app_settings(app)} == {"CALLERS", "CALLER_PARTITIONS"}
