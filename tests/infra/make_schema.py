"""Write schema.json anew: which properties each resource type has, as the models of Azure's management libraries say.

Nobody needs these libraries but whoever adds a resource type or a property to infra/, in a virtual environment apart:

    pip install azure-mgmt-applicationinsights azure-mgmt-authorization azure-mgmt-eventgrid \
        azure-mgmt-healthcareapis azure-mgmt-keyvault azure-mgmt-loganalytics azure-mgmt-monitor azure-mgmt-msi \
        azure-mgmt-network azure-mgmt-privatedns azure-mgmt-resource azure-mgmt-resource-locks azure-mgmt-storage \
        azure-mgmt-web
    python tests/infra/make_schema.py > tests/infra/schema.json

A leaf is null, or the list of values that are known; `*` stands for names of one's own.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from types import ModuleType
from typing import Any

# Resource type → module and model of the body that creates one.
_CONTAINERS = "Microsoft.Storage/storageAccounts/blobServices/containers"
MODELS = {
    "Microsoft.Authorization/locks": "resource.locks.models.ManagementLockObject",
    "Microsoft.Authorization/roleAssignments": "authorization.v2022_04_01.models.RoleAssignmentCreateParameters",
    "Microsoft.Authorization/roleDefinitions": "authorization.v2022_04_01.models.RoleDefinition",
    "Microsoft.EventGrid/systemTopics": "eventgrid.models.SystemTopic",
    "Microsoft.EventGrid/systemTopics/eventSubscriptions": "eventgrid.models.EventSubscription",
    "Microsoft.HealthcareApis/workspaces": "healthcareapis.models.Workspace",
    "Microsoft.HealthcareApis/workspaces/dicomservices": "healthcareapis.models.DicomService",
    "Microsoft.Insights/actionGroups": "monitor.models.ActionGroupResource",
    "Microsoft.Insights/components": "applicationinsights.v2020_02_02.models.ApplicationInsightsComponent",
    "Microsoft.Insights/dataCollectionRules": "monitor.models.DataCollectionRuleResource",
    "Microsoft.Insights/scheduledQueryRules": "monitor.models.ScheduledQueryRuleResource",
    "Microsoft.Insights/webtests": "applicationinsights.v2022_06_15.models.WebTest",
    "Microsoft.KeyVault/vaults": "keyvault.models.VaultCreateOrUpdateParameters",
    "Microsoft.KeyVault/vaults/secrets": "keyvault.models.SecretCreateOrUpdateParameters",
    "Microsoft.ManagedIdentity/userAssignedIdentities": "msi.models.Identity",
    "Microsoft.Network/privateDnsZones": "privatedns.models.PrivateZone",
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks": "privatedns.models.VirtualNetworkLink",
    "Microsoft.Network/privateEndpoints": "network.models.PrivateEndpoint",
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups": "network.models.PrivateDnsZoneGroup",
    "Microsoft.Network/virtualNetworks": "network.models.VirtualNetwork",
    "Microsoft.OperationalInsights/workspaces": "loganalytics.models.Workspace",
    "Microsoft.Resources/resourceGroups": "resource.resources.models.ResourceGroup",
    "Microsoft.Storage/storageAccounts": "storage.models.StorageAccountCreateParameters",
    "Microsoft.Storage/storageAccounts/blobServices": "storage.models.BlobServiceProperties",
    _CONTAINERS: "storage.models.BlobContainer",
    f"{_CONTAINERS}/immutabilityPolicies": "storage.models.ImmutabilityPolicy",
    "Microsoft.Storage/storageAccounts/managementPolicies": "storage.models.ManagementPolicy",
    "Microsoft.Storage/storageAccounts/queueServices": "storage.models.QueueServiceProperties",
    "Microsoft.Storage/storageAccounts/queueServices/queues": "storage.models.StorageQueue",
    "Microsoft.Web/serverfarms": "web.models.AppServicePlan",
    "Microsoft.Web/sites": "web.models.Site",
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": "web.models.CsmPublishingCredentialsPoliciesEntity",
    "Microsoft.Web/sites/config": "web.models.StringDictionary",
}
# What these hold is a resource of its own, with all that hangs on it.
_NOT_FOLLOWED = re.compile(
    r"^(NetworkInterface|NetworkSecurityGroup|RouteTable|NatGateway|PublicIPAddress|VirtualNetworkPeering|"
    r"IPConfiguration|IPConfigurationProfile|ServiceEndpointPolicy|ApplicationSecurityGroup|PrivateEndpoint|"
    r"HostingEnvironmentProfile|SystemData)$"
)
_OWN_NAMES = ("dict[", "Dict[", "{", "Mapping[")


def properties(model: type, module: ModuleType, above: tuple[type, ...] = ()) -> dict[str, Any]:
    """Return a model's properties by their names in JSON, each with what is below it."""
    tree: dict[str, Any] = {}
    for one in (model, *_kinds(model, module)):
        known = _known_values(one)
        for attribute, path, kind in _fields(one):
            place = tree
            *parents, name = path
            for parent in parents:
                place = place.setdefault(parent, {})
            place[name] = _merged(place.get(name), _below(kind, module, (*above, one)) or known.get(attribute))
    return tree


