"""Each command of the runbooks that needs no Azure is run, as it stands in its page, and shows what the page says."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient
from pydicom import dcmread
from pydicom.uid import generate_uid

from local import samples
from local.commands import ROOT
from local.pid_file import hold
from local.stack import Stack
from local.up import ACCESS_FILE, PID_FILE, _write_access
from purge_study.planning.plan import plan_id
from tests.conftest import APPROVAL_KEY, REPLAY_KEY
from tests.kit.drop_box import DropBox, make_instance, wait_for
from tests.kit.nights import Nights
from tests.kit.page_commands import _AZURE, TARGETS_ELSEWHERE, Ran, Shell, blocks
from tests.kit.plans import jsonl, plan
from tests.kit.purged import Purged
from tests.kit.stack_service import Service

RUNBOOKS = {path.stem: path.read_text() for path in sorted((ROOT / "docs/runbooks").glob("*.md"))}
FEEDING = (ROOT / "docs/feeding-the-inbox.md").read_text()
OTHERS = ("CONTRIBUTING.md", "docs/deploying.md", "docs/feeding-the-inbox.md")
PAGES = {**RUNBOOKS, **{Path(name).stem: (ROOT / name).read_text() for name in OTHERS}}
PAGES = {name: text for name, text in PAGES.items() if blocks(text)}
BEFORE_ANYTHING_ELSE = blocks(RUNBOOKS.pop("README"))[0]
# DCMTK's programs, and the folders that they fill: tests/live/test_gateway.py has them.
OF_THE_GATEWAY = re.compile(r"^(?:storescp|echoscu|dcmsend)\b|^find complete\b", re.MULTILINE)
POLICY = """
[policy]
time_zone = "Europe/Berlin"

[[rule]]
name = "everything"
keep_years = 10
"""
NEVER = "0 0 0 1 1 *"  # but for who fires it
ADDS_UP = r"^differences +0$"
ANSWERED = r"^20[04]$"
# What each page says one sees, in its order.
SEEN = {
    "access-not-recorded": [ANSWERED],
    "brake-tripped": [r'"plans": ?\['],
    "deploying": [r"^200 ", r"^200 ", r"^200 ", '"verdict": ?"stored"', r'\[\{"0008'],
    "file-given-up": [r"^404$", r"^404$", r'"found": ?1, ?"sent": ?1', '"verdict": ?"conflict"'],
    "files-refused": [
        r'"dry_run": ?true, ?"found": ?\d+, ?"sent": ?0',
        r'"dry_run": ?false, ?"found": ?\d+, ?"sent": ?\d',
    ],
    "files-waiting": ['"verdict": ?"conflict"'],
    "instance-purged-late": ['"action": ?"Create"'],
    "lookups-failing": [r'^\[\{"'],
    "moving-from-an-uploader": [ADDS_UP, ADDS_UP, ADDS_UP],
    "no-plan": [r'"plans": ?\['],
    "no-probe": [ANSWERED],
    "no-sweep": [ANSWERED],
    "not-ready": [r"^200 ", r"^200 ", r"^200 "],
    "outage": [ANSWERED],
    "restoring-after-a-storage-loss": [ADDS_UP],
    "retention-refused": ['"code": ?"no-such-study"'],
    "putting-an-instance-back": ['"verdict": ?"conflict"'],
    "plan-to-approve": [r'"plans": ?\['],
    "purged-too-soon": ['"code": ?"not-in-vault"'],
    "rotating-keys": [ANSWERED],
    "study-failing": [r'"plans": ?\['],
    "upgrading": [ADDS_UP, "Due for deletion", ADDS_UP],
    "feeding-the-inbox": ['"verdict": ?"conflict"'],
}
# Whose files replace what is stored, as the page about putting an instance back asks for.
SOURCES = """
[[source]]
name = "put-back"
prefix = "put-back/"
on_conflict = "replace"
"""
# Copies within this machine's account, as Azure would in its own.
COPYING = """\
case "$*" in "storage blob copy start "*) exec "$PYTHON" - "$@" <<'END'
import os, sys
from urllib.parse import unquote, urlsplit
from azure.storage.blob import BlobServiceClient
given = dict(zip(sys.argv, sys.argv[1:]))
source = unquote(urlsplit(given["--source-uri"]).path).removeprefix("/").partition("/")
with BlobServiceClient.from_connection_string(os.environ["DICOM_STORAGE"]) as storage:
    copy = storage.get_blob_client(given["--destination-container"], given["--destination-blob"])
    copy.start_copy_from_url(storage.get_blob_client(source[0], source[2]).url)
