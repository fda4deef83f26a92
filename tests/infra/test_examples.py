"""The examples of the documents: the shell reads them, they name what is there, and they do what the page says."""

from __future__ import annotations

import re
import shlex
import subprocess
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from query_api.routes import ROUTES
from shared.events import FIELDS
from shared.settings import Settings, setting_name
from store_on_upload.verdict import Verdict
from tests.kit.documents import PAGES

from .alerts import ALERTS, LINES
from .apps import ACCESS, APP, MAIN, ROOT
from .bicep import INFRA, files, made, read
from .test_alerts import WRITTEN, comparisons

TEXTS = {str(page): (ROOT / page).read_text() for page in PAGES if page.name != "CHANGELOG.md"}
RUNBOOKS = {page: text for page, text in TEXTS.items() if page.startswith("docs/runbooks/")}
INDEX, DEPLOYING = RUNBOOKS["docs/runbooks/README.md"], TEXTS["docs/deploying.md"]
OUTPUTS = {one.name for one in MAIN.of_kind("output")}

in_each_page = pytest.mark.parametrize("page", TEXTS)


def blocks(text: str) -> list[str]:
    """Return what is to be pasted into a shell, with a word in the place of what has to be filled in."""
    found = re.findall(r"^ *```bash\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    return [re.sub(r"<[a-z][^<>|\n]*>", "word", block) for block in found]


@in_each_page
def test_a_shell_can_read_the_commands(page: str) -> None:
    """Each block by itself."""
    for block in blocks(TEXTS[page]):
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)


def test_the_commands_ask_for_outputs_that_there_are() -> None:
    """Variables of the shell in capital letters come from azd, which has one more without being told."""
    shell = "\n".join(block for text in (*RUNBOOKS.values(), DEPLOYING) for block in blocks(text))
    used = set(re.findall(r"\$\{?([A-Z_]{2,})", shell))
    assert used
    assert used <= OUTPUTS | {"AZURE_ENV_NAME"}


def test_the_routes_are_there() -> None:
    """Each that a command of a runbook calls, in the app whose address it has."""
    patterns = [route.path for route in ROUTES]
    for path in ROOT.glob("*/**/blueprint.py"):
        patterns += re.findall(r'route\("([^"*]+)"', path.read_text())
    known = [re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(pattern))) for pattern in patterns]
    shell = "\n".join(block for text in RUNBOOKS.values() for block in blocks(text))
    called = re.findall(r"(?:/api|\$LOOKUPS_URL)/([\w./-]+)", shell)
    assert len(called) > 5
    assert [path for path in called if not any(pattern.fullmatch(path) for pattern in known)] == []


@in_each_page
def test_the_queries_ask_for_what_the_code_writes(page: str) -> None:
    """Events, fields that they have, verdicts."""
    for query in re.findall(r"\blog '([^']+)'", TEXTS[page]):
        assert not re.search(r"\bline\.\w+ (?:[<>]|[=!]= [^\"])", query), "cast a dynamic value before you compare it"
        asked = list(comparisons(query))
        events = {name for field, values in asked if field == "event" for name in values}
        assert events <= set(WRITTEN)
        fields = {field for field, _ in asked} - {"event"}
        assert fields <= FIELDS & {field for name in events for field in WRITTEN[name].fields}, query
        assert {value for field, values in asked if field == "verdict" for value in values} <= set(Verdict)


@pytest.mark.parametrize("page", RUNBOOKS)
def test_settings_that_are_named_are_there(page: str) -> None:
    """And variables of the deployment."""
    prose = re.sub(r"```.*?```", "", RUNBOOKS[page], flags=re.DOTALL)
    named = {re.split(r"[= ]", one)[0] for one in re.findall(r"`([A-Z_]{2,}(?:[= ][^`\n]*)?)`", prose)}
    variables = set(re.findall(r"\$\{([A-Z_]+)", (INFRA / "main.parameters.json").read_text()))
    assert named <= {setting_name(field) for field in Settings.model_fields} | variables | OUTPUTS | {"STOP"}


