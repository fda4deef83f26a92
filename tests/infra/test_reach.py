"""What the code can reach is written where the other tests of this folder read it: outright, and in one way each."""

from __future__ import annotations

import ast
import inspect
import re
from collections import defaultdict

import pytest
from azure.storage.blob.aio import BlobClient, BlobLeaseClient, BlobServiceClient, ContainerClient

from shared import queues, settings
from shared.queues import Queues
from shared.settings import FUNCTION_FOLDERS, OWN_CONTAINERS

from .apps import ACCESS, folder_of, granted, modules
from .test_rights import VERBS

CODE = {name: text for folder in ("shared", *FUNCTION_FOLDERS) for name, text in modules(folder).items()}
TREES = {name: ast.parse(text) for name, text in CODE.items()}
CALLS: dict[str, list[tuple[str, ast.Call]]] = defaultdict(list)
for _module, _tree in TREES.items():
    for _node in ast.walk(_tree):
        if isinstance(_node, ast.Call):
            CALLS[ast.unparse(_node.func).rpartition(".")[2]].append((_module, _node))
BLOBS = (BlobClient, BlobLeaseClient, BlobServiceClient, ContainerClient)
# Of the libraries, what changes nothing. Whatever else they can do, now or in a later version, does.
HARMLESS = re.compile(r"get_|list_|exists|download_|query_|walk_|find_|from_|read_|peek_|close$|url$|send_request$")
# Ours, to which a module gives the blob or the container that is changed.
OURS_CHANGE = re.compile(r"\b(?:upload_json|upload_once|held|copy_verified|copy_to_quarantine)\(")
CONTAINERS = {value: name for name, value in vars(settings).items() if name.isupper() and value in OWN_CONTAINERS}


def changing() -> set[str]:
    """Return the methods of the SDK's clients that change something of a blob."""
    methods = {name for kind in BLOBS for name, _ in inspect.getmembers(kind, callable) if name[0] != "_"}
    return {name for name in methods if not HARMLESS.match(name)}


def calls(name: str) -> list[tuple[str, ast.Call]]:
    """Return the calls of functions or methods of this name, each with its module."""
    return CALLS.get(name, [])


def test_what_changes_a_blob_is_known_for_it() -> None:
    """Each method of the SDK's by which the code could; `test_rights.py` knows who does, and where."""
    known = "|".join(verb.pattern for verb in VERBS.values())
    # Names that other things have as well.
    others = {"renew", "release", "acquire", "upload"}
    leases = {"shared/leases.py", "store_on_upload/files/moving.py"}  # one takes leases; the other ends a copy
    for method in sorted(changing() - others):
        called = re.compile(rf"\.{method}\(")
        users = {name for name, text in CODE.items() if called.search(text)}
        if not re.search(known, f".{method}("):
            assert users <= leases, (method, users)
    assert not [name for name, text in CODE.items() if "BlobLeaseClient(" in text]  # in place of `acquire_lease`


def test_a_container_is_named_outright() -> None:
    """By its constant, or by a parameter that was given one: no literal, and no client by another way."""
    for module, call in calls("container"):
        [argument] = call.args
        named = ast.unparse(argument)
        assert named in CONTAINERS.values() or (named == named.lower() and '"' not in ast.unparse(call)), (
            module,
            named,
        )
    for method in ("get_container_client", "create_container", "create_queue", "create_table"):
        assert {module for module, _ in calls(method)} <= {"shared/storage.py", "shared/queues.py"}, method


@pytest.mark.parametrize("app", list(ACCESS))
def test_what_an_app_may_only_read_is_named_only_where_nothing_is_changed(app: str) -> None:
    """Neither by the SDK nor by a function of ours."""
    texts = modules(folder_of(app))
    for container, role in granted(app).items():
        if role == "read":
            constant = CONTAINERS[container]
            users = {name: text for name, text in texts.items() if re.search(rf"\b{constant}\b", text)}
            assert users, container
            for name, text in users.items():
                changes = [verb for verb in (*VERBS.values(), OURS_CHANGE) if verb.search(text)]
                assert not changes, (name, container)


def test_what_is_a_modules_own_is_used_by_nobody_else() -> None:
    """So that a function which changes what it is given is known by its name."""
    for module, tree in TREES.items():
        imported = [one.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for one in node.names]
        assert not [name for name in imported if name[0] == "_"], module


def test_who_sends_to_which_queue() -> None:
    """Through the methods of `Queues`, of which all but `send` are for ingest."""
    for method in {name for name in vars(Queues) if name[0] != "_"} - {"send"}:
        users = {module for module, call in calls(method) if "queues" in ast.unparse(call.func).lower()}
        assert all(module.startswith("store_on_upload/") for module in users), method
    for method in ("get_queue_client", "send_message", "receive_messages", "clear_messages", "delete_queue"):
        assert {module for module, _ in calls(method)} <= {"shared/queues.py"}, method


def test_tables_are_retentions() -> None:
    """However they are come by."""
    users = {name for name, text in CODE.items() if re.search(r"\.tables\b|\bTable(Service)?Client\b", text)}
    assert {name for name in users if not name.startswith("purge_study/")} <= {"shared/storage.py", "shared/clients.py"}


def test_triggers_are_fed_from_where_infra_says() -> None:
    """Queues by their constants, of the account of the files; without a key one may ask for health alone."""
    queue_names = {name for name, value in vars(queues).items() if name.isupper() and isinstance(value, str)}
    fed = [*calls("queue_trigger"), *calls("blob_trigger")]
    assert len(fed) > 3
    for module, call in fed:
        given = {one.arg: ast.unparse(one.value) for one in call.keywords}
        assert given["connection"] == "STORAGE_CONNECTION", module
        assert given.get("queue_name") in {None, *queue_names}, module
    for module, call in calls("route"):
        levels = [ast.unparse(one.value) for one in call.keywords if one.arg == "auth_level"]
        if module.startswith("query_api/"):
            assert levels == ["_AUTH_LEVEL"]
        else:
            assert levels == (["func.AuthLevel.ANONYMOUS"] if module.startswith("shared/health/") else []), module


def test_events_are_written_outright() -> None:
    """Their names, and how bad they are: or no test could tell which have an alert."""
    assert not [
        name for name, text in CODE.items() if re.search(r"import events\b|shared\.events as|events\.event\(", text)
    ]
    for module, call in [*calls("event"), *calls("failed"), *calls("_run")]:
        if not isinstance(call.func, ast.Name):
            continue  # of an object of its own
        name, *_ = call.args
        is_passed_on = module in ("shared/events.py", "store_on_upload/blueprint.py")
        assert is_passed_on or (isinstance(name, ast.Constant) and isinstance(name.value, str)), (module, call.lineno)
        levels = [one.value for one in call.keywords if one.arg == "level"]
        words = {word for level in levels for word in re.findall(r"\blogging\.(\w+)", ast.unparse(level))}
        assert words <= {"INFO", "WARNING", "ERROR"}, (module, call.lineno)
        assert not any(isinstance(level, ast.Constant) for level in levels), (module, call.lineno)


def test_nobody_but_the_client_asks_the_dicom_service_to_change() -> None:
    """By its methods, which `test_rights.py` looks for; a request that somebody makes himself is a GET."""
    made = [(module, call) for module, call in calls("Request") if not module.startswith("shared/dicomweb/")]
    methods = [call.args[1] for _, call in made if len(call.args) > 1]
    methods += [one.value for _, call in made for one in call.keywords if one.arg == "method"]
    assert {ast.unparse(method) for method in methods} == {"'GET'"}
