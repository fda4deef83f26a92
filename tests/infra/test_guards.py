"""What must hold for all of infra/: no keys, small roles, secrets that stay, apps that are apart."""

from __future__ import annotations

import re
from typing import Any

import pytest

from .apps import ACCESS, APP, MAIN, app_settings, given_to
from .bicep import INFRA, Expression, evaluate, files, made, read

E = Expression
STORAGE, VAULT, SITE = "Microsoft.Storage/storageAccounts", "Microsoft.KeyVault/vaults", "Microsoft.Web/sites"
SERVICE = "Microsoft.HealthcareApis/workspaces"
# As Azure has them, in every tenant.
ROLE_IDS = {
    "dicomDataReader": "e89c7a3c-2f64-4fa1-a847-3e4c9ba4283a",
    "storageBlobDataOwner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "storageBlobDataContributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "storageBlobDataReader": "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
    "storageQueueDataContributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "storageQueueDataMessageSender": "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a",
    "storageQueueDataReader": "19e7f393-937e-4f77-808e-94535e297925",
    "storageTableDataContributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
    "keyVaultSecretsUser": "4633458b-17de-408a-b874-0445c86b69e6",
    "monitoringMetricsPublisher": "3913510d-42f4-4e42-8a64-420c390055eb",
}
# What each role assignment gives.
GIVEN = {
    "app": {"onHostAccount": "role", "onInsights": "builtInRoles.monitoringMetricsPublisher"},
    "app-access": {
        "onContainer": "blobRoleIds[item.role]",
        "onQueue": "queueRoleIds[item.role]",
        "onSecret": "builtInRoles.keyVaultSecretsUser",
        "onTables": "builtInRoles.storageTableDataContributor",
        "onTheHostsQueue": "builtInRoles.storageQueueDataContributor",
    },
    "dicom-access": {"assignment": "roleIds[pair.role]"},
    "lake-access": {"onAccount": "builtInRoles.storageBlobDataContributor"},
    "event-grid-access": {
        "maySend": "builtInRoles.storageQueueDataMessageSender",
        "mayBury": "builtInRoles.storageBlobDataContributor",
    },
}
IS_PUBLIC = E("isClosed ? 'Disabled' : 'Enabled'")
CLOSED = {"defaultAction": E("isClosed ? 'Deny' : 'Allow'"), "bypass": "AzureServices"}
# What each resource of a type has, by its path in `properties` or, with a dot before it, in the resource.
OF_EVERY: list[tuple[str, str, str, Any]] = [
    ("nothing gets in by a key", STORAGE, "allowSharedKeyAccess", False),
    ("nothing is public", STORAGE, "allowBlobPublicAccess", False),
    ("nothing leaves the tenant", STORAGE, "allowCrossTenantReplication", False),
    ("nothing is in clear", STORAGE, "supportsHttpsTrafficOnly", True),
    ("nothing is in clear", STORAGE, "minimumTlsVersion", "TLS1_2"),
    ("closed to all but Event Grid, which has no private endpoint", STORAGE, "networkAcls", CLOSED),
    ("nothing is sent by a key", "Microsoft.Insights/components", "DisableLocalAuth", True),
    ("secrets are read by roles", VAULT, "enableRbacAuthorization", True),
    ("nobody deletes secrets for good: without LEDGER_KEY the ledger is lost", VAULT, "enablePurgeProtection", True),
    ("deleted secrets come back", VAULT, "enableSoftDelete", True),
    ("for 90 days", VAULT, "softDeleteRetentionInDays", 90),
    ("no password deploys", f"{SITE}/basicPublishingCredentialsPolicies", "allow", False),
    ("versions of the API ask for it", f"{SITE}/basicPublishingCredentialsPolicies", ".location", E("location")),
    ("nothing is in clear", SITE, "httpsOnly", True),
    ("secrets are read by the app's own identity", SITE, "keyVaultReferenceIdentity", E("identity.id")),
    ("Flex Consumption refuses what other plans have", SITE, "siteConfig", None),
    ("Azure's Python", SITE, "functionAppConfig.runtime", {"name": "python", "version": "3.13"}),
    ("a plan of its own, as Flex Consumption asks for", SITE, "serverFarmId", E("plan.id")),
    ("that plan", "Microsoft.Web/serverfarms", ".sku", {"name": "FC1", "tier": "FlexConsumption"}),
    ("closed", SERVICE, "publicNetworkAccess", IS_PUBLIC),
    ("closed", f"{SERVICE}/dicomservices", "publicNetworkAccess", IS_PUBLIC),
    *(
        (
            "what is deleted comes back",
            f"{STORAGE}/blobServices",
            policy,
            {"enabled": True, "days": E("softDeleteDays")},
        )
        for policy in ("deleteRetentionPolicy", "containerDeleteRetentionPolicy")
    ),
    *(
        (
            "records stay, and only one that is appended to grows",
            f"{STORAGE}/blobServices/containers/{kind}",
            path,
            E(value),
        )
        for kind, path, value in (
            ("immutabilityPolicies", "immutabilityPeriodSinceCreationInDays", "recordsDays"),
            ("immutabilityPolicies", "allowProtectedAppendWrites", "item.appends"),
            ("immutabilityPolicies", ".parent", "container[index]"),
        )
    ),
]
LAKE = "{ storageResourceId: lakeAccountId, fileSystemName: lakeContainer }"
LAKE_IDENTITY = "{ type: 'UserAssigned', userAssignedIdentities: { '${identityId}': {} } }"
GRANTED = ("dataContainers", "recordsContainers", "queues", "tables", "secrets")
WEBHOOK = "eventsTo == 'webhook' && contains(granted[name].functions, 'store_on_upload')"
# (file, path from a declaration on, what is there)
FACTS: list[tuple[str, str, Any]] = [
    # Handed on under another name.
    ("main", "apps.params.subnetId", E("privateNetwork ? network!.outputs.appsSubnetId : ''")),
    ("main", "dicom.params.partitions", E("dicomPartitions")),
    ("main", "endpoints.params.isHierarchical", E("sftp")),
    ("main", "network.params.addresses", E("networkRange")),
    ("main", "data.params.sku", E("storageSku")),
    ("main", "records.params.sku", E("storageSku")),
    ("main", "records.params.lockedContainers", E("recordsLocked")),
    *(("main", f"{module}.params.isLocked", E("deletionLocks")) for module in ("data", "records", "dicom")),
    ("main", "deletionLocks", True),
    # Each app has its own rights and functions, and no other's; where there is one app, it has everybody's.
    ("main", "granted", ACCESS | {"ingest": E("separateApps ? access.ingest : everything")}),
    *(("main", f"appAccess.params.{name}", E(f"granted[name].{name}")) for name in GRANTED),
    ("main", "appAccess.params.takesWebhook", E(WEBHOOK)),
    ("main", "appAccess.params.principalId", E("identities[index].outputs.principalId")),
    ("main", "apps.params.functions", E("join(granted[name].functions, ' ')")),
    ("main", "apps.params.identityName", E("identities[index].outputs.name")),
    ("main", "apps.params.settings", E("union(serviceSettings, settings[name])")),
    # A reference to a secret that cannot be read stays so for a day.
    ("main", "apps.dependsOn", [E("appAccess")]),
    ("modules/app", "appSettings.dependsOn", [E("noPassword")]),
    # Azure refuses a locked policy a second time; a container that is not named gets its policy.
    ("modules/records-storage", "locked", E("split(lockedContainers, ',')")),
    ("main", "recordsLocked", ""),
    ("modules/workspace", "workspace.properties.features", {"disableLocalAuth": True}),
    # An account with a hierarchical namespace has no versions.
    ("modules/data-storage", "blobService.properties.isVersioningEnabled", E("!sftp")),
    # A new DICOM service may keep its files in a data lake.
    ("modules/dicom", "service.properties.storageConfiguration", E(f"hasLake ? {LAKE} : null")),
    ("modules/dicom", "service.identity", E(f"hasLake ? {LAKE_IDENTITY} : null")),
    ("modules/dicom", "hasLake", E("!empty(lakeAccountId)")),
    ("main", "dicom.params.lakeAccountId", E("dicomLakeAccountId")),
    ("main", "dicom.params.lakeContainer", E("dicomLakeContainer")),
    ("main", "dicom.params.identityId", E("dicomHasLake ? dicomIdentity!.outputs.id : ''")),
    ("main", "lakeAccess.params.principalId", E("dicomIdentity!.outputs.principalId")),
    ("main", "dicomHasLake", E("dicomIsNew && !empty(dicomLakeAccountId)")),
    ("main", "dicomLakeAccountId", ""),
    # Roles have the ids that Azure gave them.
    ("access", "builtInRoles", ROLE_IDS),
    ("modules/app", "hostRoles", [
        ROLE_IDS[f"storage{name}"] for name in ("BlobDataOwner", "QueueDataContributor", "TableDataContributor")
    ]),
    ("modules/app-access", "queueRoleIds", {
        "take": ROLE_IDS["storageQueueDataContributor"],
        "send": ROLE_IDS["storageQueueDataMessageSender"],
        "read": ROLE_IDS["storageQueueDataReader"],
    }),
    *(
        ("main", f"{module}.params", {
            "environmentName": E("environmentName"),
            "kind": kind,
            "roles": read(INFRA / "access.bicep").variable(roles),
            "readerId": ROLE_IDS[reader],
        })
        for module, kind, roles, reader in (
            ("ownBlobRoles", "blobs", "blobRoles", "storageBlobDataReader"),
            ("ownDicomRoles", "dicom", "dicomRoles", "dicomDataReader"),
        )
    ),
]  # fmt: skip
SLOW = {"monitoring", "data", "records", "keys", "dicom"}
# (module of main.bicep, why it waits, modules that are made before it)
MADE_BEFORE: list[tuple[str, str, set[str]]] = [
    ("appAccess", "a new role is not known everywhere at once", SLOW | {"ownBlobRoles"}),
    ("dicomAccess", "a new role is not known everywhere at once", SLOW | {"ownDicomRoles"}),
    ("blanking", "a new workspace may not have the tables yet", {"monitoring", "apps"}),
    ("dicom", "its identity has its role before the service is made", {"dicomIdentity", "lakeAccess"}),
]
# (file, what is made one by one, why)
ONE_BY_ONE = [
    ("modules/app", "noPassword", "Azure answers 409 to a second change of a site"),
    ("modules/private-endpoints", "endpoint", "an account refuses an endpoint while another is made"),
    ("main", "apps", "a subnet refuses an app while another is made in it"),
]


