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

from .apps import APP, MAIN, ROOT
from .az import written
from .bicep import INFRA, Expression, read
from .test_bicep import SCHEMA, VERSIONS

AZURE: dict[str, Any] = yaml.safe_load((ROOT / "azure.yaml").read_text())
HOOK = INFRA / "hooks/subscribe-webhook.sh"
WINDOWS_HOOK = HOOK.with_suffix(".ps1")
SUBSCRIPTION = "Microsoft.EventGrid/systemTopics/eventSubscriptions"
PARAMETERS = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
# The webhook is in use, and Azure answers; what `az` is asked for goes to standard error.
AZD = 'azd() { case "$3" in EVENTS_TO) echo webhook;; *) echo "the-$3";; esac; }\nsleep() { echo "slept $1"; }\n'
AZ = (
    'az() { echo "$*" >&2; case "$1" in functionapp) echo secret-key;; '
    "eventgrid) printf 'the-topic\\tthe-account\\n';; rest) cat >&2;; esac; }\n"
)


def run_hook(shell: str) -> subprocess.CompletedProcess[str]:
    """Run the hook where some commands are functions of the shell."""
    script = f"{shell}\n{HOOK.read_text()}"
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False, timeout=60)


def body_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return what the hook sends."""
    return dict(json.JSONDecoder().raw_decode(done.stderr.partition("--body @-\n")[2])[0])


def test_the_services_are_the_apps() -> None:
    """The same code for each: a function app in Python, whose packages Azure installs; with one app there is one."""
    three, one = MAIN.choices("appNames")
    condition = {"condition": PARAMETERS["separateApps"]["value"]}  # what the parameter is read from
    service = {"project": ".", "language": "python", "host": "function", "remoteBuild": True}
    assert AZURE["services"] == {name: service | ({} if name in one else condition) for name in three}
    assert (AZURE["name"], AZURE["infra"]) == ("dicom-dropbox", {"provider": "bicep", "path": "infra"})
    assert re.fullmatch(r">= \d+\.\d+\.\d+", AZURE["requiredVersions"]["azd"])
    # A group is found by the environment's name, and each app in it by its service's.
    assert MAIN.body("group")["tags"] == MAIN.variable("tags") == {"azd-env-name": Expression("environmentName")}
    assert APP.body("app")["tags"] == {"azd-service-name": Expression("name")}
    # The virtual environment that azd makes is called after the folder; its own environment holds no code.
    assert "*_env" in (ROOT / ".funcignore").read_text().splitlines()
    assert {".azure/", "*_env/"} <= set((ROOT / ".gitignore").read_text().splitlines())


def test_another_machine_has_the_parameters_back() -> None:
    """By `azd env refresh`, which knows outputs alone: each parameter is one, but for the name it is called with."""
    variables = {re.findall(r"^\$\{([A-Z_]+)", one["value"])[0]: name for name, one in PARAMETERS.items()}
    outputs = dict(re.findall(r"^output (\w+) \w+ = (\w+)$", MAIN.text, re.MULTILINE))
    expected = {variable: name for variable, name in variables.items() if variable != "AZURE_ENV_NAME"}
    assert {name: outputs.get(name) for name in expected} == expected


def test_the_hooks_can_be_run_and_ask_for_outputs_that_there_are() -> None:
    run = {"posix": ("sh", HOOK), "windows": ("pwsh", WINDOWS_HOOK)}
    assert AZURE["hooks"]["postdeploy"] == {
        system: {"shell": shell, "run": str(hook.relative_to(ROOT))} for system, (shell, hook) in run.items()
    }
    assert os.access(HOOK, os.X_OK)
    asked = set(re.findall(r"value ([A-Z_]+)", HOOK.read_text()))
    assert asked == set(re.findall(r"Get-Value ([A-Z_]+)", WINDOWS_HOOK.read_text()))
    assert set() < asked <= {one.name for one in MAIN.of_kind("output")}


def test_the_hook_does_nothing_where_the_queue_is_in_use() -> None:
    done = run_hook("azd() { [ \"$*\" = 'env get-value EVENTS_TO' ] && echo queue; }; az() { echo called; }")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("az", "told"),
    [
        ("azd() { echo no such key >&2; return 1; }", "no such key"),
        ("command() { return 1; }", "The Azure CLI (az) is not installed"),
        ("az() { [ $1 != account ]; }", "is not logged in to the subscription the-AZURE_SUBSCRIPTION_ID"),
        ("az() { :; }", "The app the-INGEST_APP has no key of the blob trigger yet"),
        *(
            (f"az() {{ case $1 in functionapp) echo key;; {group}) echo refused >&2; return 3;; esac; }}", "refused")
            for group in ("eventgrid", "rest", "resource")
        ),
    ],
)
def test_the_hook_fails_loudly(az: str, told: str) -> None:
    """It says what failed, that files now wait for the sweep, and how to repeat it; azd fails as well."""
    done = run_hook(f"{AZD}az() {{ :; }}\n{az}")
    assert done.returncode != 0
    assert told in done.stderr
    assert "Only the sweep finds new files" in done.stderr
    assert done.stderr.rstrip().endswith("azd hooks run postdeploy")
    assert told.endswith("yet") == ("slept 10" in done.stdout)


def test_the_hook_waits_for_a_host_that_starts(tmp_path: Path) -> None:
    """Azure answers the question for its keys with an error meanwhile, and then with none."""
    asked = tmp_path / "asked"
    done = run_hook(
        f'{AZD}az() {{ case "$1" in functionapp) echo >> {asked}; '
        f'case "$(wc -l < {asked})" in 1) echo ServiceUnavailable >&2; return 1;; 2) ;; *) echo secret-key;; esac;; '
        "eventgrid) printf 'the-topic\\tthe-account\\n';; rest) cat;; esac; }"
    )
    assert done.returncode == 0, done.stderr
    assert asked.read_text() == "\n\n\n"
    assert "&code=secret-key" in done.stdout


def test_the_hook_subscribes_as_the_queue_is_subscribed() -> None:
    """But for the events, which come by one of the two, and for where they go; the key is printed nowhere."""
    done = run_hook(AZD + AZ)
    assert done.returncode == 0, done.stderr
    assert "secret-key" not in done.stdout
    here = "--subscription the-AZURE_SUBSCRIPTION_ID -g the-RESOURCE_GROUP"  # az may be set to another one than azd
    assert f"functionapp keys list {here} -n the-INGEST_APP" in done.stderr
    assert f"system-topic show {here} -n the-EVENT_TOPIC" in done.stderr
    made, version = "the-topic/eventSubscriptions/store-on-upload", VERSIONS[SUBSCRIPTION]
    assert f"rest --method put --url {made}?api-version={version} -o none --body @-\n" in done.stderr
    # Event Grid asks the app whether it wants the events, and may be told no, only after it has answered.
    wait = f"resource wait --subscription the-AZURE_SUBSCRIPTION_ID --ids {made} --api-version {version} --created"
    assert f"\n{wait} --interval 5 --timeout 300\n" in done.stderr
    address = "the-INGEST_URL/runtime/webhooks/blobs?functionName=Host.Functions.store_on_upload&code=secret-key"
    by_queue = read(INFRA / "modules/event-grid.bicep").body("arrivals")["properties"]
    del by_queue["deliveryWithResourceIdentity"]
    by_queue["filter"]["includedEventTypes"] = ["Microsoft.Storage.BlobCreated"]
    buried = by_queue["deadLetterWithResourceIdentity"]["deadLetterDestination"]["properties"]
    buried["resourceId"] = "the-account"
    destination = {"endpointType": "WebHook", "properties": {"endpointUrl": address}}
    assert body_of(done) == {"properties": by_queue | {"destination": destination}}  # no location: it is refused
    known = SCHEMA[SUBSCRIPTION]["properties"]["destination"]
    assert "WebHook" in known["endpointType"]
    assert "endpointUrl" in known["properties"]


def test_windows_subscribes_to_the_same() -> None:
    """With the same commands and the same body."""
    script = WINDOWS_HOOK.read_text()
    [body] = re.findall(r'@"\n(.*?)\n"@', script, re.DOTALL)
    known = {"key": "secret-key", "url": "the-INGEST_URL", "account": "the-account"}
    assert json.loads(re.sub(r"\$\{?(\w+)\}?", lambda name: known[name[1]], body)) == body_of(run_hook(AZD + AZ))
    posix, windows = (
        [(one.name, one.options) for one in written() if one.page == str(hook.relative_to(ROOT))]
        for hook in (HOOK, WINDOWS_HOOK)
    )
    assert windows == posix
    assert script.count("$LASTEXITCODE") >= len(windows)
