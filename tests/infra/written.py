"""What the code writes into the log: each event, with its fields, and whether it is an error."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from shared.settings import FUNCTION_FOLDERS

from .apps import ROOT


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
            nodes = list(ast.walk(ast.parse(path.read_text())))
            # A call that is given a dictionary by `**` may have any key that is written out in its module.
            spread = {
                str(key.value)
                for node in nodes
                if isinstance(node, ast.Dict)
                for key in node.keys
                if isinstance(key, ast.Constant)
            }
            for call in nodes:
                match call:
                    case ast.Call(ast.Name("event"), [ast.Constant(str(name)), *_], keywords):
                        given = {one.arg: one.value for one in keywords if one.arg}
                        fields = set(given) - {"level"} | (set() if len(given) == len(keywords) else spread)
                        one = events.setdefault(name, Written())
                        one.is_error |= "level" in given and "ERROR" in ast.unparse(given["level"])
                        if not isinstance(given.get("reason"), ast.Constant):
                            one.always = fields if one.always is None else one.always & fields
                    # `failed` of shared/events.py writes an event with these; `_run` of ingest calls it.
                    case ast.Call(ast.Name("failed" | "_run"), [ast.Constant(str(name)), *_]):
                        one, fields = events.setdefault(name, Written()), {"error", "at"}
                        one.is_error = True
                    case _:
                        continue
                one.fields |= fields
                one.folders.add(folder)
    return events


def words_of(place: str) -> set[str]:
    """Return all that stands in quotation marks in a folder, but for what puts it into words."""
    paths = [path for path in (ROOT / place).rglob("*.py") if path.name != "wording.py"]
    nodes = (node for path in paths for node in ast.walk(ast.parse(path.read_text())))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
