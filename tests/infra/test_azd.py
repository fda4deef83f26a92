"""azure.yaml and its hook, for `azd up`."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from .az import written
from .bicep import INFRA, Expression, read
from .test_bicep import SCHEMA, VERSIONS

ROOT = INFRA.parent
AZURE: dict[str, Any] = yaml.safe_load((ROOT / "azure.yaml").read_text())
HOOK = INFRA / "hooks/subscribe-webhook.sh"
WINDOWS_HOOK = HOOK.with_suffix(".ps1")
SUBSCRIPTION = "Microsoft.EventGrid/systemTopics/eventSubscriptions"
# What azd's schema lets a service of a function app have, as far as we use it.
OF_A_SERVICE = {"project", "language", "host", "remoteBuild", "condition"}


def test_the_services_are_the_apps() -> None:
    """The same code for each: a function app in Python, whose packages Azure installs."""
    main = read(INFRA / "main.bicep")
    value = main.declarations["appNames"].value
    assert value is not None
    three, one = (file.constant(node) for file, node in main.forms(value))
    assert list(AZURE["services"]) == three
    for name, service in AZURE["services"].items():
        assert set(service) <= OF_A_SERVICE
        assert (service["project"], service["language"], service["host"]) == (".", "python", "function")
        assert service["remoteBuild"] is True
        # With one app, there are no others to deploy to.
        assert ("condition" not in service) == (name in one)


def test_the_condition_is_what_the_parameter_is_read_from() -> None:
    """Or azd would deploy to apps that are not there."""
    parameters = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    conditions = {service["condition"] for service in AZURE["services"].values() if "condition" in service}
    assert conditions == {parameters["separateApps"]["value"]}


def test_azd_finds_what_was_made() -> None:
    """A group by the environment's name, and each app in it by its service's."""
    main, app = read(INFRA / "main.bicep"), read(INFRA / "modules/app.bicep")
    assert main.variable("tags") == {"azd-env-name": Expression("environmentName")}
    assert main.constant(main.object(main.declarations["group"]))["tags"] == main.variable("tags")
    assert app.constant(app.object(app.declarations["app"]))["tags"] == {"azd-service-name": Expression("name")}


def test_azd_finds_the_templates() -> None:
    """In the folder that it is told, and a version that knows what they ask for."""
    assert AZURE["name"] == "dicom-dropbox"
    assert AZURE["infra"] == {"provider": "bicep", "path": "infra"}
    assert (INFRA / "main.bicep").exists()
    assert re.fullmatch(r">= \d+\.\d+\.\d+", AZURE["requiredVersions"]["azd"])


def test_another_machine_has_the_parameters_back() -> None:
    """By `azd env refresh`, which knows outputs alone: each parameter is one, but for the name that it is called with.

    The region as well: azd asks for it, and names of resources come of the answer.
    """
    main = read(INFRA / "main.bicep")
    given = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    variables = {re.findall(r"^\$\{([A-Z_]+)", one["value"])[0]: name for name, one in given.items()}
    outputs = dict(re.findall(r"^output (\w+) \w+ = (\w+)$", main.text, re.MULTILINE))
    expected = {variable: name for variable, name in variables.items() if variable != "AZURE_ENV_NAME"}
    assert {name: outputs.get(name) for name in expected} == expected


def test_the_hooks_can_be_run() -> None:
    """They are there, one for each system; the first may be executed, and the shell reads it."""
    assert AZURE["hooks"] == {
        "postdeploy": {
            "posix": {"shell": "sh", "run": str(HOOK.relative_to(ROOT))},
            "windows": {"shell": "pwsh", "run": str(WINDOWS_HOOK.relative_to(ROOT))},
        }
    }
    assert os.access(HOOK, os.X_OK)
    subprocess.run(["sh", "-n", HOOK], check=True)


def test_the_hooks_ask_for_outputs_that_there_are() -> None:
    """Of main.bicep, which azd keeps in its environment; both for the same."""
    asked = set(re.findall(r"value ([A-Z_]+)", HOOK.read_text()))
    assert asked
    assert asked <= {one.name for one in read(INFRA / "main.bicep").of_kind("output")}
    assert set(re.findall(r"Get-Value ([A-Z_]+)", WINDOWS_HOOK.read_text())) == asked


def test_the_hook_does_nothing_where_the_queue_is_in_use() -> None:
    """It asks azd where Event Grid delivers, and stops there."""
    done = run_hook("azd() { [ \"$*\" = 'env get-value EVENTS_TO' ] && echo queue; }; az() { echo called; }")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("az", "told"),
    [
        ("azd() { echo no such key >&2; return 1; }", "no such key"),
        ("command() { return 1; }", "The Azure CLI (az) is not installed"),
        ("az() { [ $1 != account ]; }", "is not logged in to the subscription the-AZURE_SUBSCRIPTION_ID"),
        ("az() { :; }", "The app the-INGEST_APP has no key of the blob trigger yet"),
        ("az() { case $1 in functionapp) echo key;; eventgrid) echo refused >&2; return 3;; esac; }", "refused"),
        ("az() { case $1 in functionapp) echo key;; rest) echo refused >&2; return 3;; esac; }", "refused"),
        ("az() { case $1 in functionapp) echo key;; resource) echo refused >&2; return 3;; esac; }", "refused"),
    ],
)
def test_the_hook_fails_loudly(az: str, told: str) -> None:
    """It says what failed, that files now wait for the sweep, and how to repeat it; azd fails as well."""
    done = run_hook(f'{WEBHOOK}\naz() {{ :; }}\n{az}\nsleep() {{ echo "slept $1"; }}')
    assert done.returncode != 0
    assert told in done.stderr
    assert "Only the sweep finds new files" in done.stderr
    assert done.stderr.rstrip().endswith("azd hooks run postdeploy")
    assert told.endswith("yet") == ("slept 10" in done.stdout)


def test_the_hook_waits_for_a_host_that_starts(tmp_path: Path) -> None:
    """Azure answers the question for its keys with an error meanwhile, and then with none."""
    asked = tmp_path / "asked"
    done = run_hook(
        f"{WEBHOOK}\nsleep() {{ :; }}\n"
        f'az() {{ case "$1" in functionapp) echo >> {asked}; '
        f'case "$(wc -l < {asked})" in 1) echo ServiceUnavailable >&2; return 1;; 2) ;; *) echo secret-key;; esac;; '
        "eventgrid) printf 'the-topic\\tthe-account\\n';; rest) cat;; esac; }"
    )
    assert done.returncode == 0, done.stderr
    assert asked.read_text() == "\n\n\n"
    assert "&code=secret-key" in done.stdout


def test_the_hook_subscribes_where_the_webhook_is_in_use() -> None:
    """With the app's key, which it prints nowhere, and without a location, which Event Grid refuses."""
    done = subscribe()
    assert "secret-key" not in done.stdout
    here = "--subscription the-AZURE_SUBSCRIPTION_ID -g the-RESOURCE_GROUP"  # az may be set to another one than azd
    assert f"functionapp keys list {here} -n the-INGEST_APP" in done.stderr
    assert f"system-topic show {here} -n the-EVENT_TOPIC" in done.stderr
    made, version = "the-topic/eventSubscriptions/store-on-upload", VERSIONS[SUBSCRIPTION]
    assert f"rest --method put --url {made}?api-version={version} -o none --body @-\n" in done.stderr
    assert set(body_of(done)) == {"properties"}
    # Event Grid asks the app whether it wants the events, and may be told no, only after it has answered.
    wait = f"resource wait --subscription the-AZURE_SUBSCRIPTION_ID --ids {made} --api-version {version} --created"
    assert f"\n{wait} --interval 5 --timeout 300\n" in done.stderr


