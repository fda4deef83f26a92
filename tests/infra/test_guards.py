"""What must hold for all of infra/: no keys, small roles, secrets that stay, apps that are apart."""

from __future__ import annotations

import re
from typing import Any

import pytest

from .apps import ACCESS, app_settings
from .bicep import INFRA, Expression, evaluate, files, made, read, resources

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
MAIN = read(INFRA / "main.bicep")
APP = read(INFRA / "modules/app.bicep")


IS_PUBLIC = Expression("isClosed ? 'Disabled' : 'Enabled'")
# (what it is for, type of the resources, what is under `properties` of each)
PROPERTIES: list[tuple[str, str, dict[str, object]]] = [
    (
        "nothing gets in by a key",
        "Microsoft.Storage/storageAccounts",
        {
            "allowSharedKeyAccess": False,
            "allowBlobPublicAccess": False,
            "allowCrossTenantReplication": False,
            "supportsHttpsTrafficOnly": True,
            "minimumTlsVersion": "TLS1_2",
        },
    ),
    ("nothing is sent by a key", "Microsoft.Insights/components", {"DisableLocalAuth": True}),
    ("secrets are read by roles", "Microsoft.KeyVault/vaults", {"enableRbacAuthorization": True}),
    (
        "nobody deletes secrets for good before 90 days are over: without LEDGER_KEY the ledger is lost",
        "Microsoft.KeyVault/vaults",
        {"enableSoftDelete": True, "softDeleteRetentionInDays": 90, "enablePurgeProtection": True},
    ),
    ("no password deploys", "Microsoft.Web/sites/basicPublishingCredentialsPolicies", {"allow": False}),
    (
        "secrets are read by the app's own identity",
        "Microsoft.Web/sites",
        {"httpsOnly": True, "keyVaultReferenceIdentity": Expression("identity.id")},
    ),
    ("Flex Consumption refuses what other plans have", "Microsoft.Web/sites", {"siteConfig": None}),
    (
        "a closed account lets nobody in but Event Grid, which has no private endpoint",
        "Microsoft.Storage/storageAccounts",
        {"networkAcls": {"defaultAction": Expression("isClosed ? 'Deny' : 'Allow'"), "bypass": "AzureServices"}},
    ),
    ("a closed workspace", "Microsoft.HealthcareApis/workspaces", {"publicNetworkAccess": IS_PUBLIC}),
    ("a closed service", "Microsoft.HealthcareApis/workspaces/dicomservices", {"publicNetworkAccess": IS_PUBLIC}),
    (
        "each container of records has a policy; only one that is appended to lets its blobs grow",
        "Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies",
        {
            "immutabilityPeriodSinceCreationInDays": Expression("recordsDays"),
            "allowProtectedAppendWrites": Expression("item.appends"),
        },
    ),
]
# (module of main.bicep, its parameter, what it is given)
HANDED_ON = [
    ("apps", "subnetId", "privateNetwork ? network!.outputs.appsSubnetId : ''"),
    ("dicom", "partitions", "dicomPartitions"),
    ("endpoints", "isHierarchical", "sftp"),
    ("network", "addresses", "networkRange"),
    ("data", "sku", "storageSku"),
    ("records", "sku", "storageSku"),
    ("records", "lockedContainers", "recordsLocked"),
]
SLOW = {"monitoring", "data", "records", "keys", "dicom"}
# (why, module of main.bicep, modules that are made before it)
MADE_BEFORE: list[tuple[str, str, set[str]]] = [
    ("a new role is not known everywhere at once", "appAccess", SLOW | {"ownBlobRoles"}),
    ("a new role is not known everywhere at once", "dicomAccess", SLOW | {"ownDicomRoles"}),
    ("a new workspace may not have the tables yet", "blanking", {"monitoring", "apps"}),
]
# (why, file, what is made one by one)
ONE_BY_ONE = [
    ("Azure answers 409 to a second change of a site", "modules/app.bicep", "noPassword"),
    ("an account refuses an endpoint while another is made", "modules/private-endpoints.bicep", "endpoint"),
    ("a subnet refuses an app while another is made in it", "main.bicep", "apps"),
]


