"""An app that runs one folder of functions: nothing of the others can be reached."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from azure.data.tables import TableServiceClient
from azure.storage.queue import QueueServiceClient

from local.azurite import Azurite
from local.commands import ROOT
from local.ports import Ports
from local.stack import Stack
from query_api.routes import ROUTES
from shared.queues import ARRIVALS, ARRIVALS_POISON, BLOB_POISON
from shared.settings import ACCESS_AUDIT, FUNCTION_FOLDERS
from tests.kit.drop_box import DropBox, Instance, make_instance
from tests.kit.host_messages import storage_event
from tests.kit.stack_service import Service

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
APPROVAL_KEY = "0123456789abcdef"
REPLAY_KEY = "fedcba9876543210"
QUEUES = (ARRIVALS, ARRIVALS_POISON, BLOB_POISON)
# Without it there is no probe. It is not due while the tests run.
PROBE_SCHEDULE = "0 0 0 29 2 *"
LIST = """
import json, function_app
bindings = {function.get_function_name(): function.get_dict_repr()["bindings"] for function in
            function_app.app.get_functions()}
print(json.dumps(bindings, default=str))
"""


def functions(enabled: str) -> dict[str, list[dict[str, Any]]]:
    """Return the functions of an app by name, with their bindings."""
    environment = {**os.environ, "ENABLED_FUNCTIONS": enabled, "PROBE_SCHEDULE": PROBE_SCHEDULE}
    command = [sys.executable, "-W", "ignore", "-c", LIST]
    output = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout
    found: dict[str, list[dict[str, Any]]] = json.loads(output)
    return found


def declared(kind: str) -> set[str]:
    """Return the functions that the folders' blueprints declare as routes or triggers, registered or not."""
    trees = (ast.parse((ROOT / folder / "blueprint.py").read_text()) for folder in FUNCTION_FOLDERS)
    return {
        node.name
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.AsyncFunctionDef)
        and any(re.match(rf"blueprint\.(\w+_)?{kind}\(", ast.unparse(one)) for one in node.decorator_list)
    }


@pytest.fixture(scope="module")
def of_each_folder() -> dict[str, set[str]]:
    """The names of the functions of each folder, without the health routes, which are everywhere."""
    health = set(functions("nothing"))
    assert health == {"health_live", "health_ready"}
    return {folder: set(functions(folder)) - health for folder in FUNCTION_FOLDERS}


def test_an_app_runs_what_is_enabled(of_each_folder: dict[str, set[str]]) -> None:
    """Each function belongs to one folder; several may be enabled; without the setting, all are."""
    everything = set(functions("")) - {"health_live", "health_ready"}
    assert all(of_each_folder.values())
    assert sorted(name for names in of_each_folder.values() for name in names) == sorted(everything)
    both = set(functions("purge_study, store_on_upload"))
    assert both - {"health_live", "health_ready"} == everything - of_each_folder["query_api"]


def test_what_is_misspelt_runs_nothing(of_each_folder: dict[str, set[str]]) -> None:
    """Least of all everything."""
    assert set(functions("query-api purge")) == {"health_live", "health_ready"}
    assert set(functions("query_api purge")) - {"health_live", "health_ready"} == of_each_folder["query_api"]


@pytest.fixture(scope="module")
def lookups(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DropBox]:
    """An app for lookups alone, as infra/ sets it up: of storage it has the account of records.

    It has a study, a file, messages and a table before it, which its code could reach: here it is one account.
    """
    folder, ports = tmp_path_factory.mktemp("lookups"), Ports().chosen()
    settings = {
        "ENABLED_FUNCTIONS": "query_api",
        "DICOM_STORAGE": "",
        "RECORDS_STORAGE": Azurite(folder, first_port=ports.azurite).connection_string,
        "AUDIT": "required",
        "AUDIT_KEY": "a key of the tests",
        "APPROVAL_KEY": APPROVAL_KEY,
        "REPLAY_KEY": REPLAY_KEY,
        "PROBE_SCHEDULE": PROBE_SCHEDULE,
    }
    with Stack(folder, ports=ports, poll_seconds=0.25, settings=settings) as stack:
        box = DropBox(stack)
        with QueueServiceClient.from_connection_string(stack.connection_string) as queues:
            for name in QUEUES:
                queues.create_queue(name).send_message(json.dumps({"name": "instance.dcm"}))
        with TableServiceClient.from_connection_string(stack.connection_string) as tables:
            tables.create_table("ledger").create_entity({"PartitionKey": "a study", "RowKey": "1"})
        box.drop("instance.dcm", make_instance().content)
        yield box


