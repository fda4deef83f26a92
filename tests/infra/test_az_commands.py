"""Each `az …` of the documents and of infra/hooks is one that the Azure CLI knows.

az_commands.json has what the CLI says of them; whoever adds a command has make_az_commands.py write it anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .az import UNKNOWN, Command, of_a_script, written
from .bicep import INFRA, read
from .test_bicep import VERSIONS
from .test_events import EVENT_TYPES

CLI: dict[str, Any] = json.loads(Path(__file__).with_name("az_commands.json").read_text())
COMMANDS: dict[str, dict[str, Any]] = CLI["commands"]
WRITTEN = written()


def is_group(name: str) -> bool:
    return any(one.startswith(f"{name} ") for one in COMMANDS)


def complaints(command: Command) -> Iterator[str]:
    """Yield what the CLI would say against a command."""
    if command.name not in COMMANDS:
        if command.is_whole or command.options or not is_group(command.name):
            yield "no such command, or not in az_commands.json yet"
        return
    known = COMMANDS[command.name] | CLI["everywhere"]
    by_spelling = {spelling: key for key in known for spelling in key.split()}
    for spelling, values in command.options:
        option = known.get(by_spelling.get(spelling, ""), {"deprecated": True})
        count = option.get("values", 1)
        least, most = {"?": (0, 1), "*": (0, 99), "+": (1, 99)}.get(count, (count, count))
        choices = [one.lower() for one in option.get("choices", ())]
        if option.get("deprecated"):
            yield f"{spelling} is none of its options"
        elif not least <= len(values) <= most:
            yield f"{spelling} has {len(values)} values"
        elif choices:
            yield from (f"{spelling} cannot be {v}" for v in values if UNKNOWN not in v and v.lower() not in choices)
    given = {by_spelling.get(spelling) for spelling, _ in command.options}
    for key, option in known.items() if command.is_whole else ():
        if key not in given and (option.get("required") or (option.get("unless_ids") and "--ids" not in given)):
            yield f"{key} is missing"
    options = dict(command.options)
    if "table" in options.get("-o", []):
        query = " ".join(options.get("--query", []))
        yield from (f"{name} is left out of tables" for name in CLI["not_in_tables"] if re.search(rf"\b{name}:", query))


@pytest.mark.parametrize("command", WRITTEN, ids=lambda one: f"{one.page}: az {one.name}")
def test_the_cli_knows_the_command(command: Command) -> None:
    """With its options, their values, and those that it asks for where the command is to be run as it stands."""
    assert list(complaints(command)) == [], command


def test_all_is_read_and_all_that_is_known_is_used() -> None:
    """Documents wherever they are, and each hook; a command that goes is taken out of the file."""
    hooks = {str(path.relative_to(INFRA.parent)) for path in (INFRA / "hooks").iterdir()}
    assert {one.page for one in WRITTEN} >= {"README.md", "docs/ingest.md", "docs/runbooks/README.md", *hooks}
    assert sorted(COMMANDS) == sorted({one.name for one in WRITTEN if not is_group(one.name)})


NONE = "no such command, or not in az_commands.json yet"


@pytest.mark.parametrize(
    ("words", "is_whole", "expected"),
    [
        ("group show --name=a --query=id", True, []),
        ("group frobnicate -n a", True, [NONE]),
        ("group show --nam a", True, ["--nam is none of its options", "--name --resource-group -g -n is missing"]),
        ("group show -n", True, ["-n has 0 values"]),
        ("group show -n a -o csv", True, ["-o cannot be csv"]),
        ("functionapp stop -g a", True, ["--name -n is missing"]),
        ("functionapp stop --ids a b", True, []),
        ("lock list -o table --query [].{id:id}", True, ["id is left out of tables"]),
        ("group show", False, []),  # a sentence may name a command without what it asks for
        ("group show --id a", False, ["--id is none of its options"]),
        ("storage -n a", False, [NONE]),
    ],
)
def test_a_wrong_command_is_noticed(words: str, is_whole: bool, expected: list[str]) -> None:
    assert list(complaints(Command("page", tuple(words.split()), is_whole))) == expected


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("az a \\\n    -b c; az d\naz e", ["a -b c", "d", "e"]),
        ("az a 'b; c' \"d | e\"", ["a b; c d | e"]),
        ('az a "$(az b -c "d e")" > f', [f"a {UNKNOWN}", "b -c d e"]),
        ("x=$(az a -o tsv)/y && ! az b | az c 2>&1", ["a -o tsv", "b", "c"]),
        ("az a # az b\n# az c\nif az d; then az e; fi", ["a", "d", "e"]),
        ("cat <<EOF | az a @-\n$(az c)\nEOF\naz d", ["a @-", "c", "d"]),
        ("unlocked '/b' az a | xargs az c -d", ["a", "c -d"]),
        ("trap 'az a \"$b\"' EXIT; bash -c 'az d'", [f"a {UNKNOWN}", "d"]),
        ("command -v az >/dev/null || echo az login", []),
    ],
)
def test_commands_are_read_as_the_shell_does(script: str, expected: list[str]) -> None:
    assert [" ".join(words) for words in of_a_script(script)] == expected


@pytest.mark.parametrize("script", ["az a 'b", 'az a "b', "az a $(b"])
def test_what_cannot_be_read_is_noticed(script: str) -> None:
    with pytest.raises(ValueError, match=r"is open|not found"):
        list(of_a_script(script))


def test_the_subscription_that_is_made_by_hand_is_that_of_bicep() -> None:
    """With the same events, for the same queue, for ever."""
    [made] = [one for one in WRITTEN if one.page == "docs/ingest.md" and one.name == "rest"]
    body = json.loads(dict(made.options)["--body"][0], strict=False)
    assert set(body) == {"properties"}  # no location: Event Grid refuses one
    version = VERSIONS["Microsoft.EventGrid/systemTopics/eventSubscriptions"]
    assert dict(made.options)["--url"][0].endswith(f"/dicom-arrivals?api-version={version}")
    by_hand, by_bicep = body["properties"], read(INFRA / "modules/event-grid.bicep").body("arrivals")["properties"]
    assert by_hand["eventDeliverySchema"] == by_bicep["eventDeliverySchema"]
    assert by_hand["filter"] == by_bicep["filter"] | {"includedEventTypes": EVENT_TYPES}
    told, meant = (one["deliveryWithResourceIdentity"]["destination"] for one in (by_hand, by_bicep))
    assert told["endpointType"] == meant["endpointType"]
    assert told["properties"] == meant["properties"] | {"resourceId": UNKNOWN}
