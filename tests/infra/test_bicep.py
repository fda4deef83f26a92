"""What a compiler would say to infra/."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tree_sitter import Node

from .bicep import INFRA, File, children, files, nodes, properties, read, resources

SCHEMA: dict[str, Any] = json.loads(Path(__file__).with_name("schema.json").read_text())
# The one version of each type that infra/ uses: one that is known to be there, and to have what is used.
VERSIONS = {
    "Microsoft.Authorization/locks": "2020-05-01",
    "Microsoft.Authorization/roleAssignments": "2022-04-01",
    "Microsoft.Authorization/roleDefinitions": "2022-04-01",
    "Microsoft.EventGrid/systemTopics": "2025-02-15",
    "Microsoft.EventGrid/systemTopics/eventSubscriptions": "2025-02-15",
    "Microsoft.HealthcareApis/workspaces": "2024-03-31",
    "Microsoft.HealthcareApis/workspaces/dicomservices": "2024-03-31",
    "Microsoft.Insights/actionGroups": "2023-01-01",
    "Microsoft.Insights/components": "2020-02-02",
    "Microsoft.Insights/dataCollectionRules": "2023-03-11",
    "Microsoft.Insights/scheduledQueryRules": "2023-12-01",
    "Microsoft.Insights/webtests": "2022-06-15",
    "Microsoft.KeyVault/vaults": "2024-11-01",
    "Microsoft.KeyVault/vaults/secrets": "2024-11-01",
    "Microsoft.ManagedIdentity/userAssignedIdentities": "2023-01-31",
    "Microsoft.Network/privateDnsZones": "2020-06-01",
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks": "2020-06-01",
    "Microsoft.Network/privateEndpoints": "2024-05-01",
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups": "2024-05-01",
    "Microsoft.Network/virtualNetworks": "2024-05-01",
    "Microsoft.OperationalInsights/workspaces": "2025-07-01",
    "Microsoft.Resources/resourceGroups": "2024-11-01",
    "Microsoft.Storage/storageAccounts": "2024-01-01",
    "Microsoft.Storage/storageAccounts/blobServices": "2024-01-01",
    "Microsoft.Storage/storageAccounts/blobServices/containers": "2024-01-01",
    "Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies": "2024-01-01",
    "Microsoft.Storage/storageAccounts/managementPolicies": "2024-01-01",
    "Microsoft.Storage/storageAccounts/queueServices": "2024-01-01",
    "Microsoft.Storage/storageAccounts/queueServices/queues": "2024-01-01",
    "Microsoft.Web/serverfarms": "2024-04-01",
    "Microsoft.Web/sites": "2024-04-01",
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": "2024-04-01",
    "Microsoft.Web/sites/config": "2024-04-01",
}
# Of Bicep itself, in any resource; `existing` ones and children have their name here as well.
OF_ANY_RESOURCE = {"name": None, "location": None, "parent": None, "scope": None, "dependsOn": None}
# The libraries do not list it; the documentation of workspace transformations does.
KNOWN_BESIDE = {"withoutNames.kind = WorkspaceTransforms"}
BICEP_FUNCTIONS = {
    *("subscription", "resourceGroup", "environment", "uniqueString", "guid", "newGuid", "resourceId"),
    *("subscriptionResourceId", "union", "concat", "map", "flatten", "items", "toObject", "empty", "contains", "split"),
    *("join", "replace", "endsWith", "string", "cidrSubnet", "loadJsonContent"),
}
MAIN = read(INFRA / "main.bicep")

in_each_file = pytest.mark.parametrize("file", files(), ids=repr)


@in_each_file
def test_it_can_be_parsed(file: File) -> None:
    """Without a mistake in its syntax."""
    mistakes = [node.start_point for node in nodes(file.root) if node.type == "ERROR" or node.is_missing]
    assert not mistakes


@in_each_file
def test_each_resource_has_a_known_type_and_version(file: File) -> None:
    """The one of the table, whether it is made or only referred to."""
    for resource in file.of_kind("resource"):
        resource_type, _, version = resource.type.partition("@")
        assert VERSIONS[resource_type] == version, resource.type


def test_no_version_is_listed_for_nothing() -> None:
    """What is in the table is in use, and the schema knows it."""
    used = {resource.type.partition("@")[0] for file in files() for resource in file.of_kind("resource")}
    assert set(VERSIONS) == used
    assert used <= set(SCHEMA)


@in_each_file
def test_each_property_is_one_that_azure_knows(file: File) -> None:
    """By its whole path; and where Azure takes certain values only, it has one of them."""
    wrong: list[str] = []
    for resource, resource_type in resources(file):
        schema = SCHEMA[resource_type] | OF_ANY_RESOURCE
        assert resource.value is not None
        wrong += unknown(file, resource.value, schema, resource.name)
    assert set(wrong) <= KNOWN_BESIDE


def unknown(file: File, value: Node, schema: Any, path: str) -> list[str]:
    """Return what of a value the schema does not have."""
    found: list[str] = []
    for source, node in file.forms(value):
        if node.type == "array":
            for element in children(node):
                found += unknown(source, element, schema, path)
        elif node.type == "object" and properties(node):
            if not isinstance(schema, dict):
                found.append(f"{path} is no object")
                continue
            for one in properties(node):
                name = source.key(one)
                if name not in schema and "*" not in schema:
                    found.append(f"{path}.{name}")
                    continue
                found += unknown(source, one.named_children[-1], schema.get(name, schema.get("*")), f"{path}.{name}")
        elif isinstance(schema, list) and isinstance(text := source.constant(node), str) and text not in schema:
            found.append(f"{path} = {text}")
    return found


@in_each_file
def test_each_module_is_given_what_it_takes(file: File) -> None:
    """All parameters without a default, and none that it does not have."""
    for module in file.of_kind("module"):
        target = read((file.path.parent / module.type).resolve())
        takes = {one.name: one.value is None for one in target.of_kind("parameter")}
        given = file.property(file.object(module), "params")
        names = {file.key(one) for one in properties(given)} if given else set()
        assert names <= set(takes), module.name
        assert {name for name, is_required in takes.items() if is_required} <= names, module.name


@in_each_file
def test_each_output_that_is_asked_for_exists(file: File) -> None:
    """In the module that is asked."""
    modules = {module.name: read((file.path.parent / module.type).resolve()) for module in file.of_kind("module")}
    asked = re.findall(r"\b(\w+)(?:\[[^]]*\])*!?\.outputs\.(\w+)", file.text)
    for module, output in asked:
        assert output in {one.name for one in modules[module].of_kind("output")}, f"{module}.{output}"
    assert len(asked) == len(re.findall(r"\.outputs\b", file.text))


@in_each_file
def test_each_name_is_declared_and_used(file: File) -> None:
    """A compiler would say so; functions are those of the list."""
    used, called, local = set(), set(), set()
    for node in nodes(file.root):
        text = (node.text or b"").decode()
        parent = node.parent
        if node.type in ("loop_variable", "loop_enumerator") or is_local(node):
            local.add(text)
        elif node.type == "identifier" and parent and parent.type == "call_expression":
            called.add(text)
        elif node.type == "identifier" and parent and not is_name_of_something(node, parent):
            used.add(text)
    decorators = {name for one in file.declarations.values() for name in one.decorators}
    assert called - decorators <= BICEP_FUNCTIONS
    declared = {one.name for one in file.declarations.values() if one.kind != "output"} | set(file.imported)
    assert used - local <= declared
    exported = {one.name for one in file.declarations.values() if "export" in one.decorators}
    made_for_itself = {one.name for one in file.of_kind("resource") if not one.is_existing}
    modules = {one.name for one in file.of_kind("module")}
    assert declared - used - exported <= made_for_itself | modules


def is_local(node: Node) -> bool:
    """Say whether a loop or a lambda introduces this name."""
    parent = node.parent
    if parent is None or node.type != "identifier":
        return False
    if parent.type == "lambda_expression":
        return node == parent.named_children[0]
    return parent.type == "for_statement" and node == parent.child_by_field_name("initializer")


def is_name_of_something(node: Node, parent: Node) -> bool:
    """Say whether an identifier names what is declared here, or a property."""
    if parent.type.endswith("_declaration") or parent.type == "object_property":
        return node == parent.named_children[0]
    return parent.type == "import_functionality"


def test_the_parameters_file_names_every_parameter() -> None:
    """Each by a variable of the azd environment, with the default that it has in Bicep."""
    given = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    parameters = {one.name: one for one in MAIN.of_kind("parameter")}
    assert list(given) == list(parameters)
    for name, one in parameters.items():
        variable = re.fullmatch(r"\$\{([A-Z_]+)(?:=(.*))?\}", given[name]["value"])
        assert variable, name
        default = MAIN.constant(one.value)
        assert (variable[2] or "") == as_text(default), name


def as_text(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def test_each_parameter_says_what_it_is() -> None:
    """Those of main.bicep, for they are what people set."""
    assert [one.name for one in MAIN.of_kind("parameter") if "description" not in one.decorators] == []


def kinds_of(file: File, node: Node) -> set[str]:
    """Return the types that an expression may have, as far as the syntax tells."""
    known = {"string": "string", "number": "int", "boolean": "bool", "object": "object", "array": "array"}
    text = (node.text or b"").decode()
    if node.type == "ternary_expression":
        return kinds_of(file, node.named_children[1]) | kinds_of(file, node.named_children[2])
    if node.type == "for_statement":
        return {"array"}
    if node.type == "binary_expression":
        return {"bool"}
    if node.type == "identifier" and text in file.declarations:
        declared = file.declarations[text]
        if declared.kind == "parameter":
            return {declared.type}
        return kinds_of(file, declared.value) if declared.value else set()
    if output := re.fullmatch(r"(\w+)(?:\[.*\])*!?\.outputs\.(\w+)", text):
        module = read((file.path.parent / file.declarations[output[1]].type).resolve())
        return {module.declarations[f"output {output[2]}"].type}
    return {known[node.type]} if node.type in known else set()


@in_each_file
def test_each_module_is_given_values_of_its_types(file: File) -> None:
    """As far as the syntax tells; a compiler would tell the rest."""
    told = 0
    for module in file.of_kind("module"):
        target = read((file.path.parent / module.type).resolve())
        given = file.property(file.object(module), "params")
        for one in properties(given) if given else []:
            kinds = kinds_of(file, one.named_children[-1])
            told += len(kinds)
            assert kinds <= {target.declarations[file.key(one)].type}, f"{module.name}: {file.key(one)}"
    assert told or not file.of_kind("module")