END
esac
"""
# All answers of those pages of which some are meant to be others than 2xx; of what a store has left, nothing is here.
STATUSES = {"retention-refused": ("404",), "purged-too-soon": ("404",), "file-given-up": ("404", "404", "200", "200")}
# What a page has run by hand, by the event that tells of it.
RUN_BY_HAND = {"no-plan": "retention_night", "no-probe": "probe"}


@dataclass(frozen=True)
class Installation:
    """A stack on which all has happened that the pages speak of.

    Args:
        refused: the name of a file in quarantine.
        plan: the id of retention's last plan.
    """

    stack: Stack
    refused: str
    plan: str


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One like that of the other tests, with probes as infra/ has them."""
    folder = tmp_path_factory.mktemp("stack")
    sources = folder / "sources.toml"
    sources.write_text(SOURCES)
    settings = {
        "APPROVAL_KEY": APPROVAL_KEY,
        "REPLAY_KEY": REPLAY_KEY,
        "PROBE_SCHEDULE": NEVER,
        "SOURCES_PATH": str(sources),
    }
    with Stack(folder, auth=True, poll_seconds=0.25, settings=settings, in_memory=True) as running:
        yield running


@pytest.fixture(scope="module")
def installation(stack: Stack) -> Installation:
    """A file is stored, another in quarantine, and retention has made a plan."""
    box, nights = DropBox(stack), Nights(stack)
    instance = make_instance()
    assert box.settle("first.dcm", instance.content)["verdict"] == "stored"
    refused = "ward 7/edited.dcm"
    assert box.settle(refused, samples.with_other_pixels(instance.content))["verdict"] == "conflict"
    nights.write("policy.toml", POLICY)
    return Installation(stack, refused, nights.night().event["plan"])


def outputs() -> dict[str, str]:
    """Return what infra/ tells of what it has made, by its names; parameters have their defaults."""
    names = re.findall(r"^output ([A-Z_]+)", (ROOT / "infra/main.bicep").read_text(), re.MULTILINE)
    given = json.loads((ROOT / "infra/main.parameters.json").read_text())["parameters"].values()
    parameters = dict(re.findall(r"^\$\{([A-Z_]+)=?(.*)\}$", "\n".join(one["value"] for one in given), re.MULTILINE))
    return {name: parameters.get(name, f"the-{name.lower().replace('_', '-')}") for name in names}


def run(
    installation: Installation,
    folder: Path,
    *commands: str,
    is_up: bool = False,
    az: str | None = None,
    **others: str,
) -> Ran:
    """Run commands of pages.

    Args:
        installation: what they are about.
        folder: for what they are given and leave.
        commands: the blocks.
        is_up: whether the stack is to be found as that of `make up`.
        az: what stands for Azure's own program, if it is to do more than the usual one.
        others: what stands for `<…>`, beside what always does.
    """
    filled_in = {
        "name": installation.refused,
        "blob of the reason": installation.refused,
        "plan": installation.plan,
        "your policy.toml": "local/retention/policy.toml",
        "version": "HEAD",
        "what ran before": "HEAD",
        "a time": "2026-01-01T00:00:00Z",
        "study": "1.2.3",  # of which nothing is there
        "series": "1.2.3.4",
        "instance": "1.2.3.4.5",
        **others,
    }
    shell = Shell(installation.stack, folder, outputs(), programs={"az": az} if az else None)
    with up(installation.stack, shell.data) if is_up else nullcontext():
        return shell.run(*commands, filled_in=filled_in)


