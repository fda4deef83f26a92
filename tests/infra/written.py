"""What the code writes into the log: each event, with its fields, and whether it is an error."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from shared.settings import FUNCTION_FOLDERS

from .apps import ROOT

# `failed` of shared/events.py writes an event with these; `_run` of the triggers of ingest calls it.
_FAILURE = {"error", "at"}


@dataclass
class Written:
    """An event.

    Args:
        fields: that it may have.
        always: those of them that no report of work done leaves out; one of work not done names its reason outright.
        folders: whose code writes it.
        is_error: whether it is one, always or in some cases.
    """

    fields: set[str] = field(default_factory=set)
    always: set[str] | None = None
    folders: set[str] = field(default_factory=set)
    is_error: bool = False


def written() -> dict[str, Written]:
    """Return the events by their names."""
    events: dict[str, Written] = {}
    for folder in ("shared", *FUNCTION_FOLDERS):
        for path in sorted((ROOT / folder).rglob("*.py")):
            tree = ast.parse(path.read_text())
            for call, name in _calls(tree):
                event = events.setdefault(name, Written())
                event.folders.add(folder)
                if _called(call) == "event":
                    fields = {one.arg for one in call.keywords if one.arg} - {"level"} | _spread(call, tree)
                    event.fields |= fields
                    if not _names_its_reason(call):
                        event.always = fields if event.always is None else event.always & fields
                    event.is_error |= any(
                        "ERROR" in ast.unparse(one.value) for one in call.keywords if one.arg == "level"
                    )
                else:
                    event.fields |= _FAILURE
                    event.is_error = True
    return events


def words_of(place: str) -> set[str]:
    """Return all that stands in quotation marks in a module or a folder, but for what puts it into words."""
    path = ROOT / place
    paths = [path] if path.is_file() else (one for one in path.rglob("*.py") if one.name != "wording.py")
    return {
        node.value
        for path in paths
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def _calls(tree: ast.Module) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node) in ("event", "failed", "_run") and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield node, first.value


def _names_its_reason(call: ast.Call) -> bool:
    return any(one.arg == "reason" and isinstance(one.value, ast.Constant) for one in call.keywords)


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _spread(call: ast.Call, tree: ast.Module) -> set[str]:
    """Return the keys of all dictionaries that are written out in the module, where a call is given one by `**`."""
    if all(one.arg for one in call.keywords):
        return set()
    displays = (node for node in ast.walk(tree) if isinstance(node, ast.Dict))
    return {str(key.value) for node in displays for key in node.keys if isinstance(key, ast.Constant)}
