"""Bicep files as the tests see them: declarations, values that are constant, and what an expression may come to.

There is no compiler here: what is read is the syntax tree. Four constructs its grammar does not know (spread,
`resourceInput<>`, `extension`, .bicepparam), so that infra/ does without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

INFRA = Path(__file__).parents[2] / "infra"

_PARSER = Parser(Language(tree_sitter_bicep.language()))
# Functions whose result has the form of their arguments.
_SEEN_THROUGH = ("concat", "union", "flatten")
_FUNCTIONS: dict[str, Callable[..., Any]] = {"empty": lambda value: not value, "endsWith": str.endswith, "string": str}


@dataclass(frozen=True)
class Expression:
    """What is known only when Azure deploys, as it is written."""

    text: str


@dataclass(frozen=True)
class Declaration:
    """A parameter, variable, resource, module or output.

    Args:
        name: the symbol.
        kind: of the declaration, in the grammar's words without `_declaration`.
        type: of a parameter or output; of a resource with its version; of a module its path.
        value: what it is declared to be; None for a parameter without a default.
        decorators: by name, their arguments.
        is_existing: whether a resource is only referred to.
    """

    name: str
    kind: str
    type: str
    value: Node | None
    decorators: dict[str, list[Any]] = field(default_factory=dict)
    is_existing: bool = False


@cache
def read(path: Path) -> File:
    """Return a file; the same one each time."""
    return File(path)


def files() -> list[File]:
    """Return all Bicep files of the project."""
    return [read(path) for path in sorted(INFRA.rglob("*.bicep"))]


class File:
    """A Bicep file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text()
        self.root = _PARSER.parse(self.text.encode()).root_node

    def __repr__(self) -> str:
        return str(self.path.relative_to(INFRA.parent))

    @cached_property
    def declarations(self) -> dict[str, Declaration]:
        """All declarations, by their names."""
        found: dict[str, Declaration] = {}
        decorators: dict[str, list[Any]] = {}
        for node in self.root.named_children:
            if node.type == "decorators":
                decorators = dict(self._decorator(one) for one in node.named_children if one.type == "decorator")
            elif node.type.endswith("_declaration"):
                declaration = self._declaration(node, decorators)
                # An output may have the name of something else.
                found[f"output {declaration.name}" if declaration.kind == "output" else declaration.name] = declaration
                decorators = {}
        return found

    def of_kind(self, kind: str) -> list[Declaration]:
        """Return the declarations of a kind, in the file's order."""
        return [one for one in self.declarations.values() if one.kind == kind]

    @cached_property
    def imported(self) -> dict[str, File]:
        """The files from which names are imported."""
        found: dict[str, File] = {}
        for node in self.root.named_children:
            if node.type == "import_functionality":
                *names, path = node.named_children
                source = read((self.path.parent / self.constant(path)).resolve())
                found |= {_text(name): source for name in names}
        return found

    def variable(self, name: str) -> Any:
        """Return what a variable of this file is, as far as it is constant."""
        return self.constant(self.declarations[name].value)

    def constant(self, node: Node | None) -> Any:
        """Return an expression's value; an `Expression` in each place where it is known in Azure only."""
        if node is None:
            return None
        match node.type:
            case "object":
                return {self.key(one): self.constant(one.named_children[-1]) for one in properties(node)}
            case "array":
                return [self.constant(one) for one in children(node)]
            case "string" if not any(one.type == "interpolation" for one in node.named_children):
                return "".join(_text(one) for one in node.named_children)
            case "number":
                return int(_text(node))
            case "boolean":
                return _text(node) == "true"
            case "null":
                return None
            case "identifier" if self._defining(_text(node)) is not None:
                source, value = self._defining(_text(node)) or (self, node)
                return source.constant(value)
            case "member_expression":
                parent = self.constant(node.child_by_field_name("object"))
                name = _text(node.named_children[-1])
                return parent[name] if isinstance(parent, dict) and name in parent else Expression(_text(node))
            case _:
                return Expression(_text(node))

    def forms(self, node: Node) -> Iterator[tuple[File, Node]]:
        """Yield each object, array, string or other plain value that an expression may come to, and its file."""
        match node.type:
            case "ternary_expression":
                for branch in ("consequence", "alternative"):
                    yield from self.forms(_field(node, branch))
            case "parenthesized_expression" | "if_statement":
                yield from self.forms(node.named_children[-1])
            case "for_statement":
                yield from self.forms(_field(node, "body"))
            case "identifier" if self._defining(_text(node)) is not None:
                source, value = self._defining(_text(node)) or (self, node)
                yield from source.forms(value)
            case "call_expression":
                yield from self._forms_of_call(node)
            case _:
                yield self, node

    def _forms_of_call(self, node: Node) -> Iterator[tuple[File, Node]]:
        arguments = children(_field(node, "arguments"))
        function = _text(_field(node, "function"))
        if function in _SEEN_THROUGH:
            for argument in arguments:
                yield from self.forms(argument)
        elif function == "map":
            yield from self.forms(arguments[1].named_children[-1])
        else:
            yield self, node

    def object(self, declaration: Declaration) -> Node:
        """Return the body of a resource or a module: the object in its condition or loop."""
        assert declaration.value is not None
        [(_, node)] = self.forms(declaration.value)
        assert node.type == "object", f"{self}: {declaration.name}"
        return node

    def property(self, node: Node, name: str) -> Node | None:
        """Return what an object has under a name."""
        found = [one.named_children[-1] for one in properties(node) if self.key(one) == name]
        return found[0] if found else None

    def key(self, node: Node) -> str:
        """Return an object's property's name."""
        first = node.named_children[0]
        return str(self.constant(first)) if first.type == "string" else _text(first)

    def _defining(self, name: str) -> tuple[File, Node] | None:
        if name in self.imported:
            return self.imported[name]._defining(name)
        found = self.declarations.get(name)
        return (self, found.value) if found and found.kind == "variable" and found.value else None

    def _declaration(self, node: Node, decorators: dict[str, list[Any]]) -> Declaration:
        kind = node.type.removesuffix("_declaration")
        name, *rest = children(node)
        is_existing = any(one.type == "existing" for one in node.children)
        kinds = [one for one in rest if one.type == "type"]
        values = [one for one in rest if one.type not in ("type", "existing")]
        if kind in ("resource", "module"):
            return Declaration(_text(name), kind, self.constant(values[0]), values[-1], decorators, is_existing)
        value = values[-1] if values else None
        return Declaration(_text(name), kind, _text(kinds[0]) if kinds else "", value, decorators)

    def _decorator(self, node: Node) -> tuple[str, list[Any]]:
        call = node.named_children[0]
        return _text(_field(call, "function")), [self.constant(one) for one in children(_field(call, "arguments"))]


