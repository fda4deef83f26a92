"""azure.yaml and its hook, for `azd up`."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import Any

import yaml

from .bicep import INFRA, Expression, read
from .test_bicep import SCHEMA, VERSIONS

ROOT = INFRA.parent
AZURE: dict[str, Any] = yaml.safe_load((ROOT / "azure.yaml").read_text())
HOOK = INFRA / "hooks/subscribe-webhook.sh"
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


def test_the_hook_can_be_run() -> None:
    """It is there, may be executed, and the shell reads it; Windows says that there is something to run."""
    hook = AZURE["hooks"]["postdeploy"]
    assert hook["posix"] == {"shell": "sh", "run": str(HOOK.relative_to(ROOT))}
    assert str(HOOK.relative_to(ROOT)) in hook["windows"]["run"]
    assert os.access(HOOK, os.X_OK)
    subprocess.run(["sh", "-n", HOOK], check=True)


def test_the_hook_asks_for_outputs_that_there_are() -> None:
    """Of main.bicep, which azd keeps in its environment."""
    asked = set(re.findall(r"value ([A-Z_]+)", HOOK.read_text()))
    assert asked
    assert asked <= {one.name for one in read(INFRA / "main.bicep").of_kind("output")}


def test_the_hook_does_nothing_where_the_queue_is_in_use() -> None:
    """It asks azd how arrivals are told, and stops there."""
    shell = 'azd() { [ "$*" = "env get-value ARRIVALS" ] && echo queue; }; az() { echo called; }\n'
    script = shell + HOOK.read_text()
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == ""


def test_the_hook_subscribes_where_the_webhook_is_in_use() -> None:
    """With the app's key, which it prints nowhere."""
    done = subscribe()
    assert "secret-key" not in done.stdout
    here = "--subscription the-AZURE_SUBSCRIPTION_ID -g the-RESOURCE_GROUP"  # az may be set to another one than azd
    assert f"functionapp keys list {here} -n the-INGEST_APP" in done.stderr
    assert f"system-topic show {here} -n the-EVENT_TOPIC" in done.stderr
    made = f"--id the-topic/eventSubscriptions/store-on-upload --api-version {VERSIONS[SUBSCRIPTION]} -o none"
    assert f"resource create --subscription the-AZURE_SUBSCRIPTION_ID {made} --properties @-\n" in done.stderr


def test_the_webhooks_subscription_is_as_the_queues() -> None:
    """But for the events, which come by one of the two, and for where they go; and it has what Azure knows."""
    done = subscribe()
    properties = json.loads(done.stderr.rpartition("--properties @-\n")[2])
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
    buried["identity"]["userAssignedIdentity"] = "the-identity"
    buried["deadLetterDestination"]["properties"]["resourceId"] = "the-account"
    assert properties == by_queue


def subscribe() -> subprocess.CompletedProcess[str]:
    """Run the hook where the webhook is in use; what it asks `az` for is on standard error."""
    shell = (
        'azd() { case "$3" in ARRIVALS) echo webhook;; *) echo "the-$3";; esac; }\n'
        'az() { echo "$*" >&2; case "$1" in functionapp) echo secret-key;; '
        "eventgrid) printf 'the-topic\\tthe-account\\tthe-identity\\n';; resource) cat >&2;; esac; }\n"
    )
    return subprocess.run(["sh", "-c", shell + HOOK.read_text()], capture_output=True, text=True, check=True)


def test_no_virtual_environment_is_uploaded() -> None:
    """The one that azd makes beside azure.yaml is called after the folder; its own environment holds no code."""
    assert "*_env" in (ROOT / ".funcignore").read_text().splitlines()
    assert {".azure/", "*_env/"} <= set((ROOT / ".gitignore").read_text().splitlines())