def at(given: Any, path: str) -> Any:
    """Return what is at a path in nested objects; None where nothing is."""
    for name in path.split("."):
        given = given.get(name) if isinstance(given, dict) else None
    return given


@pytest.mark.parametrize(
    ("kind", "path", "expected"), [r[1:] for r in OF_EVERY], ids=[f"{r[0]}: {r[2]}" for r in OF_EVERY]
)
def test_every_resource_of_a_type_has(kind: str, path: str, expected: Any) -> None:
    bodies = made(kind)
    assert bodies
    for file, body in bodies:
        found = at(body, path.removeprefix(".")) if path.startswith(".") else at(body["properties"], path)
        assert found == expected, file


@pytest.mark.parametrize(("file", "path", "expected"), FACTS, ids=[f"{file} {path}" for file, path, _ in FACTS])
def test_infra_says(file: str, path: str, expected: Any) -> None:
    source, (name, _, below) = read(INFRA / f"{file}.bicep"), path.partition(".")
    found = source.body(name) if below else source.variable(name)
    assert (at(found, below) if below else found) == expected


@pytest.mark.parametrize(
    ("module", "first"), [(m, f) for m, _, f in MADE_BEFORE], ids=[f"{m}: {w}" for m, w, _ in MADE_BEFORE]
)
def test_a_module_is_made_after_others(module: str, first: set[str]) -> None:
    assert waits_for(module) >= first
    assert waits_for("ownBlobRoles") == waits_for("ownDicomRoles") == set()


