"""The examples of the documents: the shell reads them, they name what is there, and they do what the page says."""

from __future__ import annotations

import re
import shlex
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from query_api.routes import ROUTES
from shared.events import FIELDS
from shared.settings import Settings, setting_name
from store_on_upload.verdict import Verdict
from tests.kit.documents import PAGES

from .alerts import ALERTS, LINES, asked, compares_dynamic, comparisons
from .apps import ACCESS, MAIN, ROOT
from .bicep import INFRA, files, made
from .test_alerts import WRITTEN

TEXTS = {str(page): (ROOT / page).read_text() for page in PAGES if page.name != "CHANGELOG.md"}
RUNBOOKS = {page: text for page, text in TEXTS.items() if page.startswith("docs/runbooks/")}
INDEX, DEPLOYING = RUNBOOKS["docs/runbooks/README.md"], TEXTS["docs/deploying.md"]
OUTPUTS = {one.name for one in MAIN.of_kind("output")}


def blocks(text: str) -> list[str]:
    """Return what is to be pasted into a shell, with a word in the place of what has to be filled in."""
    found = re.findall(r"^ *```bash\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    return [re.sub(r"<[a-z][^<>|\n]*>", "word", block) for block in found]


SHELL = "\n".join(block for text in RUNBOOKS.values() for block in blocks(text))


def run(script: str, **environment: str) -> str:
    """Return what a script prints, in the shell that the pages are for."""
    return subprocess.run(
        ["bash", "-c", script], env=environment or None, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize("page", TEXTS)
def test_a_shell_can_read_the_commands_and_the_log_has_what_queries_ask_for(page: str) -> None:
    for block in blocks(TEXTS[page]):
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)
    for query in re.findall(r"\blog '([^']+)'", TEXTS[page]):
        assert not compares_dynamic(query), "cast a dynamic value before you compare it"
        events, fields = asked(query), {field for field, _ in comparisons(query)} - {"event"}
        assert events <= set(WRITTEN)
        assert fields <= FIELDS & {field for name in events for field in WRITTEN[name].fields}, query
        assert {value for field, values in comparisons(query) if field == "verdict" for value in values} <= set(Verdict)


def test_the_commands_name_outputs_and_routes_that_there_are() -> None:
    """Variables of the shell in capital letters come from azd, which has one more without being told."""
    used = set(re.findall(r"\$\{?([A-Z_]{2,})", SHELL + "\n".join(blocks(DEPLOYING))))
    assert set() < used <= OUTPUTS | {"AZURE_ENV_NAME"}
    blueprints = "".join(path.read_text() for path in ROOT.glob("*/**/blueprint.py"))
    patterns = [*(route.path for route in ROUTES), *re.findall(r'route\("([^"*]+)"', blueprints)]
    known = [re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(pattern))) for pattern in patterns]
    called = re.findall(r"(?:/api|\$LOOKUPS_URL)/([\w./-]+)", SHELL)
    assert len(called) > 5
    assert [path for path in called if not any(pattern.fullmatch(path) for pattern in known)] == []


@pytest.mark.parametrize("page", RUNBOOKS)
def test_settings_that_are_named_are_there(page: str) -> None:
    """And variables of the deployment."""
    prose = re.sub(r"```.*?```", "", RUNBOOKS[page], flags=re.DOTALL)
    named = {re.split(r"[= ]", one)[0] for one in re.findall(r"`([A-Z_]{2,}(?:[= ][^`\n]*)?)`", prose)}
    variables = set(re.findall(r"\$\{([A-Z_]+)", (INFRA / "main.parameters.json").read_text()))
    assert named <= {setting_name(field) for field in Settings.model_fields} | variables | OUTPUTS | {"STOP"}


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


def test_the_functions_of_the_index_ask_as_they_are_told() -> None:
    """The log in the workspace, as alerts ask for it, for six hours unless told; a key of an app; a secret."""
    [given] = re.findall(r'log\(\) \{ query "(.*) \| \$1"', INDEX)
    assert given.replace("'", '"') == LINES
    begin = 'az() { printf "%s\\n" "$*"; }\nazd() { printf \'LOG_WORKSPACE="the-log"\\nKEY_VAULT="the-vault"\\n\'; }\n'
    begin += blocks(INDEX)[0]
    line = run(begin + "log 'where event == \"sweep\"' PT1H").splitlines()[-1]
    assert re.fullmatch(
        r"monitor log-analytics query -w the-log --timespan PT1H -o table --analytics-query AppTraces.*"
        r' \| where event == "sweep"',
        line,
    )
    assert "--timespan PT6H " in run(begin + "query AppRequests").splitlines()[-1]
    assert "-n the-app --query functionKeys.default" in run(begin + "key the-app").splitlines()[-1]
    assert "--vault-name the-vault -n approval-key" in run(begin + "secret approval-key").splitlines()[-1]