def test_the_query_of_the_index_is_that_of_the_alerts() -> None:
    """Lines are what they are there, and have the same columns."""
    [given] = re.findall(r'log\(\) \{ query "(.*) \| \$1"', INDEX)
    assert given.replace("'", '"') == LINES


def test_what_a_lock_forbids_is_done_without_it() -> None:
    """Roles and users of SFTP, wherever a document has them deleted; the lock comes back, unless all is taken down."""
    forbidden = re.compile(r"^.*az (?:role assignment|storage account local-user) delete .*$", re.MULTILINE)
    found = 0
    for path, text in TEXTS.items():
        for block in blocks(text):
            around = block.partition("az lock delete -n keep ")[2].rpartition("az lock create -n keep ")[0]
            around += block.partition("az lock delete --ids ")[2].rpartition("azd down")[0]
            for line in forbidden.findall(block):
                found += 1
                assert line in around or re.match(r'unlocked "\$', line), f"{path}: {line}"
    assert found > 3


def run(script: str) -> str:
    """Return what a script prints, in the shell that the pages are for."""
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout


def test_the_functions_of_the_index_ask_as_they_are_told() -> None:
    """The log in the workspace, back to when they are told, or for six hours; a key of an app; a secret."""
    azure = 'az() { printf "%s\\n" "$*"; }\nazd() { printf \'LOG_WORKSPACE="the-log"\\nKEY_VAULT="the-vault"\\n\'; }\n'
    begin = azure + blocks(INDEX)[0]
    asked = run(begin + "log 'where event == \"sweep\"' PT1H").splitlines()[-1]
    assert asked.startswith(
        "monitor log-analytics query -w the-log --timespan PT1H -o table --analytics-query AppTraces"
    )
    assert asked.endswith(' | where event == "sweep"')
    assert "--timespan PT6H " in run(begin + "query AppRequests").splitlines()[-1]
    assert "-n the-app --query functionKeys.default" in run(begin + "key the-app").splitlines()[-1]
    assert "--vault-name the-vault -n approval-key" in run(begin + "secret approval-key").splitlines()[-1]


def test_a_lock_is_off_for_one_command_and_comes_back() -> None:
    """Also where the command fails, or is interrupted; and where the lock stays, the command is not run."""
    azure = 'azd() { :; }\naz() { printf "%s\\n" "$*"; [[ "$*" != *"$REFUSED"* ]]; }\n' + blocks(INDEX)[0]
    done = ["lock delete -n keep --resource /the/account", "role assignment delete --ids one"]
    back = "lock create -n keep --resource /the/account --lock-type CanNotDelete -o none"

    def said(command: str, refused: str = "nothing at all") -> list[str]:
        told = run(f"REFUSED='{refused}'\n{azure}\n{command} && echo done || echo failed")
        return told.splitlines()[-4:]

    command = "unlocked /the/account az role assignment delete --ids one"
    assert said(command) == [*done, back, "done"]
    assert said(command, refused="assignment delete") == [*done, back, "failed"]
    assert said(command, refused="lock delete")[-2:] == [done[0], "failed"]
    interrupted = "unlocked /the/account bash -c 'kill -INT $PPID $$'"  # both, as by a key
    assert said(interrupted)[-2:] == [back, "failed"]


def test_packages_built_by_hand_are_those_of_the_app() -> None:
    """For its Python and its system, from the lock with its hashes; and .funcignore lets them through."""
    section = DEPLOYING.partition("\n### Packages for another Python\n")[2].partition("\n## ")[0]
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
    [block] = re.findall(r"```bash\n((?:(?!```).)*no subscription[^`]*)```", DEPLOYING, re.DOTALL)
    azure = f'az() {{ case "$*" in *"name==\'{there}\'"*) echo Succeeded;; esac; }}\n'
    done = subprocess.run(
        ["bash", "-c", azure + block], env={"EVENTS_TO": events_to}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == told


def test_what_was_made_for_two_apps_is_found_by_its_names() -> None:
    """When there is one app: all that has an app's name in its own, and nothing else of infra/."""
    [query] = set(re.findall(r"\[\?(contains\(name, .*?)\]\.", DEPLOYING.partition("*From three apps to one.*")[2]))
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
