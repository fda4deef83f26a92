"""docs/runbooks: a page for each alert, and nothing on it that is not so."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from query_api.routes import ROUTES
from shared.events import FIELDS
from shared.settings import FUNCTION_FOLDERS, Settings, setting_name
from store_on_upload.verdict import Verdict

from .alerts import ALERTS, LINES
from .alerts import FILE as ALERT_FILE
from .apps import ACCESS, MAIN, ROOT, granted
from .bicep import INFRA, evaluate, read
from .test_alerts import WRITTEN, comparisons
from .test_guards import ROLE_IDS

FOLDER = ROOT / "docs/runbooks"
PAGES = {path.stem: path.read_text() for path in sorted(FOLDER.glob("*.md"))}
INDEX = PAGES.pop("README")
HEADINGS = ["What it means", "What to look at", "What to do", "How to know that it is over"]
PROJECT = yaml.safe_load((ROOT / "azure.yaml").read_text())["name"]
OUTPUTS = {one.name for one in MAIN.of_kind("output")}
STORAGE = read(INFRA / "modules/data-storage.bicep"), read(INFRA / "modules/records-storage.bicep")
CODE = "".join(path.read_text() for folder in ("shared", *FUNCTION_FOLDERS) for path in (ROOT / folder).rglob("*.py"))
ROLES = read(INFRA / "access.bicep")
# What Azure calls them.
BUILT_IN = {
    "dicomDataReader": "DICOM Data Reader",
    "storageBlobDataOwner": "Storage Blob Data Owner",
    "storageBlobDataReader": "Storage Blob Data Reader",
    "storageQueueDataContributor": "Storage Queue Data Contributor",
    "storageQueueDataMessageSender": "Storage Queue Data Message Sender",
    "storageQueueDataReader": "Storage Queue Data Reader",
    "storageTableDataContributor": "Storage Table Data Contributor",
    "keyVaultSecretsUser": "Key Vault Secrets User",
    "monitoringMetricsPublisher": "Monitoring Metrics Publisher",
}
# Of the Functions host: the key by which Event Grid calls the blob trigger.
FOREIGN_WORDS = {"blobs_extension"}


def told() -> dict[str, tuple[int, str]]:
    """Return what each alert says, with its severity."""
    return {name: (alert["severity"], alert["says"]) for name, alert in ALERTS.items()}


def rows(text: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, without its head."""
    lines = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("| ")][1:]


def blocks(text: str) -> list[str]:
    """Return what is to be pasted into a shell, with a word in the place of what has to be filled in."""
    found = re.findall(r"^ *```bash\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    return [re.sub(r"<[a-z][^<>|\n]*>", "word", block) for block in found]


def shell() -> str:
    """Return all of them."""
    return "\n".join(block for text in (INDEX, *PAGES.values()) for block in blocks(text))


in_each_text = pytest.mark.parametrize("text", [INDEX, *PAGES.values()], ids=["README", *PAGES])


def test_each_alert_has_a_page_and_each_page_its_alert() -> None:
    """In the index's tables, in the order of infra/, with severity and words."""
    expected = [[f"[{name}]({name}.md)", str(severity), says] for name, (severity, says) in told().items()]
    assert rows(INDEX, "Alerts") == expected
    others = [re.findall(r"\[([\w-]+)\]", row[0])[0] for row in rows(INDEX, "Other pages")]
    assert sorted([*told(), *others]) == sorted(PAGES)


@pytest.mark.parametrize("name", told())
def test_a_page_has_what_whoever_is_on_call_looks_for(name: str) -> None:
    """Its alert's words first, then four headings, the same on each page."""
    severity, says = told()[name]
    assert PAGES[name].startswith(f"# {name}\n\nSeverity {severity}. {says}\n")
    assert re.findall(r"^## (.+)", PAGES[name], re.MULTILINE) == HEADINGS


@pytest.mark.parametrize(
    ("runbooks_url", "page"),
    [
        (
            "",
            f"read the runbook docs/runbooks/{{name}}.md in the repository of the project {PROJECT}, from which this "
            "app was deployed.",
        ),
        ("https://example.org/docs/runbooks", "https://example.org/docs/runbooks/{name}.md"),
        ("https://example.org/docs/runbooks/", "https://example.org/docs/runbooks/{name}.md"),
    ],
    ids=["none", "without slash", "with slash"],
)
def test_an_alert_names_its_page(runbooks_url: str, page: str) -> None:
    """The description, which the mail has, ends with the page's address, or says in which repository the file is."""
    parameters = {"runbooksUrl": runbooks_url}
    folder = evaluate(ALERT_FILE.variable("runbooks"), parameters)
    description = ALERT_FILE.constant(ALERT_FILE.object(ALERT_FILE.declarations["alert"]))["properties"]["description"]
    for name, alert in ALERTS.items():
        said = evaluate(description, {**parameters, "runbooks": folder, "item": alert})
        assert said == f"{alert['says']} What to do: {page.format(name=name)}"


@in_each_text
def test_a_shell_can_read_the_commands(text: str) -> None:
    """Each block by itself."""
    for block in blocks(text):
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)


