"""What a compiler would say to infra/."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tree_sitter import Node

from .apps import MAIN
from .bicep import INFRA, File, children, files, properties, read, text_of

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
OF_ANY_RESOURCE = dict.fromkeys(("name", "location", "parent", "scope", "dependsOn"))
# The libraries do not list it; the documentation of workspace transformations does.
KNOWN_BESIDE = {"withoutNames.kind = WorkspaceTransforms"}
BICEP_FUNCTIONS = {
    *("subscription", "resourceGroup", "environment", "uniqueString", "guid", "newGuid", "resourceId"),
    *("subscriptionResourceId", "union", "concat", "map", "flatten", "items", "toObject", "empty", "contains", "split"),
    *("join", "replace", "endsWith", "string", "cidrSubnet", "loadJsonContent"),
}
KINDS = {"string": "string", "number": "int", "boolean": "bool", "object": "object", "array": "array"}

in_each_file = pytest.mark.parametrize("file", files(), ids=repr)


def nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from nodes(child)


def module_of(file: File, name: str) -> File:
    return read((file.path.parent / file.declarations[name].type).resolve())


@in_each_file
def test_it_can_be_parsed_and_each_resource_has_a_known_version(file: File) -> None:
    assert [node.start_point for node in nodes(file.root) if node.type == "ERROR" or node.is_missing] == []
    for resource in file.of_kind("resource"):
        kind, _, version = resource.type.partition("@")
        assert VERSIONS[kind] == version, resource.type


def test_no_version_is_listed_for_nothing() -> None:
    used = {resource.type.partition("@")[0] for file in files() for resource in file.of_kind("resource")}
    assert set(VERSIONS) == used <= set(SCHEMA)


@in_each_file
def test_each_property_is_one_that_azure_knows(file: File) -> None:
    """By its whole path; and where Azure takes certain values only, it has one of them."""
    wrong = [
        complaint
        for resource, kind in file.resources()
        if resource.value
        for complaint in unknown(file, resource.value, SCHEMA[kind] | OF_ANY_RESOURCE, resource.name)
    ]
    assert set(wrong) <= KNOWN_BESIDE


def unknown(file: File, value: Node, schema: Any, path: str) -> Iterator[str]:
    """Yield what of a value the schema does not have."""
    for source, node in file.forms(value):
        if node.type == "array":
            for element in children(node):
                yield from unknown(source, element, schema, path)
        elif node.type == "object" and properties(node):
            for one in properties(node):
                name, below = source.key(one), schema if isinstance(schema, dict) else {}
                if name not in below and "*" not in below:
                    yield f"{path}.{name}"
                else:
                    within = below.get(name, below.get("*"))
                    yield from unknown(source, one.named_children[-1], within, f"{path}.{name}")
        elif isinstance(schema, list) and isinstance(text := source.constant(node), str) and text not in schema:
            yield f"{path} = {text}"


def kinds_of(file: File, node: Node) -> set[str]:
    """Return the types that an expression may have, as far as the syntax tells."""
    text = text_of(node)
    if node.type == "ternary_expression":
        return kinds_of(file, node.named_children[1]) | kinds_of(file, node.named_children[2])
    if node.type == "identifier" and text in file.declarations:
        declared = file.declarations[text]
        if declared.kind == "parameter":
            return {declared.type}
        return kinds_of(file, declared.value) if declared.value else set()
    if output := re.fullmatch(r"(\w+)(?:\[.*\])*!?\.outputs\.(\w+)", text):
        return {module_of(file, output[1]).declarations[f"output {output[2]}"].type}
    known = {**KINDS, "for_statement": "array", "binary_expression": "bool"}
    return {known[node.type]} if node.type in known else set()


@in_each_file
def test_modules_are_given_what_they_take_and_asked_for_what_they_have(file: File) -> None:
    """All parameters without a default, none that is not there, each of its type; and outputs that there are."""
    for module in file.of_kind("module"):
        takes = {one.name: one for one in module_of(file, module.name).of_kind("parameter")}
        params = next((one for one in properties(file.object(module)) if file.key(one) == "params"), None)
        given = (
            {file.key(one): one.named_children[-1] for one in properties(params.named_children[-1])} if params else {}
        )
        assert {name for name, one in takes.items() if one.value is None} <= set(given) <= set(takes), module.name
        for name, value in given.items():
            assert kinds_of(file, value) <= {takes[name].type}, f"{module.name}: {name}"
    asked = re.findall(r"\b(\w+)(?:\[[^]]*\])*!?\.outputs\.(\w+)", file.text)
    assert len(asked) == len(re.findall(r"\.outputs\b", file.text))
    for name, output in asked:
        assert f"output {output}" in module_of(file, name).declarations, f"{name}.{output}"


@in_each_file
def test_each_name_is_declared_and_used(file: File) -> None:
    """A compiler would say so; functions are those of the list."""
    used, called, local = set(), set(), set()
    for node in nodes(file.root):
        parent = node.parent
        if node.type in ("loop_variable", "loop_enumerator"):
            local.add(text_of(node))
        if node.type != "identifier" or parent is None:
            continue
        is_first = node == parent.named_children[0]
        if (parent.type == "lambda_expression" and is_first) or (
            parent.type == "for_statement" and node == parent.child_by_field_name("initializer")
        ):
            local.add(text_of(node))
        elif parent.type == "call_expression":
            called.add(text_of(node))
        elif not (
            parent.type == "import_functionality"
            or (is_first and (parent.type.endswith("_declaration") or parent.type == "object_property"))
        ):
            used.add(text_of(node))
    every = list(file.declarations.values())
    assert called - {name for one in every for name in one.decorators} <= BICEP_FUNCTIONS
    declared = {one.name for one in every if one.kind != "output"} | set(file.imported)
    assert used - local <= declared
    for_others = {
        one.name
        for one in every
        if "export" in one.decorators or one.kind == "module" or (one.kind == "resource" and not one.is_existing)
    }
    assert declared - used <= for_others


def test_each_parameter_is_described_and_named_in_the_parameters_file() -> None:
    """By a variable of the azd environment, with the default that it has in Bicep."""
    given = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    parameters = MAIN.of_kind("parameter")
    assert list(given) == [one.name for one in parameters]
    for one in parameters:
        assert "description" in one.decorators, one.name
        variable = re.fullmatch(r"\$\{([A-Z_]+)(?:=(.*))?\}", given[one.name]["value"])
        default = MAIN.constant(one.value)
        text = "" if default is None else str(default).lower() if isinstance(default, bool) else str(default)
        assert variable, one.name
        assert (variable[2] or "") == text, one.name
