"""What is made in infra/, and what each app may do with it: as much as its code does, and no more."""

from __future__ import annotations

import re

import pytest

from shared import queues, settings
from shared.settings import (
    ACCESS_AUDIT,
    ARCHIVE,
    CONTROL,
    DEAD_LETTERS,
    DEFAULT_INBOX,
    FUNCTION_FOLDERS,
    OWN_CONTAINERS,
    QUARANTINE,
    QUARANTINE_REASONS,
    RECEIPTS,
    REPLACED,
    RETENTION_POLICY,
    RETENTION_RECORDS,
    RETENTION_STATE,
    VAULT,
)

from .apps import ACCESS, ROOT, folder_of, granted, modules, queue_roles
from .bicep import INFRA, Expression, read

DATA, RECORDS = read(INFRA / "modules/data-storage.bicep"), read(INFRA / "modules/records-storage.bicep")
# It acts for each folder that records accesses.
ACCESS_LOG = "shared/auditing/access_log.py"
RECORDS_ACCESSES = re.compile(r"\b(?:answering\.answer_read|get_auditor)\(")
# Each module that changes blobs: what it does to which containers.
DEEDS: dict[str, dict[str, set[str]]] = {
    "store_on_upload/files/moving.py": {"write": {ARCHIVE, QUARANTINE}, "delete": {ARCHIVE, QUARANTINE, DEFAULT_INBOX}},
    "store_on_upload/files/quarantine.py": {"write": {QUARANTINE_REASONS}, "delete": {QUARANTINE_REASONS}},
    "store_on_upload/storing/keeping.py": {"write": {REPLACED}, "delete": {REPLACED}},
    "store_on_upload/storing/claim.py": {"write": {CONTROL}},
    "store_on_upload/receipts/container.py": {"write": {RECEIPTS}},
    "store_on_upload/probing/dropped.py": {
        "write": {DEFAULT_INBOX},
        "delete": {DEFAULT_INBOX, ARCHIVE, QUARANTINE},
    },
    "store_on_upload/sweeping/progress.py": {"write": {CONTROL}},
    ACCESS_LOG: {"append": {ACCESS_AUDIT}},
    "purge_study/night.py": {"write": {RETENTION_STATE}},
    "purge_study/planning/night_memory.py": {"write": {RETENTION_STATE}},
    "purge_study/lists/remembering.py": {"write": {RETENTION_STATE}},
    "purge_study/records/writing.py": {"write": {RETENTION_RECORDS}},
    "purge_study/records/pointers.py": {"write": {RETENTION_STATE}, "delete": {RETENTION_STATE}},
    "purge_study/executing/intents.py": {"write": {RETENTION_STATE}, "delete": {RETENTION_STATE}},
    "purge_study/executing/vault.py": {"append": {VAULT}},
}
ADDS = r"piece, overwrite=False\b"  # as the vault is written to, where nothing is overwritten
VERBS = {
    "write": re.compile(
        rf"\.upload_blob\((?!{ADDS})|\.(?:upload_blob_\w+|start_copy_from_url|stage_block\w*|commit_block_list)\("
        r"|\.set_(?:blob_metadata|blob_tags|http_headers)\(|\bupload_json\(|\bheld\("
    ),
    "append": re.compile(r"\.(?:append_block\w*|create_append_blob)\(|\.upload_blob\(" + ADDS),
    "delete": re.compile(r"\.delete_blobs?\("),
}
READS = re.compile(r"\.download_blob\(")
MAY = {
    "read": {"read"},
    "append": {"append"},
    "add": {"read", "append"},
    "keep": {"read", "append", "write"},
    "change": {"read", "append", "write", "delete"},
}
# What the folders' modules do it with; by themselves they do nothing.
TOOLS = {"shared/leases.py", "shared/small_blobs.py"}
# It asks to delete at the DICOM service, which the role of ingest does not allow: what a store left that died, with
# REPLACE_STUCK alone.
REFUSED_TO_INGEST = {"store_on_upload/storing/stuck.py"}

in_each_app = pytest.mark.parametrize("app", list(ACCESS))


def records_accesses(app: str) -> bool:
    """Return whether an app's code records accesses."""
    return any(RECORDS_ACCESSES.search(text) for text in modules(folder_of(app)).values())


def names_of(kind: str) -> set[str]:
    """Return the names of a list of data-storage.bicep."""
    return set(DATA.variable(kind))


def test_all_containers_are_made() -> None:
    """Each in the account where the code looks for it; those of records under a policy of immutability."""
    records = {item["name"]: item["appends"] for item in RECORDS.variable("containers")}
    assert set(records) == {RETENTION_RECORDS, ACCESS_AUDIT}
    assert names_of("containers") == {DEFAULT_INBOX, *OWN_CONTAINERS} - set(records)
    # Only what is appended to may be.
    appended = {container for deeds in DEEDS.values() for container in deeds.get("append", ())} & set(records)
    assert {name for name, appends in records.items() if appends} == appended


def test_all_queues_are_made() -> None:
    """For no app may make one."""
    constants = {value for name, value in vars(queues).items() if name.isupper() and isinstance(value, str)}
    assert names_of("queues") == constants


def test_each_folder_is_run_by_one_app() -> None:
    """So that each has the rights of its own work."""
    assert [folder for app in ACCESS.values() for folder in app["functions"]] == list(FUNCTION_FOLDERS)