def waits_for(module: str) -> set[str]:
    """Return the modules of main.bicep that are made before another one."""
    body = (MAIN.object(MAIN.declarations[module]).text or b"").decode()
    body = re.sub(r"//.*|^\s*\w+: ", "", body, flags=re.MULTILINE)  # comments, and names of properties
    modules = {one.name for one in MAIN.of_kind("module")} - {module}
    named = {name for name in modules if re.search(rf"(?<![\w'-]){name}\b(?!')", body)}
    return named.union(*map(waits_for, named))


@pytest.mark.parametrize(("file", "name"), [row[:2] for row in ONE_BY_ONE], ids=[row[2] for row in ONE_BY_ONE])
def test_resources_are_made_one_by_one(file: str, name: str) -> None:
    assert read(INFRA / f"{file}.bicep").declarations[name].decorators["batchSize"] == [1]


def test_no_template_asks_for_a_key_or_names_a_role_by_its_id() -> None:
    for file in files():
        assert not re.search(r"list\w*Keys|\blistSecrets|AccountKey|SharedAccess|listCredentials", file.text), file
        assert file.path.stem == "access" or not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", file.text), file


def test_each_role_assignment_gives_its_role_to_one_identity_in_one_place() -> None:
    """Never on the resource group. Its name is made of place, principal and role: or one would take another's place,
    and Azure refuses to change the principal of an assignment.
    """
    found: dict[str, dict[str, str]] = {}
    for file in files():
        for resource, kind in file.resources():
            if kind != "Microsoft.Authorization/roleAssignments":
                continue
            given = file.body(resource.name)
            role = given["properties"]["roleDefinitionId"].text.partition("/roleDefinitions', ")[2]
            principal = "pair.principalId" if file.path.stem == "dicom-access" else "principalId"
            assert given["scope"] is not None, resource.name
            assert given["properties"]["principalType"] == "ServicePrincipal", resource.name
            assert given["properties"]["principalId"] == E(principal), resource.name
            name = given["name"].text
            assert re.fullmatch(rf"guid\([\w\[\].]+\.id, {re.escape(principal)}, .+\)", name), name
            assert name.endswith(f", {role}"), name
            found.setdefault(file.path.stem, {})[resource.name] = role.removesuffix(")")
    assert found == GIVEN
    assert "union(ownRoleIds, { read: readerId })" in read(INFRA / "modules/custom-roles.bicep").text
    assert "roles: granted[name].dicom\n" in given_to("dicomAccess")["grants"].text


