"""docs/deploying.md says what infra/ does."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml

from .alerts import ALERTS
from .apps import ACCESS, APP, MAIN, ROOT
from .bicep import INFRA, files, made, read

TEXT = (ROOT / "docs/deploying.md").read_text()


def table(heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, without its own head."""
    lines = TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0].splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[1:]]


def test_azds_own_tools_are_named() -> None:
    """azd stops where the tool of a service's language is missing, although Azure builds the packages."""
    languages = {
        service["language"] for service in yaml.safe_load((ROOT / "azure.yaml").read_text())["services"].values()
    }
    assert languages == {"python"}
    assert "[Python](https://www.python.org/downloads/)" in TEXT.partition("```bash")[0]


def test_packages_built_by_hand_are_those_of_the_app() -> None:
    """For its Python and its system, from the lock with its hashes; and .funcignore lets them through."""
    section = TEXT.partition("\n### Packages for another Python\n")[2].partition("\n## ")[0]
    [(_, body)] = made("Microsoft.Web/sites")
    runtime = APP.constant(APP.property(body, "properties"))["functionAppConfig"]["runtime"]
    words = shlex.split(re.findall(r"```bash\n(.*?)```", section, re.DOTALL)[0].replace("\\\n", " "))
    options = dict(pairwise(words))
    assert options["--python-version"] == runtime["version"]
    assert options["--python-platform"] == "x86_64-manylinux_2_28"
    assert options["--target"] == ".python_packages/lib/site-packages"
    assert options["-r"] == "requirements.txt"
    assert "--require-hashes" in words
    [line] = re.findall(r"`(!\.[\w.]+)`", section)
    ignored = (ROOT / ".funcignore").read_text()
    with TemporaryDirectory() as folder:
        subprocess.run(["git", "init", "-q", folder], check=True)
        for rules, is_ignored in ((ignored, True), (f"{ignored}{line}\n", False)):
            Path(folder, ".gitignore").write_text(rules)
            named = f"{options['--target']}/pydantic_core/__init__.py"
            asked = subprocess.run(["git", "check-ignore", "-q", named], cwd=folder, check=False)
            assert (asked.returncode == 0) == is_ignored


def test_the_parameters_are_documented() -> None:
    """Each by its variable, with its default and in its own words, in the file's order."""
    given = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    expected = []
    for one in MAIN.of_kind("parameter"):
        [variable] = re.findall(r"^\$\{([A-Z_]+)", given[one.name]["value"])
        default = MAIN.constant(one.value)
        shown = (
            "azd asks" if one.value is None else f"`{str(default).lower() if isinstance(default, bool) else default}`"
        )
        expected.append([f"`{variable}`", "not set" if default == "" else shown, *one.decorators["description"]])
    assert table("Parameters") == expected


def test_the_apps_are_documented() -> None:
    """Each with what it may do at the DICOM service."""
    words = {"store": "read, store", "read": "read", "purge": "read, delete"}
    told = dict(re.findall(r"^\| `(\w+)` \| ([a-z, ]+) \|", TEXT.partition("\n## Who")[0], re.MULTILINE))
    assert told == {app: words[rights["dicom"][0]] for app, rights in ACCESS.items()}


def test_the_first_checks_ask_for_outputs_that_there_are() -> None:
    """Variables of the shell come from azd, or from the command before; one azd has without being told."""
    used = set(re.findall(r"\$([A-Z_]{2,})", TEXT))
    assert used
    assert used <= {one.name for one in MAIN.of_kind("output")} | {"AZURE_ENV_NAME"}


@pytest.mark.parametrize(
    ("events_to", "there", "told"),
    [
        ("webhook", "store-on-upload", "Succeeded"),
        ("webhook", "dicom-arrivals", "no subscription"),
        ("queue", "dicom-arrivals", "Succeeded"),
        ("queue", "", "no subscription"),
    ],
)
def test_the_first_check_tells_of_a_missing_subscription(events_to: str, there: str, told: str) -> None:
    """The one that new files come by; the other one does not stand in for it."""
    [block] = re.findall(r"```bash\n((?:(?!```).)*no subscription[^`]*)```", TEXT, re.DOTALL)
    azure = f'az() {{ case "$*" in *"name==\'{there}\'"*) echo Succeeded;; esac; }}\n'
    done = subprocess.run(
        ["bash", "-c", azure + block], env={"EVENTS_TO": events_to}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == told


def test_the_settings_that_differ_are_named() -> None:
    """Those that infra/ sets to something else than the app does by itself."""
    named = re.findall(r"`([A-Z_]+=\w+)`", TEXT.partition("differ from the app's own defaults")[2].partition("\n")[0])
    settings = {**MAIN.variable("ingestSettings"), **MAIN.variable("lookupsSettings")}
    purge_mode = MAIN.constant(MAIN.declarations["purgeMode"].value)
    assert named == [
        f"AFTER_STORE={settings['AFTER_STORE']}",
        f"AUDIT={settings['AUDIT']}",
        f"PURGE_MODE={purge_mode}",
    ]


def test_what_was_made_for_two_apps_is_found_by_its_names() -> None:
    """When there is one app: all that has an app's name in its own, and nothing else of infra/."""
    [query] = set(re.findall(r"\[\?(contains\(name, .*?)\]\.", TEXT.partition("*From three apps to one.*")[2]))
    parts = re.findall(r"contains\(name, '([^']+)'\)", query)
    written = "\n".join(file.text for file in files())
    of_an_app = set(re.findall(r"^ +name: '([^'/\n]*\$\{(?:item\.)?name\}[^'/\n]*)'$", written, re.MULTILINE))
    of_an_app |= {"pe-st${name}", "ready-${item.name}"}
    assert len(of_an_app) > 5
    others = {*ALERTS, *re.findall(r"'([\w-]+)\$\{token\}'", MAIN.text), "func-ingest-token", "id-ingest-token"}
    for app in sorted(set(ACCESS) - {"ingest"}):
        wanted = [part.replace("$app", app) for part in parts]
        for name in of_an_app:
            named = re.sub(r"\$\{(?:item\.)?name\}", app, name)
            assert any(part in named for part in wanted), named
        assert [name for name in others if any(part in name for part in wanted)] == []


def test_senders_get_a_role_that_deletes_nothing() -> None:
    """Which the deployment tells of, and the page about senders gives."""
    given = MAIN.constant(MAIN.declarations["output SENDER_ROLE"].value).text
    role = read(INFRA / "access.bicep").variable("blobRoles")[given.removeprefix("ownBlobRoles.outputs.roleIds.")]
    assert not any("delete" in action for action in role["actions"] + role["dataActions"])
    feeding = (ROOT / "docs/feeding-the-inbox.md").read_text()
    assert "az role assignment create --role $SENDER_ROLE --assignee" in feeding


def test_every_file_is_documented() -> None:
    """All of infra/, and no other."""
    told = [name for row in table("Where what stands") for name in re.findall(r"`([^`]+)`", row[0])]
    assert sorted(told) == sorted(str(path.relative_to(INFRA)) for path in INFRA.rglob("*") if path.is_file())