def kept(box: DropBox) -> dict[str, list[object]]:
    """Return what is in storage, each version told from another: blobs, messages, rows; without the host's own.

    Of access records there may be more: the containers for these are left out.
    """
    containers = [one.name for one in box.storage.list_containers() if not one.name.startswith("azure-webjobs-")]
    found: dict[str, list[object]] = {
        name: [(blob.name, blob.etag) for blob in box.storage.get_container_client(name).list_blobs()]
        for name in containers
        if name != ACCESS_AUDIT
    }
    with QueueServiceClient.from_connection_string(box.stack.connection_string) as queues:
        for queue in queues.list_queues():
            messages = queues.get_queue_client(queue.name).peek_messages(32)
            found[queue.name] = [(message.id, message.dequeue_count, message.content) for message in messages]
    with TableServiceClient.from_connection_string(box.stack.connection_string) as tables:
        for table in tables.list_tables():
            rows = tables.get_table_client(table.name).list_entities()
            found[table.name] = [(dict(row), row.metadata["etag"]) for row in rows]
    return found


def url(box: DropBox, route: str, instance: Instance) -> str:
    """Return an address for a route, about an instance that is there."""
    named = {"study": instance.study, "series": instance.series, "instance": instance.sop, "frames": "1"}
    path = re.sub(r"\{(\w+)\}", lambda found: named.get(found[1], "1"), route)
    return f"{box.stack.app_url}/" + path.replace("{*path}", "nothing")


def test_lookups_alone_write_and_delete_nothing(lookups: DropBox, of_each_folder: dict[str, set[str]]) -> None:
    """Whatever route of the whole app is asked, by whatever method, and whatever trigger is fired.

    But for who saw what, which is what an app for lookups writes.
    """
    instance = make_instance()
    service = Service(lookups.stack)
    service.store(instance.content)
    before = kept(lookups)
    service.forget_requests()
    keys = {
        "x-functions-key": lookups.stack.master_key,
        "x-approval-key": APPROVAL_KEY,
        "x-replay-key": REPLAY_KEY,
    }
    asker: dict[str, Any] = {"headers": keys, "trust_env": False, "timeout": 30}
    own = of_each_folder["query_api"] | {"health_live", "health_ready"}
    routes: set[str] = set()
    triggers: set[str] = set()
    answered: set[str] = set()
    for name, bindings in functions("").items():
        [trigger] = [one for one in bindings if str(one["type"]).endswith("Trigger")]
        if trigger["type"] == "httpTrigger":
            routes.add(name)
            for method in METHODS:
                answer = httpx.request(method, url(lookups, trigger["route"], instance), **asker)
                if method not in ("GET", "HEAD"):
                    assert answer.status_code in (404, 405), (name, method)
                elif name not in own:
                    assert answer.status_code == 404, (name, method)
                elif answer.status_code == 200:
                    answered.add(name)
        else:
            triggers.add(name)
            with pytest.raises(httpx.HTTPStatusError, match="404"):
                lookups.stack.fire(name)
            # The door by which Event Grid calls a blob trigger.
            door = f"{lookups.stack.host_url}/runtime/webhooks/blobs?functionName=Host.Functions.{name}"
            headers, event = keys | {"aeg-event-type": "Notification"}, storage_event("instance.dcm")
            assert httpx.post(door, headers=headers, json=[event], trust_env=False).status_code == 404
    assert routes == {route.name for route in ROUTES} | declared("route") | {"health_live", "health_ready"}
    assert triggers == declared("trigger")
    assert len(answered) > 20, "lookups that find something are what could do harm"
    asked = service.requests()
    assert (asked["store"], asked["delete"]) == (0, 0)
    assert asked["search"] > 0
    assert asked["retrieve"] > 0
    assert kept(lookups) == before
    assert list(lookups.storage.get_container_client(ACCESS_AUDIT).list_blob_names())
    assert lookups.get(f"/studies/{instance.study}/metadata").status_code == 200