@contextmanager
def up(stack: Stack, folder: Path) -> Iterator[None]:
    """Let a stack be found in a folder, as `make up` does."""
    folder.mkdir()
    held = hold(folder / PID_FILE)
    _write_access(stack, folder / ACCESS_FILE)
    yield
    os.close(held)


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page(installation: Installation, tmp_path: Path, page: str) -> None:
    """All are known, none fails, each answer is a good one, and what is seen is what the page says."""
    commands = [block for block in blocks(PAGES[page]) if not OF_THE_GATEWAY.search(block)]
    box, told = DropBox(installation.stack), RUN_BY_HAND.get(page, "")
    told_before = len(box.events(told))
    ran = run(installation, tmp_path, BEFORE_ANYTHING_ELSE, *commands)
    assert ran.unknown == (), f"needs no Azure, and is not run: {ran.unknown}"
    assert ran.code == 0, f"{ran.output}\n{ran.errors}"
    if page in STATUSES:
        assert ran.statuses == STATUSES[page], ran.output
    else:
        assert set(ran.statuses) <= {"200", "202", "204"}, ran.output
    at = 0
    for pattern in SEEN.get(page, []):
        found = re.compile(pattern, re.MULTILINE).search(ran.output, at)
        assert found, f"{pattern} is not in:\n{ran.output[at:]}"
        at = found.end()
    if told:
        wait_for(lambda: box.events(told)[told_before:] or None, f"no {told}")


def test_the_commands_within_sentences(installation: Installation, tmp_path: Path) -> None:
    """Of the runbooks; each takes what it is given there."""
    written = re.compile(r"`((?:make|git) [^`\n]+|reconcile)`")
    commands = sorted({one for text in RUNBOOKS.values() for one in written.findall(text)})
    assert len(commands) > 2
    ran = run(installation, tmp_path, BEFORE_ANYTHING_ELSE, *commands, file="local/retention/policy.toml")
    assert (ran.code, ran.unknown) == (0, ()), f"{ran.output}\n{ran.errors}"


def purged(box: DropBox) -> str:
    """Have a study stored, and deleted as retention deletes one; return its UID."""
    study = generate_uid()
    instances = [make_instance(StudyInstanceUID=study) for _ in range(2)]
    for number, instance in enumerate(instances):
        box.settle(f"{study}/{number}.dcm", instance.content)
    for (container, name), content in Purged.of(instances).blobs().items():
        box.storage.get_blob_client(container, name).upload_blob(content)
    Service(box.stack).delete(f"/studies/{study}")
    return str(study)


def test_retention_is_previewed_and_asked_and_a_study_put_back(installation: Installation, tmp_path: Path) -> None:
    """By the commands of docs/retention.md, to which the runbooks lead; a plan is approved by them, and withdrawn."""
    box, made = DropBox(installation.stack), plan()
    name = plan_id(made, datetime.now(UTC).replace(microsecond=0))
    box.storage.get_blob_client("retention-records", f"plans/{name}.jsonl").upload_blob(jsonl(made))
    study = purged(box)
    commands = blocks((ROOT / "docs/retention.md").read_text())
    others = {"plan": name, "hash": made.hash, "count": str(made.count), "study": study}
    ran = run(installation, tmp_path, BEFORE_ANYTHING_ELSE, *commands, is_up=True, **others)
    assert (ran.code, ran.statuses, ran.unknown) == (0, ("200", "200", "200", "202"), ()), f"{ran.output}\n{ran.errors}"
    for said, times in (("Due for deletion", 2), ('"state":"purged"', 1), ('"sent":2', 1)):
        assert ran.output.replace(" ", "").count(said.replace(" ", "")) == times, f"{said}: {ran.output}"