def test_a_parameter_is_handed_on_under_its_name() -> None:
    """What a module takes that is called like one of main.bicep is that one; so is what is closed, by another name."""
    parameters = {one.name for one in MAIN.of_kind("parameter")}
    given = [(module.name, name, v) for module in MAIN.of_kind("module") for name, v in given_to(module.name).items()]
    assert [one for one in given if one[1] in parameters and one[2] != E(one[1])] == []
    assert [one for one in given if one[1] == "isClosed" and one[2] != E("privateNetwork")] == []
    assert len([one for one in given if one[1] in parameters]) > 10


def test_what_holds_data_cannot_be_deleted_by_accident() -> None:
    """Both accounts of data, and a DICOM service of ours by its workspace."""
    found: dict[str, str] = {}
    for file in files():
        for lock, kind in file.resources():
            if kind == "Microsoft.Authorization/locks":
                assert lock.source.startswith("if (isLocked) {"), file
                body = file.body(lock.name)
                assert body["properties"]["level"] == "CanNotDelete", file
                found[file.path.stem] = body["scope"].text
    assert found == {"data-storage": "account", "records-storage": "account", "dicom": "workspace"}
    records = read(INFRA / "modules/records-storage.bicep")
    loop = "for (item, index) in containers: if (!contains(locked, item.name)) {"
    assert loop in records.declarations["immutable"].source
    # Whoever asked for no data lake gets none.
    assert all(
        MAIN.declarations[name].source.startswith("if (dicomHasLake) {") for name in ("dicomIdentity", "lakeAccess")
    )
    assert given_to("lakeAccess")["accountName"] == MAIN.variable("lakeName")


