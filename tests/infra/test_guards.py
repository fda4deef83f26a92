"""What must hold for all of infra/: no keys, small roles, secrets that stay, apps that are apart."""

from __future__ import annotations

import re

from .bicep import INFRA, Expression, files, made, read, resources

# As Azure has them, in every tenant.
ROLE_IDS = {
    "dicomDataReader": "e89c7a3c-2f64-4fa1-a847-3e4c9ba4283a",
    "storageBlobDataOwner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "storageBlobDataContributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "storageBlobDataReader": "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
    "storageQueueDataContributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "storageQueueDataMessageSender": "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a",
    "storageTableDataContributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
    "keyVaultSecretsUser": "4633458b-17de-408a-b874-0445c86b69e6",
    "monitoringMetricsPublisher": "3913510d-42f4-4e42-8a64-420c390055eb",
}
MAIN = read(INFRA / "main.bicep")
APP = read(INFRA / "modules/app.bicep")


def test_roles_have_the_ids_that_azure_gave_them() -> None:
    """And no id stands anywhere else."""
    access = INFRA / "access.bicep"
    assert read(access).variable("builtInRoles") == ROLE_IDS
    uuid = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-")
    assert [file for file in files() if file.path != access and uuid.search(file.text)] == []


def test_each_role_is_given_to_one_identity_in_one_place() -> None:
    """Never on the resource group; and said to be a service's, which may be newer than the directory's copies."""
    assignments = list(made("Microsoft.Authorization/roleAssignments"))
    assert len(assignments) > 5
    for file, body in assignments:
        assert file.property(body, "scope") is not None, file
        inner = file.property(body, "properties")
        assert inner is not None
        assert file.constant(file.property(inner, "principalType")) == "ServicePrincipal"
        name = file.constant(file.property(body, "name"))
        # Of place, identity and role: or one would take another's place.
        assert isinstance(name, Expression)
        assert re.fullmatch(r"guid\([\w\[\].]+\.id, [\w.]+, .+\)", name.text), name.text


def test_roles_of_our_own_have_names_of_their_own() -> None:
    """In a whole tenant, where another subscription may have an environment of the same name."""
    definitions = list(made("Microsoft.Authorization/roleDefinitions"))
    assert len(definitions) == 2
    for file, body in definitions:
        assert file.variable("groupId") == Expression("resourceGroup().id")
        for name in (file.constant(body)["name"], file.constant(body)["properties"]["roleName"]):
            assert "environmentName" in name.text
            assert "groupId" in name.text


def test_a_locked_policy_is_not_made_anew() -> None:
    """Azure would refuse it, and with it the deployment."""
    records = read(INFRA / "modules/records-storage.bicep")
    policy = records.declarations["immutable"].value
    assert policy is not None
    assert "for (item, index) in containers: if (!arePoliciesLocked) {" in (policy.text or b"").decode()
    given = MAIN.property(MAIN.object(MAIN.declarations["records"]), "params")
    assert given is not None
    assert "arePoliciesLocked: recordsLocked" in (given.text or b"").decode()
    assert MAIN.constant(MAIN.declarations["recordsLocked"].value) is False


def test_an_account_gets_its_private_endpoints_one_by_one() -> None:
    """It refuses one while another is made."""
    endpoints = read(INFRA / "modules/private-endpoints.bicep")
    assert endpoints.declarations["endpoint"].decorators["batchSize"] == [1]


def test_nothing_gets_in_by_a_key() -> None:
    """No template asks for one, and no account, workspace or app takes one."""
    for file in files():
        assert not re.search(r"list\w*Keys|\blistSecrets|AccountKey|SharedAccess|listCredentials", file.text), file
    must_be: dict[str, dict[str, object]] = {
        "Microsoft.Storage/storageAccounts": {
            "allowSharedKeyAccess": False,
            "allowBlobPublicAccess": False,
            "allowCrossTenantReplication": False,
            "supportsHttpsTrafficOnly": True,
            "minimumTlsVersion": "TLS1_2",
        },
        "Microsoft.Insights/components": {"DisableLocalAuth": True},
        "Microsoft.KeyVault/vaults": {"enableRbacAuthorization": True},
        "Microsoft.Web/sites/basicPublishingCredentialsPolicies": {"allow": False},
        "Microsoft.Web/sites": {"httpsOnly": True},
    }
    for kind, expected in must_be.items():
        bodies = list(made(kind))
        assert bodies, kind
        for file, body in bodies:
            inner = file.property(body, "properties")
            assert inner is not None
            assert {name: file.constant(file.property(inner, name)) for name in expected} == expected, file


def test_what_is_deleted_can_be_undeleted() -> None:
    """On both accounts of data: blobs and containers."""
    for module in ("data-storage", "records-storage"):
        file = read(INFRA / f"modules/{module}.bicep")
        [service] = [one for one, kind in resources(file) if kind.endswith("/blobServices")]
        inner = file.constant(file.property(file.object(service), "properties"))
        for policy in ("deleteRetentionPolicy", "containerDeleteRetentionPolicy"):
            assert inner[policy] == {"enabled": True, "days": Expression("softDeleteDays")}


def test_each_secret_is_made_once_and_kept() -> None:
    """A second deployment leaves it as it is, and its value comes from nowhere but newGuid."""
    file = read(INFRA / "modules/keys.bicep")
    for secret in [one for one, kind in resources(file) if kind.endswith("/secrets")]:
        assert "onlyIfNotExists" in secret.decorators
    for parameter in [one for one in file.of_kind("parameter") if one.name.startswith("new")]:
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


def test_flex_consumption_is_told_nothing_that_it_refuses() -> None:
    """No property of the site's configuration that other plans have."""
    [(file, body)] = made("Microsoft.Web/sites")
    inner = file.property(body, "properties")
    assert inner is not None
    assert file.property(inner, "siteConfig") is None
    runtime = file.constant(file.property(inner, "functionAppConfig"))["runtime"]
    assert runtime == {"name": "python", "version": "3.13"}


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