@in_each_app
def test_an_app_may_use_the_containers_that_its_code_names(app: str) -> None:
    """And no other."""
    code = "\n".join(modules(folder_of(app)).values())
    constants = {value: name for name, value in vars(settings).items() if name.isupper() and value in OWN_CONTAINERS}
    named = {
        value
        for value, name in constants.items()
        if re.search(rf"^(from .*import.*|    )\b{name}\b", code, re.MULTILINE)
    }
    if re.search(r"\.inbox\b|dicom_inbox_container", code):
        named.add(DEFAULT_INBOX)
    if records_accesses(app):
        named.add(ACCESS_AUDIT)
    assert set(granted(app)) == named


def test_each_module_that_changes_blobs_is_known() -> None:
    """With what it does."""
    found = {
        name: {verb for verb, call in VERBS.items() if call.search(text)}
        for folder in ("shared", *FUNCTION_FOLDERS)
        for name, text in modules(folder).items()
    }
    known = {name: set(deeds) for name, deeds in DEEDS.items()} | {name: {"write"} for name in TOOLS}
    assert {name: deeds for name, deeds in found.items() if deeds} == known


@in_each_app
def test_an_app_may_do_to_blobs_what_its_code_does(app: str) -> None:
    """And no more: nothing may be deleted where nothing is, nor written where nothing is."""
    done: dict[str, set[str]] = {name: set() for name in granted(app)}
    for module, deeds in DEEDS.items():
        if module.startswith(folder_of(app)) or (module == ACCESS_LOG and records_accesses(app)):
            for verb, containers in deeds.items():
                for container in containers:
                    done[container] |= {verb} | ({"read"} if READS.search((ROOT / module).read_text()) else set())
    roles = {
        name: min((role for role in MAY if MAY[role] >= verbs), key=lambda role: len(MAY[role]))
        for name, verbs in done.items()
    }
    assert granted(app) == roles


@in_each_app
def test_an_app_may_use_the_queues_that_its_code_uses(app: str) -> None:
    """Take where a function is triggered, send where it only sends; what a person has to empty is counted."""
    texts = modules(folder_of(app))
    triggers = {vars(queues)[name] for text in texts.values() for name in re.findall(r"queue_name=(\w+)", text)}
    expected = {name: ["take"] for name in triggers}
    if any(re.search(r"\bQueues\(", text) for text in texts.values()):
        sent = names_of("queues") if app == "ingest" else {queues.ARRIVALS}
        expected = {name: ["send"] for name in sent} | expected
    for counted in re.findall(r"\bwaiting\(name\) for name in \(([\w, ]+)\)", "\n".join(texts.values())):
        for name in counted.split(", "):
            expected[vars(queues)[name]].append("read")
    assert queue_roles(app) == expected


@in_each_app
def test_an_app_may_use_tables_where_its_code_does(app: str) -> None:
    """The ledger is retention's."""
    assert ACCESS[app]["tables"] == any("clients.tables" in text for text in modules(folder_of(app)).values())


@in_each_app
def test_an_app_may_do_at_the_dicom_service_what_its_code_does(app: str) -> None:
    """No app both stores and deletes."""
    client = "shared/dicomweb/"  # what offers it does nothing by itself
    shared = {name: text for name, text in modules("shared").items() if not name.startswith(client)}
    texts = modules(folder_of(app)) | shared
    stores = {name for name, text in texts.items() if re.search(r"\.store_\w+\(", text)}
    deletes = {name for name, text in texts.items() if re.search(r"\.delete_(study|series|instance)\(", text)}
    if app == "ingest":
        assert deletes == REFUSED_TO_INGEST
        deletes = set()
    assert ACCESS[app]["dicom"] == (["store"] if stores else ["purge"] if deletes else ["read"])
    assert not (stores and deletes)


def test_roles_of_our_own_have_the_actions_that_they_are_named_for() -> None:
    """For blobs and for the DICOM service."""
    access = read(INFRA / "access.bicep")
    blobs = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
    of_blobs = {
        "read": f"{blobs}/read",
        "write": f"{blobs}/write",
        "append": f"{blobs}/add/action",
        "delete": f"{blobs}/delete",
    }
    for name, role in access.variable("blobRoles").items():
        assert set(role["dataActions"]) == {of_blobs[verb] for verb in MAY[name]}
        assert role["actions"] == ["Microsoft.Storage/storageAccounts/blobServices/containers/read"]
    dicom = "Microsoft.HealthcareApis/workspaces/dicomservices/resources"
    actions = {name: set(role["dataActions"]) for name, role in access.variable("dicomRoles").items()}
    assert actions == {
        "store": {f"{dicom}/read", f"{dicom}/write"},
        "purge": {f"{dicom}/read", f"{dicom}/delete"},
    }


def test_the_vault_and_the_archive_are_emptied() -> None:
    """By rules for the code's containers; quarantine and copies are not, and the policy keeps its versions."""
    rules = {rule["name"]: rule for rule in DATA.variable("rules")}
    assert rules["empty-archive"]["containers"] == [f"{ARCHIVE}/"]
    assert rules["empty-vault"]["containers"] == [f"{VAULT}/"]
    assert rules["empty-vault"]["days"] == Expression("vaultDays")
    assert rules["empty-vault"]["types"] == ["blockBlob", "appendBlob"]  # both kinds, as copies are written
    assert "blobTypes: rule.types\n" in DATA.text
    assert set(rules) == {"empty-archive", "empty-vault"}
    assert set(re.findall(r"\benabled: (\w+)", DATA.text)) == {"true"}
    versions = DATA.variable("dropVersions")["definition"]
    assert set(versions["actions"]) == {"version"}
    dropped = {name.rstrip("/") for name in versions["filters"]["prefixMatch"]}
    assert dropped == names_of("containers") - {ARCHIVE, VAULT, RETENTION_POLICY, DEAD_LETTERS}
