"""What is made in infra/, and what each app may do with it: no more than its work takes.

tests/e2e/test_granted_rights.py runs each app with these rights: they are enough, and none of them is unused.
"""

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

from .apps import ACCESS, MAIN, ROOT, folder_of, granted, queue_roles
from .bicep import INFRA, Expression, read

ROLES, DATA = read(INFRA / "access.bicep"), read(INFRA / "modules/data-storage.bicep")
# The rights of each app: whoever changes infra/ changes them here as well, and says why.
CONTAINERS: dict[str, dict[str, str]] = {
    "ingest": {
        **dict.fromkeys((DEFAULT_INBOX, ARCHIVE, QUARANTINE, QUARANTINE_REASONS, REPLACED), "change"),
        **dict.fromkeys((RECEIPTS, CONTROL), "keep"),
        **dict.fromkeys((VAULT, RETENTION_STATE, DEAD_LETTERS), "read"),
        ACCESS_AUDIT: "append",
    },
    "lookups": {ACCESS_AUDIT: "append"},
    "retention": {
        RETENTION_POLICY: "read",
        VAULT: "add",
        RETENTION_RECORDS: "keep",
        RETENTION_STATE: "change",
        ACCESS_AUDIT: "append",
    },
}
QUEUES = {
    "ingest": {
        **{name: ["take"] for name in (queues.ARRIVALS, queues.ARRIVALS_POISON, queues.BLOB_POISON)},
        **{name: ["send", "read"] for name in (queues.PARKED, queues.FOREIGN_POISON)},
    },
    "lookups": {},
    "retention": {queues.ARRIVALS: ["send"]},
}
# No app both stores and deletes at the DICOM service; only retention has tables.
OTHERS = {"ingest": (["store"], False), "lookups": (["read"], False), "retention": (["purge"], True)}
BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers"
INSTANCES = "Microsoft.HealthcareApis/workspaces/dicomservices/resources"
MAY = {
    "append": {"blobs/add/action"},
    "add": {"blobs/read", "blobs/add/action"},
    "keep": {"blobs/read", "blobs/add/action", "blobs/write"},
    "change": {"blobs/read", "blobs/add/action", "blobs/write", "blobs/delete"},
}
# Commands of a person, under that person's identity.
OPERATORS = ("store_on_upload/reconcile/", "purge_study/preview/")

in_each_app = pytest.mark.parametrize("app", list(ACCESS))


@in_each_app
def test_an_app_has_these_rights_and_no_others(app: str) -> None:
    assert granted(app) == CONTAINERS[app]
    assert queue_roles(app) == QUEUES[app]
    assert (ACCESS[app]["dicom"], ACCESS[app]["tables"]) == OTHERS[app]


@in_each_app
def test_an_app_may_use_no_container_that_its_code_does_not_name(app: str) -> None:
    """But for the record of accesses, which `shared` writes."""
    paths = {str(path.relative_to(ROOT)): path for path in (ROOT / folder_of(app)).rglob("*.py")}
    code = "\n".join(path.read_text() for name, path in paths.items() if not name.startswith(OPERATORS))
    constants = {value: name for name, value in vars(settings).items() if name.isupper() and value in OWN_CONTAINERS}
    named = {value for value, name in constants.items() if re.search(rf"\b{name}\b", code)}
    assert set(granted(app)) - {DEFAULT_INBOX, ACCESS_AUDIT} <= named


def test_all_containers_and_queues_are_made() -> None:
    """For no app may make one; of the immutable records only what is appended to may grow."""
    records = read(INFRA / "modules/records-storage.bicep").variable("containers")
    assert {item["name"]: item["appends"] for item in records} == {RETENTION_RECORDS: False, ACCESS_AUDIT: True}
    on_records = {RETENTION_RECORDS, ACCESS_AUDIT}
    assert set(DATA.variable("containers")) == {DEFAULT_INBOX, *OWN_CONTAINERS} - on_records
    constants = {value for name, value in vars(queues).items() if name.isupper() and isinstance(value, str)}
    assert set(DATA.variable("queues")) == constants


def test_each_folder_is_run_by_one_app() -> None:
    assert [folder for app in ACCESS.values() for folder in app["functions"]] == list(FUNCTION_FOLDERS)


def test_roles_of_our_own_have_the_actions_that_they_are_named_for() -> None:
    blobs = {name: set(role["dataActions"]) for name, role in ROLES.variable("blobRoles").items()}
    assert blobs == {name: {f"{BLOBS}/{action}" for action in actions} for name, actions in MAY.items()}
    assert all(role["actions"] == [f"{BLOBS}/read"] for role in ROLES.variable("blobRoles").values())
    dicom = {name: set(role["dataActions"]) for name, role in ROLES.variable("dicomRoles").items()}
    of_dicom = {"store": ("read", "write"), "purge": ("read", "delete")}
    assert dicom == {name: {f"{INSTANCES}/{verb}" for verb in verbs} for name, verbs in of_dicom.items()}
    # Senders get a role that deletes nothing, which the page about senders gives.
    sender = MAIN.variable("output SENDER_ROLE").text.removeprefix("ownBlobRoles.outputs.roleIds.")
    assert "blobs/delete" not in MAY[sender]
    feeding = (ROOT / "docs/feeding-the-inbox.md").read_text()
    assert "az role assignment create --role $SENDER_ROLE --assignee" in feeding


def test_the_vault_and_the_archive_are_emptied() -> None:
    """By rules for the code's containers; quarantine and copies are not, and the policy keeps its versions."""
    rules = {rule.pop("name"): rule for rule in DATA.variable("rules")}
    assert {name: rule["containers"] for name, rule in rules.items()} == {
        "empty-archive": [f"{ARCHIVE}/"],
        "empty-vault": [f"{VAULT}/"],
    }
    assert rules["empty-vault"]["days"] == Expression("vaultDays")
    assert rules["empty-vault"]["types"] == ["blockBlob", "appendBlob"]  # both kinds, as copies are written
    assert "blobTypes: rule.types\n" in DATA.text
    assert set(re.findall(r"\benabled: (\w+)", DATA.text)) == {"true"}
    versions = DATA.variable("dropVersions")["definition"]
    assert set(versions["actions"]) == {"version"}
    dropped = {name.rstrip("/") for name in versions["filters"]["prefixMatch"]}
    assert dropped == set(DATA.variable("containers")) - {ARCHIVE, VAULT, RETENTION_POLICY, DEAD_LETTERS}