@pytest.mark.parametrize(("kind", "expected"), [row[1:] for row in PROPERTIES], ids=[row[0] for row in PROPERTIES])
def test_every_resource_of_a_type_has_these_properties(kind: str, expected: dict[str, object]) -> None:
    """The row says what for."""
    bodies = list(made(kind))
    assert bodies
    for file, body in bodies:
        inner = file.property(body, "properties")
        assert inner is not None
        assert {name: file.constant(file.property(inner, name)) for name in expected} == expected, file


@pytest.mark.parametrize(("module", "parameter", "value"), HANDED_ON)
def test_a_parameter_is_handed_on(module: str, parameter: str, value: str) -> None:
    """Under another name, which no other test sees."""
    assert given_to(module)[parameter] == Expression(value)


@pytest.mark.parametrize(
    ("module", "first"), [row[1:] for row in MADE_BEFORE], ids=[f"{m}: {w}" for w, m, _ in MADE_BEFORE]
)
def test_a_module_is_made_after_others(module: str, first: set[str]) -> None:
    """The row says why."""
    assert waits_for(module) >= first
    assert waits_for("ownBlobRoles") == waits_for("ownDicomRoles") == set()


@pytest.mark.parametrize(("file", "name"), [row[1:] for row in ONE_BY_ONE], ids=[row[0] for row in ONE_BY_ONE])
def test_resources_are_made_one_by_one(file: str, name: str) -> None:
    """The row says why."""
    assert read(INFRA / file).declarations[name].decorators["batchSize"] == [1]


def test_a_site_is_told_its_settings_last() -> None:
    """Versions of the API have refused a policy of publishing without a location."""
    assert APP.constant(APP.object(APP.declarations["appSettings"]))["dependsOn"] == [Expression("noPassword")]
    [(file, body)] = made("Microsoft.Web/sites/basicPublishingCredentialsPolicies")
    assert file.constant(body)["location"] == Expression("location")
    [(file, body)] = made("Microsoft.Web/sites")
    runtime = file.constant(file.property(body, "properties"))["functionAppConfig"]["runtime"]
    assert runtime == {"name": "python", "version": "3.13"}


def test_no_template_asks_for_a_key() -> None:
    """Nor for the secrets of an account."""
    for file in files():
        assert not re.search(r"list\w*Keys|\blistSecrets|AccountKey|SharedAccess|listCredentials", file.text), file
    workspace = read(INFRA / "modules/workspace.bicep")
    properties = workspace.constant(workspace.object(workspace.declarations["workspace"]))["properties"]
    assert properties["features"] == {"disableLocalAuth": True}


def test_a_locked_policy_is_not_made_anew() -> None:
    """Azure would refuse it, and with it the deployment; a container that is not named gets its policy."""
    records = read(INFRA / "modules/records-storage.bicep")
    policy = records.declarations["immutable"].value
    assert policy is not None
    loop = "for (item, index) in containers: if (!contains(locked, item.name)) {"
    assert loop in (policy.text or b"").decode()
    assert records.constant(records.object(records.declarations["immutable"]))["parent"] == Expression(
        "container[index]"
    )
    assert records.variable("locked") == Expression("split(lockedContainers, ',')")
    assert MAIN.constant(MAIN.declarations["recordsLocked"].value) == ""


def test_each_role_assignment_gives_its_role_to_one_identity_in_one_place() -> None:
    """Never on the resource group. Its name is made of place, principal and role: or one would take another's place,
    and Azure refuses to change the principal of an assignment.
    """
    found: dict[str, dict[str, str]] = {}
    for file in files():
        for resource, kind in resources(file):
            if kind != "Microsoft.Authorization/roleAssignments":
                continue
            given = file.constant(file.object(resource))
            role = given["properties"]["roleDefinitionId"].text.partition("/roleDefinitions', ")[2]
            principal = "pair.principalId" if file.path.stem == "dicom-access" else "principalId"
            assert given["scope"] is not None, resource.name
            assert given["properties"]["principalType"] == "ServicePrincipal", resource.name
            assert given["properties"]["principalId"] == Expression(principal), resource.name
            name = given["name"].text
            assert re.fullmatch(rf"guid\([\w\[\].]+\.id, {re.escape(principal)}, .+\)", name), name
            assert name.endswith(f", {role}"), name
            found.setdefault(file.path.stem, {})[resource.name] = role.removesuffix(")")
    assert found == GIVEN


