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

from .az import UNKNOWN, Command, of_a_page, of_a_script, written
from .bicep import INFRA, read
from .test_bicep import VERSIONS
from .test_events import EVENT_TYPES

CLI: dict[str, Any] = json.loads(Path(__file__).with_name("az_commands.json").read_text())
COMMANDS: dict[str, dict[str, Any]] = CLI["commands"]
WRITTEN = written()
EVENT_GRID = VERSIONS["Microsoft.EventGrid/systemTopics/eventSubscriptions"]


def is_group(name: str) -> bool:
    """Return whether commands begin like this."""
    return any(one.startswith(f"{name} ") for one in COMMANDS)


def complaints(command: Command) -> Iterator[str]:
    """Yield what the CLI would say against a command."""
    if command.name not in COMMANDS:
        if command.is_whole or command.options or not is_group(command.name):
            yield "no such command, or not in az_commands.json yet"
        return
    known = COMMANDS[command.name] | CLI["everywhere"]
    by_spelling = {spelling: key for key in known for spelling in key.split()}
    given = {by_spelling.get(spelling) for spelling, _ in command.options}
    for spelling, values in command.options:
        option = known.get(by_spelling.get(spelling, ""))
        if option is None or option.get("deprecated"):
            yield f"{spelling} is none of its options"
        else:
            yield from (f"{spelling} {words}" for words in against_values(option, values))
    for key, option in known.items() if command.is_whole else ():
        if key not in given and (option.get("required") or (option.get("unless_ids") and "--ids" not in given)):
            yield f"{key} is missing"
    yield from against_tables(command)


def against_values(option: dict[str, Any], values: list[str]) -> Iterator[str]:
    """Yield what is wrong with the values of an option: their number, and those that are not among its choices."""
    count = option.get("values", 1)
    least, most = {"?": (0, 1), "*": (0, None), "+": (1, None)}.get(count, (count, count))
    if len(values) < least or (most is not None and len(values) > most):
        yield f"has {len(values)} values"
    choices = [one.lower() for one in option.get("choices", ())]
    for value in values:
        if choices and UNKNOWN not in value and value.lower() not in choices:
            yield f"cannot be {value}"


def against_tables(command: Command) -> Iterator[str]:
    """Yield what `-o table` leaves out, whatever it holds."""
    options = dict(command.options)
    query = " ".join(options.get("--query", []))
    if "table" in options.get("-o", []) + options.get("--output", []):
        yield from (f"{name} is left out of tables" for name in CLI["not_in_tables"] if re.search(rf"\b{name}:", query))


@pytest.mark.parametrize("command", WRITTEN, ids=lambda one: f"{one.page}: az {one.name}")
def test_the_cli_knows_the_command(command: Command) -> None:
    """With its options, their values, and those that it asks for where the command is to be run as it stands."""
    assert list(complaints(command)) == [], str(command)


def test_all_is_read() -> None:
    """Documents wherever they are, and each hook."""
    pages = {one.page for one in WRITTEN}
    assert {"README.md", "docs/ingest.md", "docs/runbooks/README.md"} <= pages
    assert {str(path.relative_to(INFRA.parent)) for path in (INFRA / "hooks").iterdir()} <= pages


