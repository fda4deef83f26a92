"""Write az_commands.json anew: what the Azure CLI says of each command that the documents and infra/hooks name.

Nobody needs the CLI but whoever adds a command to them, in a virtual environment apart; nobody has to log in:

    pip install azure-cli
    python -m tests.infra.make_az_commands > tests/infra/az_commands.json

An option stands there under all its spellings. `values` says how many follow it, in the words of Python's argparse: one
where nothing is said, 0 after a flag. What is `unless_ids` is required, but not beside --ids.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from argparse import SUPPRESS, Action, ArgumentParser
from importlib import import_module
from typing import Any

from tests.infra.az import written

Options = dict[str, dict[str, Any]]

# Of the extension log-analytics 1.0.0, as its source says: no registry of packages has extensions.
OF_EXTENSIONS: dict[str, Options] = {
    "monitor log-analytics query": {
        "--analytics-query": {"required": True},
        "--timespan -t": {},
        "--workspace -w": {"required": True},
        "--workspaces": {"values": "+"},
    }
}


def commands(names: set[str]) -> dict[str, Options]:
    """Return the options of each command that the CLI knows by one of some names; others may be groups of commands."""
    own_events, events = import_module("azure.cli.core.commands.events"), import_module("knack.events")
    cli = import_module("azure.cli.core").get_default_cli()
    cli.invocation = cli.invocation_cls(
        cli_ctx=cli, commands_loader_cls=cli.commands_loader_cls, parser_cls=cli.parser_cls, help_cls=cli.help_cls
    )
    loader, parser = cli.invocation.commands_loader, cli.invocation.parser
    loader.command_table = {name: command for name, command in loader.load_command_table(None).items() if name in names}
    cli.raise_event(own_events.EVENT_INVOKER_PRE_LOAD_ARGUMENTS, commands_loader=loader)
    for name in loader.command_table:
        cli.invocation.data["command_string"] = name
        loader.load_arguments(name)
    required = {name: _required(command) for name, command in loader.command_table.items()}
    cli.raise_event(events.EVENT_INVOKER_POST_CMD_TBL_CREATE, commands_loader=loader)  # adds --ids
    parser.load_command_table(loader)
    return {name: _options(one, required[name]) for name, one in parser.subparser_map.items()}


def _required(command: Any) -> set[str]:
    """Return the arguments that a command asks for before the CLI lets --ids stand for some of them."""
    return {name for name, argument in command.arguments.items() if argument.type.settings.get("required")}


def _options(parser: ArgumentParser, required: set[str]) -> Options:
    actions = sorted((one for one in parser._actions if one.help != SUPPRESS), key=_spellings)
    return {_spellings(one): _option(one, required) for one in actions}


def _spellings(action: Action) -> str:
    """Return all of them but those on their way out; the name of what is given without one."""
    lasting = [one for one in action.option_strings if not hasattr(one, "deprecate_info")]
    return " ".join(sorted(lasting)) or action.dest


def _option(action: Any, required: set[str]) -> dict[str, Any]:
    told = {
        "required": action.required or None,
        "unless_ids": (not action.required and action.dest in required) or None,
        "values": action.nargs,
        "choices": [str(one) for one in action.choices] if action.choices else None,
        "deprecated": bool(getattr(action, "deprecate_info", None)) or None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _lines(rows: dict[str, Any]) -> str:
    return ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in sorted(rows.items()))


def main() -> None:
    """Ask the CLI, which keeps its notes in a folder that goes again."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"AZURE_CONFIG_DIR": folder, "AZURE_CORE_COLLECT_TELEMETRY": "false"}
        found = commands({one.name for one in written()})
    version, output = import_module("azure.cli.core").__version__, import_module("knack.output")
    common = set.intersection(*(set(options) for options in found.values()))
    everywhere = {key: one for options in found.values() for key, one in options.items() if key in common}
    own = {name: {key: options[key] for key in options if key not in common} for name, options in found.items()}
    head = {"version": version, "everywhere": everywhere, "not_in_tables": output._TableOutput.SKIP_KEYS}
    sys.stdout.write(f'{{\n{_lines(head)},\n"commands": {{\n{_lines(own | OF_EXTENSIONS)}\n}}\n}}\n')


if __name__ == "__main__":
    main()