def test_roles_have_the_ids_that_azure_gave_them() -> None:
    """And no id stands anywhere else."""
    access = INFRA / "access.bicep"
    assert read(access).variable("builtInRoles") == ROLE_IDS
    uuid = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-")
    assert [file for file in files() if file.path != access and uuid.search(file.text)] == []


def test_roles_are_what_they_are_called() -> None:
    """The names that access.bicep has for them, and those of the host."""
    assert APP.variable("hostRoles") == [
        ROLE_IDS[name]
        for name in ("storageBlobDataOwner", "storageQueueDataContributor", "storageTableDataContributor")
    ]
    assert read(INFRA / "modules/app-access.bicep").variable("queueRoleIds") == {
        "take": ROLE_IDS["storageQueueDataContributor"],
        "send": ROLE_IDS["storageQueueDataMessageSender"],
        "read": ROLE_IDS["storageQueueDataReader"],
    }
    assert "union(ownRoleIds, { read: readerId })" in read(INFRA / "modules/custom-roles.bicep").text
    for module, kind, reader in (("ownBlobRoles", "blob", "storageBlob"), ("ownDicomRoles", "dicom", "dicom")):
        assert given_to(module) == {
            "environmentName": Expression("environmentName"),
            "kind": {"blob": "blobs"}.get(kind, kind),
            "roles": read(INFRA / "access.bicep").variable(f"{kind}Roles"),
            "readerId": ROLE_IDS[f"{reader}DataReader"],
        }


def test_each_app_has_its_own_rights_and_functions() -> None:
    """And no other's; where there is one app, it has everybody's."""
    access = read(INFRA / "access.bicep").variable("access")
    everybodys = Expression("separateApps ? access.ingest : everything")
    assert MAIN.variable("granted") == access | {"ingest": everybodys}
    rights = given_to("appAccess")
    for name in ("dataContainers", "recordsContainers", "queues", "tables", "secrets"):
        assert rights[name] == Expression(f"granted[name].{name}")
    webhook = "eventsTo == 'webhook' && contains(granted[name].functions, 'store_on_upload')"
    assert rights["takesWebhook"] == Expression(webhook)
    assert rights["principalId"] == Expression("identities[index].outputs.principalId")
    assert "roles: granted[name].dicom\n" in given_to("dicomAccess")["grants"].text
    app = given_to("apps")
    assert app["functions"] == Expression("join(granted[name].functions, ' ')")
    assert app["identityName"] == Expression("identities[index].outputs.name")
    assert app["settings"] == Expression("union(serviceSettings, settings[name])")
    # The rights first: a reference to a secret that cannot be read stays so for a day.
    assert MAIN.constant(MAIN.object(MAIN.declarations["apps"]))["dependsOn"] == [Expression("appAccess")]


def waits_for(module: str) -> set[str]:
    """Return the modules of main.bicep that are made before another one."""
    body = (MAIN.object(MAIN.declarations[module]).text or b"").decode()
    named = {
        one.name for one in MAIN.of_kind("module") if re.search(rf"(?<![\w'-]){one.name}\b(?!')", uncommented(body))
    }
    named -= {module}
    return named.union(*map(waits_for, named))


def uncommented(text: str) -> str:
    """Return a text of Bicep without comments, and without names of properties."""
    return re.sub(r"//.*|^\s*\w+: ", "", text, flags=re.MULTILINE)


def given_to(module: str) -> dict[str, Any]:
    """Return what main.bicep gives a module."""
    body = MAIN.constant(MAIN.object(MAIN.declarations[module]))
    return dict(body["params"])


def test_a_parameter_is_handed_on_under_its_name() -> None:
    """What a module takes that is called like one of main.bicep is that one; so is what is closed, by another name."""
    parameters = {one.name for one in MAIN.of_kind("parameter")}
    handed_on = 0
    for module in MAIN.of_kind("module"):
        for name, value in given_to(module.name).items():
            if name in parameters:
                handed_on += 1
                assert value == Expression(name), f"{module.name}: {name}"
            assert name != "isClosed" or value == Expression("privateNetwork"), module.name
    assert handed_on > 10
    assert given_to("apps")["subnetId"] == Expression("privateNetwork ? network!.outputs.appsSubnetId : ''")