def test_the_commands_ask_for_outputs_that_there_are() -> None:
    """Variables of the shell in capital letters come from azd."""
    used = set(re.findall(r"\$\{?([A-Z_]{2,})", shell()))
    assert used
    assert used <= OUTPUTS


def test_the_commands_of_this_repository_are_there() -> None:
    """Each `make …`, wherever it stands, and each script."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = "".join([INDEX, *PAGES.values()])
    named = set(re.findall(r"(?:`|^ *)make ([a-z-]+)", text, re.MULTILINE))
    assert named
    assert named <= targets
    assert all((ROOT / path).exists() for path in re.findall(r"infra/[\w/-]+\.\w+", text))


def test_the_routes_are_there() -> None:
    """Each that a command calls, in the app whose address it has."""
    patterns = [pattern for path in ROOT.glob("*/**/blueprint.py") for pattern in _routes(path)]
    patterns += [route.path for route in ROUTES]
    known = [re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(pattern))) for pattern in patterns]
    called = re.findall(r"(?:/api|\$LOOKUPS_URL)/([\w./-]+)", shell())
    assert len(called) > 5
    for path in called:
        assert any(pattern.fullmatch(path) for pattern in known), path


def _routes(path: Path) -> list[str]:
    return re.findall(r'route\("([^"*]+)"', path.read_text())


@in_each_text
def test_the_queries_ask_for_what_the_code_writes(text: str) -> None:
    """Events, fields that they have, verdicts."""
    for query in re.findall(r"\blog '([^']+)'", text):
        assert not re.search(r"\bline\.\w+ (?:[<>]|[=!]= [^\"])", query), (
            "a dynamic value is cast before it is compared"
        )
        asked = list(comparisons(query))
        events = {name for field, values in asked if field == "event" for name in values}
        assert events <= set(WRITTEN)
        fields = {field for field, _ in asked} - {"event"}
        assert fields <= FIELDS
        assert fields <= {field for name in events for field in WRITTEN[name].fields}, query
        assert {value for field, values in asked if field == "verdict" for value in values} <= set(Verdict)


def test_the_query_of_the_index_is_that_of_the_alerts() -> None:
    """Lines are what they are there, and have the same columns."""
    [given] = re.findall(r'log\(\) \{ query "(.*) \| \$1"', INDEX)
    assert given.replace("'", '"') == LINES


@in_each_text
def test_what_is_named_is_there(text: str) -> None:
    """Settings and variables, containers and queues, and whatever is written like a name of the code."""
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    named = set(re.findall(r"`([^`\n]+)`", prose))
    capitals = {re.split(r"[= ]", one)[0] for one in named if re.fullmatch(r"[A-Z_]{2,}(?:[= ].*)?", one)}
    variables = set(re.findall(r"\$\{([A-Z_]+)", (INFRA / "main.parameters.json").read_text()))
    settings = {setting_name(field) for field in Settings.model_fields}
    assert capitals <= settings | variables | OUTPUTS | {"STOP"}
    stores = {one for one in named if re.fullmatch(r"(?:dicom|retention|webjobs|access|event-grid)-[a-z-]+", one)}
    assert stores <= containers() | queues()
    words = {one for one in named if re.fullmatch(r"[a-z]+(?:_[a-z]+)+", one)}
    assert words <= set(re.findall(r"\w+", CODE)) | FOREIGN_WORDS


def containers() -> set[str]:
    """Return all containers of infra/."""
    found = STORAGE[0].variable("containers"), STORAGE[1].variable("containers")
    return {*found[0], *(one["name"] for one in found[1])}


def queues() -> set[str]:
    """Return all queues of infra/."""
    return set(STORAGE[0].variable("queues"))


def test_the_loss_of_each_container_and_queue_is_told() -> None:
    """One of the table's rows has it."""
    lost = [row[0] for row in rows(PAGES["restoring-after-a-storage-loss"], "What each loss means")]
    assert {name for cell in lost for name in re.findall(r"`([a-z-]+)`", cell)} == containers() | queues()


