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
_SEEN_THROUGH = ("concat", "union", "flatten")  # their result has the form of their arguments
_FUNCTIONS: dict[str, Callable[..., Any]] = {"empty": lambda value: not value, "endsWith": str.endswith, "string": str}


@dataclass(frozen=True)
class Expression:
    """What is known only when Azure deploys, as it is written."""

    text: str


@dataclass(frozen=True)
class Declaration:
    """A parameter, variable, resource, module or output: `kind`, in the grammar's words without `_declaration`.

    `type` is that of a parameter or output; of a resource with its version; of a module its path. A parameter without
    a default has no value. Of a decorator the arguments are kept, by its name.
    """

    name: str
    kind: str
    type: str
    value: Node | None
    decorators: dict[str, list[Any]] = field(default_factory=dict)
    is_existing: bool = False

    @property
    def source(self) -> str:
        """The value as it is written."""
        return text_of(self.value) if self.value else ""


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
        self.path, self.text = path, path.read_text()
        self.root = _PARSER.parse(self.text.encode()).root_node

    def __repr__(self) -> str:
        return str(self.path.relative_to(INFRA.parent))

    @cached_property
    def declarations(self) -> dict[str, Declaration]:
        """All declarations by their names; an output, which may have the name of something else, as `output x`."""
        found: dict[str, Declaration] = {}
        decorators: dict[str, list[Any]] = {}
        for node in self.root.named_children:
            if node.type == "decorators":
                calls = [one.named_children[0] for one in node.named_children if one.type == "decorator"]
                decorators = {
                    text_of(_field(call, "function")): [
                        self.constant(one) for one in children(_field(call, "arguments"))
                    ]
                    for call in calls
                }
            elif node.type.endswith("_declaration"):
                declared = self._declaration(node, decorators)
                found[f"output {declared.name}" if declared.kind == "output" else declared.name] = declared
                decorators = {}
        return found

    def _declaration(self, node: Node, decorators: dict[str, list[Any]]) -> Declaration:
        kind, (name, *rest) = node.type.removesuffix("_declaration"), children(node)
        types = [text_of(one) for one in rest if one.type == "type"]
        values = [one for one in rest if one.type not in ("type", "existing")]
        is_existing = any(one.type == "existing" for one in node.children)
        if kind in ("resource", "module"):
            types = [self.constant(values[0])]
        return Declaration(
            text_of(name), kind, (types or [""])[0], values[-1] if values else None, decorators, is_existing
        )

    def of_kind(self, kind: str) -> list[Declaration]:
        """Return the declarations of a kind, in the file's order."""
        return [one for one in self.declarations.values() if one.kind == kind]

    def resources(self) -> Iterator[tuple[Declaration, str]]:
        """Yield the resources that the file makes, each with its type."""
        for one in self.of_kind("resource"):
            if not one.is_existing:
                yield one, one.type.partition("@")[0]

    @cached_property
    def imported(self) -> dict[str, File]:
        """The files from which names are imported."""
        found: dict[str, File] = {}
        for node in self.root.named_children:
            if node.type == "import_functionality":
                *names, path = node.named_children
                found |= {text_of(name): read((self.path.parent / self.constant(path)).resolve()) for name in names}
        return found

    def variable(self, name: str) -> Any:
        """Return what a variable, parameter or `output x` of this file is, as far as it is constant."""
        return self.constant(self.declarations[name].value)

    def choices(self, name: str) -> list[Any]:
        """Return each value that a declaration may come to."""
        value = self.declarations[name].value
        return [file.constant(node) for file, node in self.forms(value)] if value else []

    def body(self, name: str) -> dict[str, Any]:
        """Return what a resource or a module is made of, in whatever condition or loop it stands."""
        return dict(self.constant(self.object(self.declarations[name])))

    def object(self, declaration: Declaration) -> Node:
        """Return the node of that."""
        assert declaration.value is not None
        [(_, node)] = self.forms(declaration.value)
        assert node.type == "object", f"{self}: {declaration.name}"
        return node

    def property(self, node: Node, *names: str) -> Node:
        """Return what an object has under a name, and that under the next one."""
        for name in names:
            [node] = [one.named_children[-1] for one in properties(node) if self.key(one) == name]
        return node

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
                return "".join(text_of(one) for one in node.named_children)
            case "number":
                return int(text_of(node))
            case "boolean":
                return text_of(node) == "true"
            case "null":
                return None
            case "identifier" if found := self._defining(text_of(node)):
                return found[0].constant(found[1])
            case "member_expression":
                parent, name = self.constant(_field(node, "object")), text_of(node.named_children[-1])
                return parent[name] if isinstance(parent, dict) and name in parent else Expression(text_of(node))
        return Expression(text_of(node))

    def forms(self, node: Node) -> Iterator[tuple[File, Node]]:
        """Yield each object, array, string or other plain value that an expression may come to, and its file."""
        below: list[Node] = []
        match node.type:
            case "ternary_expression":
                below = [_field(node, "consequence"), _field(node, "alternative")]
            case "parenthesized_expression" | "if_statement":
                below = [node.named_children[-1]]
            case "for_statement":
                below = [_field(node, "body")]
            case "identifier" if found := self._defining(text_of(node)):
                yield from found[0].forms(found[1])
                return
            case "call_expression":
                arguments, function = children(_field(node, "arguments")), text_of(_field(node, "function"))
                if function in _SEEN_THROUGH:
                    below = arguments
                elif function == "map":
                    below = [arguments[1].named_children[-1]]
        for one in below:
            yield from self.forms(one)
        if not below:
            yield self, node

    def key(self, node: Node) -> str:
        """Return an object's property's name."""
        first = node.named_children[0]
        return str(self.constant(first)) if first.type == "string" else text_of(first)

    def _defining(self, name: str) -> tuple[File, Node] | None:
        if name in self.imported:
            return self.imported[name]._defining(name)
        found = self.declarations.get(name)
        return (self, found.value) if found and found.kind == "variable" and found.value else None


def made(kind: str) -> list[tuple[File, dict[str, Any]]]:
    """Return the body of each resource of a type."""
    return [(file, file.body(one.name)) for file in files() for one, type_ in file.resources() if type_ == kind]


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
            return text_of(node)
        case "escape_sequence":
            return text_of(node)[1:]
        case "interpolation":
            return _evaluated(node.named_children[0], known)
        case "identifier":
            return known[text_of(node)]
        case "member_expression":
            return _evaluated(_field(node, "object"), known)[text_of(node.named_children[-1])]
        case "ternary_expression":
            chosen = "consequence" if _evaluated(_field(node, "condition"), known) else "alternative"
            return _evaluated(_field(node, chosen), known)
        case "call_expression":
            arguments = (_evaluated(one, known) for one in children(_field(node, "arguments")))
            return _FUNCTIONS[text_of(_field(node, "function"))](*arguments)
        case "array":
            return [_evaluated(one, known) for one in children(node)]
    raise LookupError(node.type)


def properties(node: Node) -> list[Node]:
    """Return an object's properties."""
    return [one for one in node.named_children if one.type == "object_property"]


def children(node: Node) -> list[Node]:
    """Return what is right below a node, comments apart: the elements of an array, the arguments of a call."""
    return [one for one in node.named_children if one.type != "comment"]


def text_of(node: Node) -> str:
    """Return a node as it is written."""
    return (node.text or b"").decode()


def _field(node: Node, name: str) -> Node:
    found = node.child_by_field_name(name)
    assert found is not None, text_of(node)
    return found
