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

from .apps import ACCESS, folder_of, granted, modules, queue_roles
from .bicep import INFRA, Expression, read

DATA, RECORDS = read(INFRA / "modules/data-storage.bicep"), read(INFRA / "modules/records-storage.bicep")
# What each role of ours may do with blobs.
MAY = {
    "read": {"read"},
    "append": {"append"},
    "add": {"read", "append"},
    "keep": {"read", "append", "write"},
    "change": {"read", "append", "write", "delete"},
}
# The rights of each app: whoever changes infra/ changes them here as well, and says why.
CONTAINERS: dict[str, dict[str, str]] = {
    "ingest": {
        DEFAULT_INBOX: "change",
        ARCHIVE: "change",
        QUARANTINE: "change",
        QUARANTINE_REASONS: "change",
        REPLACED: "change",
        RECEIPTS: "keep",
        CONTROL: "keep",
        VAULT: "read",
        RETENTION_STATE: "read",
        DEAD_LETTERS: "read",
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
        queues.ARRIVALS: {"take"},
        queues.ARRIVALS_POISON: {"take"},
        queues.BLOB_POISON: {"take"},
        queues.PARKED: {"send", "read"},
        queues.FOREIGN_POISON: {"send", "read"},
    },
    "lookups": {},
    "retention": {queues.ARRIVALS: {"send"}},
}
DICOM = {"ingest": ["store"], "lookups": ["read"], "retention": ["purge"]}

in_each_app = pytest.mark.parametrize("app", list(ACCESS))


@in_each_app
def test_an_app_has_these_rights_and_no_others(app: str) -> None:
    """No app both stores and deletes at the DICOM service; only retention has tables."""
    found = ACCESS[app]
    assert granted(app) == CONTAINERS[app]
    assert {name: set(roles) for name, roles in queue_roles(app).items()} == QUEUES[app]
    assert (found["dicom"], found["tables"]) == (DICOM[app], app == "retention")


@in_each_app
def test_an_app_may_use_no_container_that_its_code_does_not_name(app: str) -> None:
    """But for the record of accesses, which `shared` writes."""
    code = "\n".join(modules(folder_of(app)).values())
    constants = {value: name for name, value in vars(settings).items() if name.isupper() and value in OWN_CONTAINERS}
    named = {value for value, name in constants.items() if re.search(rf"\b{name}\b", code)}
    assert set(granted(app)) - {DEFAULT_INBOX, ACCESS_AUDIT} <= named


def test_all_containers_are_made() -> None:
    """Each in its account; of the immutable records only what is appended to may grow."""
    records = {item["name"]: item["appends"] for item in RECORDS.variable("containers")}
    assert records == {RETENTION_RECORDS: False, ACCESS_AUDIT: True}
    assert names_of("containers") == {DEFAULT_INBOX, *OWN_CONTAINERS} - set(records)


def names_of(kind: str) -> set[str]:
    """Return the names of a list of data-storage.bicep."""
    return set(DATA.variable(kind))


def test_all_queues_are_made() -> None:
    """For no app may make one."""
    constants = {value for name, value in vars(queues).items() if name.isupper() and isinstance(value, str)}
    assert names_of("queues") == constants


def test_each_folder_is_run_by_one_app() -> None:
    """So that each has the rights of its own work."""
    assert [folder for app in ACCESS.values() for folder in app["functions"]] == list(FUNCTION_FOLDERS)


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