def test_what_holds_data_cannot_be_deleted_by_accident() -> None:
    """Both accounts of data, and a DICOM service of ours by its workspace: as long as `deletionLocks` says so."""
    scopes = {"data-storage": "account", "records-storage": "account", "dicom": "workspace"}
    found: dict[str, str] = {}
    for file in files():
        for lock, kind in resources(file):
            if kind == "Microsoft.Authorization/locks":
                assert lock.value is not None
                assert (lock.value.text or b"").startswith(b"if (isLocked) {"), file
                body = file.constant(file.object(lock))
                assert body["properties"]["level"] == "CanNotDelete", file
                found[file.path.stem] = body["scope"].text
    assert found == scopes
    for module in ("data", "records", "dicom"):
        assert given_to(module)["isLocked"] == Expression("deletionLocks"), module
    assert MAIN.constant(MAIN.declarations["deletionLocks"].value) is True


def test_a_new_dicom_service_may_keep_its_files_in_a_data_lake() -> None:
    """Named by its account and container, under an identity that has its role there before the service is made."""
    file = read(INFRA / "modules/dicom.bicep")
    body = file.constant(file.object(file.declarations["service"]))
    lake = "{ storageResourceId: lakeAccountId, fileSystemName: lakeContainer }"
    assert body["properties"]["storageConfiguration"] == Expression(f"hasLake ? {lake} : null")
    identity = "{ type: 'UserAssigned', userAssignedIdentities: { '${identityId}': {} } }"
    assert body["identity"] == Expression(f"hasLake ? {identity} : null")
    assert file.variable("hasLake") == Expression("!empty(lakeAccountId)")
    given = given_to("dicom")
    assert (given["lakeAccountId"], given["lakeContainer"]) == (
        Expression("dicomLakeAccountId"),
        Expression("dicomLakeContainer"),
    )
    assert given["identityId"] == Expression("dicomHasLake ? dicomIdentity!.outputs.id : ''")
    assert given_to("lakeAccess") == {
        "principalId": Expression("dicomIdentity!.outputs.principalId"),
        "accountName": MAIN.variable("lakeName"),
    }
    assert waits_for("dicom") == {"dicomIdentity", "lakeAccess"}
    for module in ("dicomIdentity", "lakeAccess"):
        value = MAIN.declarations[module].value
        assert value is not None
        assert (value.text or b"").startswith(b"if (dicomHasLake) {")
    assert MAIN.variable("dicomHasLake") == Expression("dicomIsNew && !empty(dicomLakeAccountId)")
    assert MAIN.constant(MAIN.declarations["dicomLakeAccountId"].value) == ""