def test_what_is_known_is_used() -> None:
    """So that the file is made anew when a command goes, as well."""
    assert sorted(COMMANDS) == sorted({one.name for one in WRITTEN if not is_group(one.name)})


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("group show -n a", []),
        ("group frobnicate -n a", ["no such command, or not in az_commands.json yet"]),
        ("group show --nam a", ["--nam is none of its options", "--name --resource-group -g -n is missing"]),
        ("group show --name=a --query=id", []),
        ("group show -n", ["-n has 0 values"]),
        ("group show -n a -o csv", ["-o cannot be csv"]),
        ("functionapp stop -g a", ["--name -n is missing"]),
        ("functionapp stop --ids a b", []),
        ("lock list -o table --query [].{id:id}", ["id is left out of tables"]),
    ],
)
def test_a_wrong_command_is_noticed(words: str, expected: list[str]) -> None:
    """By what the CLI would say against it."""
    assert list(complaints(Command("page", tuple(words.split()), is_whole=True))) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("group show", []),
        ("group show --id a", ["--id is none of its options"]),
        ("storage -n a", ["no such command, or not in az_commands.json yet"]),
    ],
)
def test_a_sentence_may_name_a_command(words: str, expected: list[str]) -> None:
    """Without what it asks for, or several at once; the options that it has are held against the CLI all the same."""
    assert list(complaints(Command("page", tuple(words.split()), is_whole=False))) == expected


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("az a \\\n    -b c; az d\naz e", ["a -b c", "d", "e"]),
        ("az a 'b; az c' \"d | az e\"", ["a b; az c d | az e"]),
        ('az a "$(az b -c "d e")" > f', ["b -c d e", f"a {UNKNOWN}"]),
        ("x=$(az a -o tsv)/y && ! az b | az c 2>&1", ["a -o tsv", "b", "c"]),
        ("f() { az a; }; for x in $(az b); do az c $x; done", ["a", "b", f"c {UNKNOWN}"]),
        ("az a # az b\n# az c\nif az d; then az e#f; fi", ["a", "d", "e#f"]),
        ("cat <<EOF | az a @-\n'az b' $(az c)\nEOF\naz d", ["a @-", "c", "d"]),
        ('az a "\\"b\\" ${c:-d}"', [f'a "b" {UNKNOWN}']),
        ("unlocked b az a | xargs az c -d", ["a", "c -d"]),
        ("trap 'az a \"$b\"; az c' EXIT; bash -c 'az d'; echo 'az e'", [f"a {UNKNOWN}", "c", "d"]),
    ],
)
def test_commands_are_read_as_the_shell_does(script: str, expected: list[str]) -> None:
    """Wherever they stand."""
    assert [" ".join(words) for words in of_a_script(script)] == expected


@pytest.mark.parametrize("script", ["az 'b", 'az "b', "x=$(az a", "cat <<EOF\naz a"])
def test_what_cannot_be_read_is_noticed(script: str) -> None:
    """Instead of being passed over."""
    with pytest.raises(ValueError, match=r"is open|not found"):
        list(of_a_script(script))


def test_commands_are_read_out_of_pages() -> None:
    """Of blocks in any language, of a pipeline's steps, of comments, and of sentences."""
    page = """
`az a` and `x=$(az b \\| az c)`, of `azd d`

```
az e -f <some words>
```
   ```bash
   frobnicate    # before it: az g -h
   ```
```yaml
steps:
  - run: >
      az i
      -j
```
"""
    whole, named = (
        [" ".join(words) for words, is_whole in of_a_page(page) if is_whole == wanted] for wanted in (True, False)
    )
    assert whole == [f"e -f {UNKNOWN}", "i -j"]
    assert named == ["a", "b", "c", "g -h"]


def test_the_subscription_that_is_made_by_hand_is_that_of_bicep() -> None:
    """With the same events, for the same queue, for ever."""
    [made] = [one for one in WRITTEN if one.page == "docs/ingest.md" and one.name == "rest"]
    body = json.loads(dict(made.options)["--body"][0], strict=False)
    assert set(body) == {"properties"}  # no location: Event Grid refuses one
    assert dict(made.options)["--url"][0].endswith(f"/dicom-arrivals?api-version={EVENT_GRID}")
    by_hand = body["properties"]
    file = read(INFRA / "modules/event-grid.bicep")
    expected = file.constant(file.object(file.declarations["arrivals"]))["properties"]
    assert by_hand["eventDeliverySchema"] == expected["eventDeliverySchema"]
    assert by_hand["filter"] == expected["filter"] | {"includedEventTypes": EVENT_TYPES}
    told, meant = (one["deliveryWithResourceIdentity"]["destination"] for one in (by_hand, expected))
    assert told["endpointType"] == meant["endpointType"]
    assert told["properties"] == meant["properties"] | {"resourceId": UNKNOWN}