def test_an_instance_is_put_back(installation: Installation, tmp_path: Path) -> None:
    """By the commands of its page: the copy that a replacement has left replaces in its turn."""
    stack, box, old = installation.stack, DropBox(installation.stack), make_instance()
    new = samples.with_other_pixels(old.content)
    stack.set_service_clock(-60)
    assert box.settle("put-back/old.dcm", old.content)["verdict"] == "stored"
    receipt = box.settle("put-back/new.dcm", new)
    assert receipt["verdict"] == "replaced"
    stack.set_service_clock(0)
    came_at = datetime.fromisoformat(receipt["uploaded_at"])  # to the second: what comes in the same one may be older
    wait_for(lambda: datetime.now(UTC) > came_at + timedelta(seconds=1) or None, "time stands still")
    copy = receipt["replaced"]["kept_as"]
    name = f"put-back/{copy}"
    *commands, last = blocks(RUNBOOKS["putting-an-instance-back"])
    others = {"name of the copy": copy, "name": name, "study": old.study, "partition": "Microsoft.Default"}
    ran = run(installation, tmp_path / "copy", BEFORE_ANYTHING_ELSE, *commands, az=COPYING + _AZURE, **others)
    assert (ran.code, ran.unknown) == (0, ()), f"{ran.output}\n{ran.errors}"
    wait_for(lambda: box.blob("dicom-receipts", name), "no receipt")
    ran = run(installation, tmp_path / "ask", BEFORE_ANYTHING_ELSE, last, **others)
    assert (ran.code, ran.statuses) == (0, ("200",)), f"{ran.output}\n{ran.errors}"
    assert '"verdict":"replaced"' in ran.output.replace(" ", "")
    assert box.get(old.path, headers={"Accept": "application/dicom"}).content == old.content


def test_each_command_of_retention_is_run() -> None:
    """A block that is not marked as one of a shell's would not be."""
    text = (ROOT / "docs/retention.md").read_text()
    assert len(blocks(text)) == 5
    assert not re.search(r"^(?:curl|make|az|azd) ", re.sub(r"```bash\n.*?```", "", text, flags=re.DOTALL), re.MULTILINE)


def test_what_is_seen_is_told_of_pages_that_are_there() -> None:
    """And of each page that asks something of this machine."""
    asking = {name for name, text in PAGES.items() if re.search(r"^ *(?:curl|reconcile)\b(?!\()", text, re.MULTILINE)}
    assert asking <= SEEN.keys() <= PAGES.keys()


@pytest.mark.parametrize(
    ("commands", "unknown"),
    [
        ("az group list", ()),
        ("frobnicate --all", ("frobnicate",)),
        ("az group list | while read -r name; do :; done; x=$(frobnicate) || true", ("frobnicate",)),
        ("bash -e <<'END'\nfrobnicate || true\nEND", ("frobnicate",)),
        ("make frobnicate || true", ("make frobnicate",)),
    ],
)
def test_a_command_that_nobody_knows_is_noticed(
    installation: Installation, tmp_path: Path, commands: str, unknown: tuple[str, ...]
) -> None:
    """Wherever it stands."""
    assert run(installation, tmp_path, commands).unknown == unknown


def test_what_is_not_run_here_is_run_elsewhere() -> None:
    """Where the table says."""
    for target, place in TARGETS_ELSEWHERE.items():
        text = (ROOT / place).read_text()
        assert f"make {target}" in text if place == ".ci/run" else f"make {target}`" in text


def test_a_result_of_an_ai_is_delivered(installation: Installation) -> None:
    """By the function of the page, and its receipt can be asked for by what it returns."""
    box = DropBox(installation.stack)
    defined: dict[str, object] = {}
    exec(blocks(FEEDING, "python")[0], defined)  # the page's own
    container: ContainerClient = box.storage.get_container_client("dicom-inbox")
    result = dcmread(BytesIO(make_instance(Modality="SR").content))
    name, etag = defined["deliver"](result, container)  # type: ignore[operator]
    assert box.receipt(name, etag)["verdict"] == "stored"