def test_resources_of_yours_are_found_by_their_ids() -> None:
    """A DICOM service and a data lake, each in the subscription and the resource group that its id names."""
    ids = {
        "dicomServiceId": "/subscriptions/1/resourceGroups/imaging/providers/Microsoft.HealthcareApis"
        "/workspaces/clinic/dicomservices/archive",
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
    found = {}
    for name in expected:
        [(known, part)] = re.findall(r"split\((\w+), '/'\)\[(\d+)\]", MAIN.variable(name).text)
        found[name] = ids[known].split("/")[int(part)]
    assert found == expected


def test_roles_of_our_own_have_names_of_their_own() -> None:
    """In a whole tenant, where another subscription may have an environment of the same name."""
    definitions = list(made("Microsoft.Authorization/roleDefinitions"))
    assert len(definitions) == 1
    for file, body in definitions:
        assert file.variable("groupId") == Expression("resourceGroup().id")
        for name in (file.constant(body)["name"], file.constant(body)["properties"]["roleName"]):
            assert "environmentName" in name.text
            assert "groupId" in name.text
        # Blobs and DICOM service may be in one group.
        assert "kind, item.key" in file.constant(body)["name"].text


@pytest.mark.parametrize("is_new", [True, False])
def test_the_names_of_a_service_of_yours_are_not_hidden(is_new: bool) -> None:
    """A private zone without an endpoint in it answers that there is no such name."""
    zones = read(INFRA / "modules/network.bicep").variable("dicomZones")
    assert bool(evaluate(zones, {"dicomIsNew": is_new})) is is_new


def test_whatever_an_app_is_told_the_address_of_has_a_private_endpoint() -> None:
    """Its host's storage, and the accounts of files and of records, for each service that it asks."""
    written = read(INFRA / "modules/private-endpoints.bicep").declarations["accounts"].value
    assert written is not None
    found = re.findall(r"name: (\w+), services: (.*?) }", (written.text or b"").decode())
    told = [name.partition("__") for app in ACCESS for name in app_settings(app) if name.endswith("ServiceUri")]
    accounts = {
        "AzureWebJobsStorage": "name",
        "DICOM_STORAGE": "dataAccountName",
        "RECORDS_STORAGE": "recordsAccountName",
    }
    # One list, or two: of an account with a hierarchical namespace, and of one without.
    services = {name: re.findall(r"\[(.*?)\]", text) for name, text in found}
    assert {name: len(lists) for name, lists in services.items()} == dict.fromkeys(accounts.values(), 1) | {
        "dataAccountName": 2
    }
    assert "'dfs'" in services["dataAccountName"][0]
    for account, _, service in told:
        for listed in services[accounts[account]]:
            assert f"'{service.removesuffix('ServiceUri')}'" in listed, account


def test_what_is_deleted_can_be_undeleted() -> None:
    """On both accounts of data, and on the hosts', where the function keys are: blobs and containers."""
    for module in ("data-storage", "records-storage", "app"):
        file = read(INFRA / f"modules/{module}.bicep")
        [service] = [one for one, kind in resources(file) if kind.endswith("/blobServices")]
        inner = file.constant(file.property(file.object(service), "properties"))
        for policy in ("deleteRetentionPolicy", "containerDeleteRetentionPolicy"):
            assert inner[policy] == {"enabled": True, "days": Expression("softDeleteDays")}
        # An account with a hierarchical namespace has no versions; what is recorded cannot be written over.
        assert inner.get("isVersioningEnabled") == (Expression("!sftp") if module == "data-storage" else None)


def test_each_secret_is_made_once_and_kept() -> None:
    """A second deployment leaves it as it is, and its value comes from nowhere but newGuid."""
    file = read(INFRA / "modules/keys.bicep")
    secrets = [one for one, kind in resources(file) if kind.endswith("/secrets")]
    values = [one for one in file.of_kind("parameter") if one.name.startswith("new")]
    assert len(secrets) == len(values) > 0
    for secret in secrets:
        assert "onlyIfNotExists" in secret.decorators
    for parameter in values:
        assert "secure" in parameter.decorators
        assert file.constant(parameter.value) == Expression("'${newGuid()}${newGuid()}'")


def test_each_app_has_a_plan_of_its_own() -> None:
    """As Flex Consumption asks for; and a host storage that no other app may write to."""
    found = {kind: resource for resource, kind in resources(APP)}
    assert [kind for _, kind in resources(APP)].count("Microsoft.Web/serverfarms") == 1
    assert [kind for _, kind in resources(APP)].count("Microsoft.Web/sites") == 1
    elsewhere = [file for file in files() if file is not APP for _, kind in resources(file) if "Microsoft.Web" in kind]
    assert elsewhere == []
    for kind in ("Microsoft.Web/serverfarms", "Microsoft.Web/sites", "Microsoft.Storage/storageAccounts"):
        body = APP.object(found[kind])
        assert "${name}" in (APP.constant(APP.property(body, "name"))).text
    site = APP.property(APP.object(found["Microsoft.Web/sites"]), "properties")
    assert site is not None
    assert APP.constant(APP.property(site, "serverFarmId")) == Expression("plan.id")
    plan = APP.constant(APP.property(APP.object(found["Microsoft.Web/serverfarms"]), "sku"))
    assert plan == {"name": "FC1", "tier": "FlexConsumption"}


def test_names_of_accounts_fit() -> None:
    """24 characters at most, for accounts and vaults; thirteen of them are the token."""
    longest = max(app_names(), key=len)
    names = [f"st{longest}", *re.findall(r"name: '((?:st|kv-)\w*)\$\{token\}'", MAIN.text)]
    assert len(names) >= 4
    assert all(len(name) + 13 <= 24 for name in names)


def app_names() -> list[str]:
    """Return the apps that there are by default."""
    value = MAIN.declarations["appNames"].value
    assert value is not None
    return [str(name) for name in max((file.constant(node) for file, node in MAIN.forms(value)), key=len)]