def _below(kind: str, module: ModuleType, above: tuple[type, ...]) -> dict[str, Any] | None:
    named = [getattr(module, word, None) for word in re.findall(r"\w+", kind)]
    models = [one for one in named if isinstance(one, type) and _is_model(one) and one not in above]
    if not models or any(_NOT_FOLLOWED.match(one.__name__) for one in models):
        return {"*": None} if kind.startswith(_OWN_NAMES) or "dict[" in kind else None
    below = properties(models[0], module, above)
    return {"*": below} if kind.startswith("{") or "dict[" in kind else below


def _fields(model: type) -> list[tuple[str, list[str], str]]:
    """Return each attribute with its path in JSON and its type, in words."""
    if hasattr(model, "_attribute_map"):  # the older libraries
        return [(attribute, _path(field["key"]), field["type"]) for attribute, field in model._attribute_map.items()]
    model()  # fills the next line's table
    annotations = {name: str(kind) for one in reversed(model.__mro__) for name, kind in _annotations(one)}
    fields: dict[str, Any] = vars(model)["_attr_to_rest_field"]
    return [(attribute, [field._rest_name], annotations[attribute]) for attribute, field in fields.items()]


def _path(key: str) -> list[str]:
    """Return the names in a path; a dot that is part of a name has a backslash before it."""
    return [name.replace("\\.", ".") for name in re.split(r"(?<!\\)\.", key.replace("\\\\", "\\"))]


def _annotations(model: type) -> list[tuple[str, object]]:
    return list(vars(model).get("__annotations__", {}).items())


def _kinds(model: type, module: ModuleType) -> list[type]:
    """Return what else may stand in a model's place, which a property of it tells."""
    maps = getattr(model, "_subtype_map", {}).values()
    named = [getattr(module, name) for one in maps for name in one.values()]
    return [*named, *(one for one in getattr(model, "__mapping__", {}).values() if isinstance(one, type))]


def _known_values(model: type) -> dict[str, list[str]]:
    """Return the values that the docstring has for each attribute."""
    text = re.sub(r"\s+", " ", model.__doc__ or "")
    told = re.findall(r":ivar (\w+): ((?:(?!:ivar|:vartype).)*)", text)
    lists = {name: re.findall(r"(?:Known values are:|Required\. (?=\"))(.*)", words) for name, words in told}
    return {name: sorted(re.findall(r'"([^"]+)"', found[0])) for name, found in lists.items() if found}


def _is_model(one: type) -> bool:
    return hasattr(one, "_attribute_map") or hasattr(one, "_is_model")


def _merged(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return one | other
    if isinstance(one, list) and isinstance(other, list):
        return sorted({*one, *other})
    return other if one is None else one


def _model(path: str) -> tuple[type, ModuleType]:
    module_name, _, name = path.rpartition(".")
    module = importlib.import_module(f"azure.mgmt.{module_name}")
    return getattr(module, name), module


if __name__ == "__main__":
    lines = [f"{json.dumps(kind)}: {json.dumps(properties(*_model(path)))}" for kind, path in sorted(MODELS.items())]
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")