def evaluate(value: Any, known: Mapping[str, Any]) -> Any:
    """Return what a value comes to, once parameters and other names have these values.

    Raises:
        LookupError: it depends on another name, or on a construct that only Azure evaluates.
    """
    if not isinstance(value, Expression):
        return value
    [declaration] = _PARSER.parse(f"var value = {value.text}\n".encode()).root_node.named_children
    return _evaluated(declaration.named_children[-1], known)


def _evaluated(node: Node, known: Mapping[str, Any]) -> Any:
    match node.type:
        case "string":
            return "".join(str(_evaluated(one, known)) for one in node.named_children)
        case "string_content":
            return _text(node)
        case "escape_sequence":
            return _text(node)[1:]
        case "interpolation":
            return _evaluated(node.named_children[0], known)
        case "identifier":
            return known[_text(node)]
        case "member_expression":
            return _evaluated(_field(node, "object"), known)[_text(node.named_children[-1])]
        case "ternary_expression":
            chosen = "consequence" if _evaluated(_field(node, "condition"), known) else "alternative"
            return _evaluated(_field(node, chosen), known)
        case "call_expression":
            arguments = (_evaluated(one, known) for one in children(_field(node, "arguments")))
            return _FUNCTIONS[_text(_field(node, "function"))](*arguments)
        case "array":
            return [_evaluated(one, known) for one in children(node)]
        case _:
            raise LookupError(node.type)


def resources(file: File) -> Iterator[tuple[Declaration, str]]:
    """Yield the resources that a file makes, each with its type."""
    for resource in file.of_kind("resource"):
        if not resource.is_existing:
            yield resource, resource.type.partition("@")[0]


def made(kind: str) -> Iterator[tuple[File, Node]]:
    """Yield the body of each resource of a type."""
    for file in files():
        for resource, resource_type in resources(file):
            if resource_type == kind:
                yield file, file.object(resource)


def properties(node: Node) -> list[Node]:
    """Return an object's properties."""
    return [one for one in node.named_children if one.type == "object_property"]


def children(node: Node) -> list[Node]:
    """Return what is right below a node, comments apart: the elements of an array, the arguments of a call."""
    return [one for one in node.named_children if one.type != "comment"]


def nodes(node: Node) -> Iterator[Node]:
    """Yield a node, and all below it."""
    yield node
    for child in node.children:
        yield from nodes(child)


def _field(node: Node, name: str) -> Node:
    found = node.child_by_field_name(name)
    assert found is not None, _text(node)
    return found


def _text(node: Node) -> str:
    return (node.text or b"").decode()