def test_the_webhooks_subscription_is_as_the_queues() -> None:
    """But for the events, which come by one of the two, and for where they go; and it has what Azure knows."""
    properties = body_of(subscribe())["properties"]
    events = read(INFRA / "modules/event-grid.bicep")
    by_queue = events.constant(events.object(events.declarations["arrivals"]))["properties"]
    known = SCHEMA[SUBSCRIPTION]["properties"]["destination"]
    assert "WebHook" in known["endpointType"]
    assert "endpointUrl" in known["properties"]
    assert properties.pop("destination") == {
        "endpointType": "WebHook",
        "properties": {
            "endpointUrl": "the-INGEST_URL/runtime/webhooks/blobs"
            "?functionName=Host.Functions.store_on_upload&code=secret-key"
        },
    }
    del by_queue["deliveryWithResourceIdentity"]
    by_queue["filter"]["includedEventTypes"] = ["Microsoft.Storage.BlobCreated"]
    buried = by_queue["deadLetterWithResourceIdentity"]
    buried["deadLetterDestination"]["properties"]["resourceId"] = "the-account"
    assert properties == by_queue


def test_windows_subscribes_to_the_same() -> None:
    """With the same commands and the same body."""
    script = WINDOWS_HOOK.read_text()
    [body] = re.findall(r'@"\n(.*?)\n"@', script, re.DOTALL)
    known = {"key": "secret-key", "url": "the-INGEST_URL", "account": "the-account"}
    assert json.loads(re.sub(r"\$\{?(\w+)\}?", lambda name: known[name[1]], body)) == body_of(subscribe())
    by_page: dict[str, list[tuple[str, list[tuple[str, list[str]]]]]] = {}
    for one in written():
        by_page.setdefault(one.page, []).append((one.name, one.options))
    posix, windows = (by_page[str(hook.relative_to(ROOT))] for hook in (HOOK, WINDOWS_HOOK))
    assert windows == posix
    assert script.count("$LASTEXITCODE") >= len(windows)


WEBHOOK = 'azd() { case "$3" in EVENTS_TO) echo webhook;; *) echo "the-$3";; esac; }'


def run_hook(shell: str) -> subprocess.CompletedProcess[str]:
    """Run the hook where some commands are functions of the shell."""
    return subprocess.run(
        ["sh", "-c", f"{shell}\n{HOOK.read_text()}"], capture_output=True, text=True, check=False, timeout=60
    )


def subscribe() -> subprocess.CompletedProcess[str]:
    """Run the hook where the webhook is in use; what it asks `az` for is on standard error."""
    done = run_hook(
        f"{WEBHOOK}\n"
        'az() { echo "$*" >&2; case "$1" in functionapp) echo secret-key;; '
        "eventgrid) printf 'the-topic\\tthe-account\\n';; rest) cat >&2;; esac; }"
    )
    assert done.returncode == 0, done.stderr
    return done


def body_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return what the hook sends."""
    sent = done.stderr.partition("--body @-\n")[2]
    return dict(json.JSONDecoder().raw_decode(sent)[0])


def test_no_virtual_environment_is_uploaded() -> None:
    """The one that azd makes beside azure.yaml is called after the folder; its own environment holds no code."""
    assert "*_env" in (ROOT / ".funcignore").read_text().splitlines()
    assert {".azure/", "*_env/"} <= set((ROOT / ".gitignore").read_text().splitlines())