def test_each_key_is_told() -> None:
    """Secrets of infra/, each with what it does when it is changed, and which apps have to take it up."""
    text = PAGES["rotating-keys"]
    table = re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE)
    secrets = {name for app in ACCESS.values() for name in app["secrets"]}
    assert {key.lower().replace("_", "-") for key in table} == secrets
    for secret in ("replay-key", "approval-key", "audit-key"):
        having = [app for app in ACCESS if secret in ACCESS[app]["secrets"]]
        clause = re.findall(rf"((?:`\$\w+_APP`[ and]*)+) for `{secret}`", text)
        assert clause == [" and ".join(f"`${app.upper()}_APP`" for app in having)]


def test_roles_are_told_by_their_names() -> None:
    """All that infra/ gives to apps, ours by their titles; and what only an earlier version gave is not given now."""
    section = PAGES["upgrading"].partition("\n## Roles that are given no more\n")[2].partition("\n## ")[0]
    there, _, taken = re.sub(r"```.*?```", "", section, flags=re.DOTALL).partition("Taken away so far")
    titles = {name: f"…: {role['title']}" for name, role in {**blob_roles(), **dicom_roles()}.items()}
    told = set(re.findall(r"\*([^*]+)\*", there))
    assert told == {*titles.values(), *BUILT_IN.values()}
    assert set(BUILT_IN) == set(ROLE_IDS) - {"storageBlobDataContributor"}  # which Event Grid has
    former = re.findall(r"^\| `(\w+)` \| `([\w-]+)` \| \*([^*]+)\* \|", taken, re.MULTILINE)
    assert len(former) > 2
    for app, container, role in former:
        now = granted(app).get(container)
        assert role in told
        assert now is None or role != (BUILT_IN["storageBlobDataReader"] if now == "read" else titles[now])
    for app, secret in re.findall(r"^\| `(\w+)` \| secret `([\w-]+)` \|", taken, re.MULTILINE):
        assert secret not in ACCESS[app]["secrets"]


def blob_roles() -> dict[str, dict[str, str]]:
    """Return our own roles on containers."""
    return dict(ROLES.variable("blobRoles"))


def dicom_roles() -> dict[str, dict[str, str]]:
    """Return our own roles on the DICOM service."""
    return dict(ROLES.variable("dicomRoles"))


def test_what_a_lock_forbids_is_done_without_it() -> None:
    """Roles and users of SFTP, wherever a document has them deleted; the lock comes back, unless all is taken down."""
    forbidden = re.compile(r"^.*az (?:role assignment|storage account local-user) delete .*$", re.MULTILINE)
    found = 0
    for path in (ROOT / "docs").rglob("*.md"):
        for block in blocks(path.read_text()):
            around = block.partition("az lock delete -n keep ")[2].rpartition("az lock create -n keep ")[0]
            around += block.partition("az lock delete --ids ")[2].rpartition("azd down")[0]
            for line in forbidden.findall(block):
                found += 1
                assert line in around or re.match(r'unlocked "\$', line), f"{path}: {line}"
    assert found > 3


def test_who_asks_the_dicom_service_is_told_from_where() -> None:
    """On each page that does, for in a private network it answers nobody outside."""
    asking = {name for name, text in PAGES.items() if '"$DICOM_SERVICE_URL/' in text}
    assert len(asking) > 2
    for name in asking:
        assert "README.md#inside-the-private-network" in PAGES[name], name


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