def test_resources_of_yours_are_found_by_their_ids() -> None:
    """A DICOM service and a data lake, each in the subscription and the resource group that its id names."""
    provider = "Microsoft.HealthcareApis/workspaces/clinic/dicomservices/archive"
    ids = {
        "dicomServiceId": f"/subscriptions/1/resourceGroups/imaging/providers/{provider}",
        "dicomLakeAccountId": "/subscriptions/2/resourceGroups/files/providers/Microsoft.Storage/storageAccounts/lake",
    }
    expected = {
        "dicomSubscription": "1",
        "dicomGroup": "imaging",
        "dicomWorkspaceName": "clinic",
        "dicomServiceName": "archive",
        "lakeSubscription": "2",
        "lakeGroup": "files",
        "lakeName": "lake",
    }
    for name, value in expected.items():
        [(known, part)] = re.findall(r"split\((\w+), '/'\)\[(\d+)\]", MAIN.variable(name).text)
        assert ids[known].split("/")[int(part)] == value, name


def test_names_are_our_own_and_fit() -> None:
    """Of roles in a whole tenant, where another subscription may have an environment of the same name; of accounts and
    vaults, which have 24 characters at most; of each app's plan, site and host storage.
    """
    [(file, body)] = made("Microsoft.Authorization/roleDefinitions")
    assert file.variable("groupId") == E("resourceGroup().id")
    for name in (body["name"], body["properties"]["roleName"]):
        assert {"environmentName", "groupId"} <= set(re.findall(r"\w+", name.text))
    assert "kind, item.key" in body["name"].text  # blobs and DICOM service may be in one group
    longest = max((name for names in MAIN.choices("appNames") for name in names), key=len)
    names = [f"st{longest}", *re.findall(r"name: '((?:st|kv-)\w*)\$\{token\}'", MAIN.text)]
    assert len(names) >= 4
    assert all(len(name) + 13 <= 24 for name in names)  # thirteen characters are the token
    own = ("Microsoft.Web/serverfarms", SITE, STORAGE)
    assert [kind for _, kind in APP.resources() if kind in own[:2]] == list(own[:2])
    assert {file.path.stem for kind in own[:2] for file, _ in made(kind)} == {"app"}
    assert all("${name}" in body["name"].text for kind in own for file, body in made(kind) if file is APP)


@pytest.mark.parametrize("is_new", [True, False])
def test_the_names_of_a_service_of_yours_are_not_hidden(is_new: bool) -> None:
    """A private zone without an endpoint in it answers that there is no such name."""
    zones = read(INFRA / "modules/network.bicep").variable("dicomZones")
    assert bool(evaluate(zones, {"dicomIsNew": is_new})) is is_new


def test_whatever_an_app_is_told_the_address_of_has_a_private_endpoint() -> None:
    """Its host's storage, and the accounts of files and of records, for each service that it asks."""
    text = read(INFRA / "modules/private-endpoints.bicep").declarations["accounts"].source
    found = re.findall(r"name: (\w+), services: (.*?) }", text)
    # One list, or two: of an account with a hierarchical namespace, and of one without.
    services = {name: re.findall(r"\[(.*?)\]", lists) for name, lists in found}
    assert {name: len(lists) for name, lists in services.items()} == {
        "name": 1,
        "dataAccountName": 2,
        "recordsAccountName": 1,
    }
    assert "'dfs'" in services["dataAccountName"][0]
    accounts = {
        "AzureWebJobsStorage": "name",
        "DICOM_STORAGE": "dataAccountName",
        "RECORDS_STORAGE": "recordsAccountName",
    }
    for name in {name for app in ACCESS for name in app_settings(app) if name.endswith("ServiceUri")}:
        account, _, service = name.removesuffix("ServiceUri").partition("__")
        assert all(f"'{service}'" in listed for listed in services[accounts[account]]), name


def test_each_secret_is_made_once_and_kept() -> None:
    """A second deployment leaves it as it is, and its value comes from nowhere but newGuid."""
    file = read(INFRA / "modules/keys.bicep")
    secrets = [one for one, kind in file.resources() if kind.endswith("/secrets")]
    values = [one for one in file.of_kind("parameter") if one.name.startswith("new")]
    assert len(secrets) == len(values) > 0
    assert all("onlyIfNotExists" in secret.decorators for secret in secrets)
    assert all("secure" in one.decorators and one.source == "'${newGuid()}${newGuid()}'" for one in values)