OFF, DONE = "lock delete -n keep --resource /the/account", "role assignment delete --ids one"
BACK = "lock create -n keep --resource /the/account --lock-type CanNotDelete -o none"


@pytest.mark.parametrize(
    ("command", "refused", "expected"),
    [
        (f"az {DONE}", "nothing at all", [OFF, DONE, BACK, "done"]),
        (f"az {DONE}", "assignment delete", [OFF, DONE, BACK, "failed"]),
        (f"az {DONE}", "lock delete", [OFF, "failed"]),
        ("bash -c 'kill -INT $PPID $$'", "nothing at all", [BACK, "failed"]),  # both, as by a key
    ],
    ids=["it succeeds", "it fails", "the lock stays: it is not run", "it is interrupted"],
)
def test_a_lock_is_off_for_one_command_and_comes_back(command: str, refused: str, expected: list[str]) -> None:
    azure = 'azd() { :; }\naz() { printf "%s\\n" "$*"; [[ "$*" != *"$REFUSED"* ]]; }\n' + blocks(INDEX)[0]
    told = run(f"REFUSED='{refused}'\n{azure}\nunlocked /the/account {command} && echo done || echo failed")
    assert told.splitlines()[-len(expected) :] == expected


def test_packages_built_by_hand_are_those_of_the_app(tmp_path: Path) -> None:
    """For its Python and its system, from the lock with its hashes; and .funcignore lets them through."""
    section = DEPLOYING.partition("\n### Packages for another Python\n")[2].partition("\n## ")[0]
    [(_, body)] = made("Microsoft.Web/sites")
    words = shlex.split(re.findall(r"```bash\n(.*?)```", section, re.DOTALL)[0].replace("\\\n", " "))
    assert "--require-hashes" in words
    assert (
        dict(pairwise(words)).items()
        >= {
            "--python-version": body["properties"]["functionAppConfig"]["runtime"]["version"],
            "--python-platform": "x86_64-manylinux_2_28",
            "--target": ".python_packages/lib/site-packages",
            "-r": "requirements.txt",
        }.items()
    )
    [line] = re.findall(r"`(!\.[\w.]+)`", section)
    ignored = (ROOT / ".funcignore").read_text()
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    for rules, code in ((ignored, 0), (f"{ignored}{line}\n", 1)):
        (tmp_path / ".gitignore").write_text(rules)
        named = ".python_packages/lib/site-packages/pydantic_core/__init__.py"
        assert subprocess.run(["git", "check-ignore", "-q", named], cwd=tmp_path, check=False).returncode == code


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
    assert run(azure + block, EVENTS_TO=events_to).strip() == told


def test_what_was_made_for_two_apps_is_found_by_its_names() -> None:
    """When there is one app: all that has an app's name in its own, and nothing else of infra/."""
    [query] = set(re.findall(r"\[\?(contains\(name, .*?)\]\.", DEPLOYING.partition("*From three apps to one.*")[2]))
    parts = re.findall(r"contains\(name, '([^']+)'\)", query)
    text = "\n".join(file.text for file in files())
    of_an_app = set(re.findall(r"^ +name: '([^'/\n]*\$\{(?:item\.)?name\}[^'/\n]*)'$", text, re.MULTILINE))
    of_an_app |= {"pe-st${name}", "ready-${item.name}"}
    assert len(of_an_app) > 5
    others = {*ALERTS, *re.findall(r"'([\w-]+)\$\{token\}'", MAIN.text), "func-ingest-token", "id-ingest-token"}
    for app in sorted(set(ACCESS) - {"ingest"}):
        wanted = [part.replace("$app", app) for part in parts]
        named = [re.sub(r"\$\{(?:item\.)?name\}", app, name) for name in of_an_app]
        assert [name for name in named if not any(part in name for part in wanted)] == []
        assert [name for name in others if any(part in name for part in wanted)] == []
