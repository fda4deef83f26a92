"""`make purge-preview`: says what retention would delete, and cannot delete."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from local import purge_preview
from local.commands import ROOT, no_proxy
from local.ports import free_ports
from local.stack import Stack
from local.tokens import Bearer
from purge_study.planning.plan import Plan
from purge_study.planning.wording import GROUPS
from tests.kit.drop_box import Instance, make_instance
from tests.kit.plans import read_back

POLICY = """
[policy]
time_zone = "Europe/Paris"

[[rule]]
name = "mammography"
when = {{ modality = ["MG"] }}
keep_years = 10
from = ["study_date"]

[[rule]]
name = "a typing error"
when = {{ modality = ["MGG"] }}
keep_years = 30

[[rule]]
name = "everything else"
keep_years = {years}
from = ["study_date"]
from_if_known = ["death"]

[[anchor]]
name = "death"
list = "anchors/deaths.csv"
max_age_days = 31

[[hold]]
name = "litigation"
list = "holds/litigation.csv"

[brakes]
min_age_days = 0
"""
IMPORT = """
import sys
import purge_study.preview.__main__
print(*(name for name in sys.modules if name.startswith("purge_study.executing")))
"""


@dataclass(frozen=True)
class Archive:
    """A DICOM service with studies, and a folder with a policy."""

    stack: Stack
    folder: Path
    studies: dict[str, Instance]

    def preview(self, years: int = 8, *, url: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run the command over a policy that keeps all but mammographies for so many years."""
        (self.folder / "policy.toml").write_text(POLICY.format(years=years))
        return preview(self, str(self.folder / "policy.toml"), url or self.stack.dicom_url)

    def service(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask the service, or its administration."""
        url = self.stack.dicom_url.removesuffix("/v2") + path
        return httpx.request(method, url, auth=Bearer(self.stack.token()), trust_env=False, timeout=30, **options)


def preview(archive: Archive, policy: str, url: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local.purge_preview", "--policy", policy, "--url", url]
    environment = {
        **archive.stack.environment(),
        **no_proxy(),
        "LOCAL_DATA_DIR": str(archive.folder / "data"),
        "FEED_LAG_SECONDS": "0",
    }
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """Studies of which some are due, one of these is held, and one has no date; all came an hour ago."""
    folder = tmp_path_factory.mktemp("preview")
    studies = {
        "old": make_instance(StudyDate="20100505", Modality="CT"),
        "older": make_instance(StudyDate="20090505", Modality="CT"),
        "held": make_instance(StudyDate="20100506", Modality="MR"),
        "mammography": make_instance(StudyDate="20200506", Modality="MG"),
        "new": make_instance(StudyDate="20260102", Modality="CT"),
        "undated": make_instance(StudyDate="", Modality="CT"),
    }
    (folder / "holds").mkdir()
    (folder / "holds/litigation.csv").write_text(f"study_instance_uid\n{studies['held'].study}\n1.2.3\n#end,2\n")
    (folder / "anchors").mkdir()
    (folder / "anchors/deaths.csv").write_text("patient_id,date\nNOBODY,2020-01-01\n#end,1\n")
    stack = Stack(folder / "stack", dicom_options=["--clock-ahead-seconds", "-3600"])
    try:
        stack.start_dicom_service()
        archive = Archive(stack, folder, studies)
        for instance in studies.values():
            stored = httpx.post(
                f"{stack.dicom_url}/studies",
                content=instance.content,
                headers={"Content-Type": "application/dicom", "Accept": "application/dicom+json"},
                auth=Bearer(stack.token()),
                trust_env=False,
            )
            assert stored.status_code == 200
        assert archive.service("POST", "/admin/clock", json={"ahead_seconds": 0}).status_code == 200
        yield archive
    finally:
        stack.stop()


def plan_of(archive: Archive) -> Plan:
    [file] = (archive.folder / "data/purge-preview").glob("*/plans/*Z-????????.jsonl")
    return read_back(file.read_bytes())


def test_what_would_go_and_nothing_goes(archive: Archive) -> None:
    """The groups, which add up, with rules, lists and reasons below them; and not one request to delete."""
    archive.service("DELETE", "/admin/requests")
    done = archive.preview()
    assert done.returncode == 0, done.stderr
    assert "6 studies" in done.stdout
    groups = {name: re.findall(rf"^{name}: (\d+)", done.stdout, re.MULTILINE) for name in GROUPS.values()}
    assert list(groups.values()) == [["2"], ["1"], ["1"], ["2"]]
    assert "Due for deletion: 2, 33.3% of all." in done.stdout
    assert " 2  everything else, CT" in done.stdout
    assert " 1  litigation" in done.stdout
    assert " 1  A date that a rule counts from is not known" in done.stdout
    assert "A hold that holds nothing: holds/litigation.csv, line 3" in done.stdout
    assert "A date that matches no study: anchors/deaths.csv, line 2" in done.stdout
    assert "Rule a typing error matches no study." in done.stdout
    assert done.stdout.count("matches no study") == 2
    assert "first_run: " in done.stdout
    counts = archive.service("GET", "/admin/requests").json()
    assert counts["delete"]["requests"] == counts["store"]["requests"] == 0
    assert counts["changefeed"]["requests"] > 0
    plan = plan_of(archive)
    names = {instance.study: name for name, instance in archive.studies.items()}
    assert [names[item.key.uid] for item in plan.items] == ["older", "old", "held"]
    page = Path(done.stdout.rpartition("file://")[2].strip())
    assert archive.studies["older"].study in page.read_text()
    links = set(re.findall('href="([^"]*)"', page.read_text()))
    assert links | {page.name} == {document.name for document in page.parent.iterdir()}


def test_another_policy(archive: Archive) -> None:
    """The next preview judges all anew and reads no study again."""
    archive.preview()
    archive.service("DELETE", "/admin/requests")
    done = archive.preview(years=30)
    assert "Due for deletion: 0" in done.stdout, done.stderr
    assert archive.service("GET", "/admin/requests").json()["metadata"]["requests"] == 0


def test_it_cannot_delete() -> None:
    """It does not even load what deletes."""
    done = subprocess.run([sys.executable, "-c", IMPORT], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("\n", 0), done.stderr


def test_mistakes_are_told_with_their_places(archive: Archive) -> None:
    """All of the policy's, and then of its lists: also one that is not beside it."""
    policy = archive.folder / "wrong.toml"
    policy.write_text(POLICY.format(years='"eight"').replace("Europe/Paris", "Europe/Pairs"))
    done = preview(archive, str(policy), archive.stack.dicom_url)
    assert done.returncode == 1
    assert "time_zone" in done.stderr
    assert "keep_years" in done.stderr
    policy.write_text(POLICY.format(years=8).replace("holds/litigation.csv", "holds/nowhere.csv"))
    done = preview(archive, str(policy), archive.stack.dicom_url)
    assert (done.returncode, done.stdout) == (1, "")
    assert "holds/nowhere.csv" in done.stderr


@pytest.mark.parametrize(
    "policy",
    [
        "a = " + "[" * 100_000,
        '[[hold]]\nlist = "a\\u0000b"',
        f'[[hold]]\nlist = "{"x" * 5000}"',
        '[[hold]]\nlist = "."',
    ],
    ids=["deep", "nul", "long", "folder"],
)
def test_odd_policies_are_left_to_the_engine(tmp_path: Path, policy: str) -> None:
    """What cannot be a list beside the policy is none; the policy itself is put where the engine tells its mistakes."""
    (tmp_path / "policy.toml").write_text(policy)
    assert list(purge_preview._blobs(str(tmp_path / "policy.toml"))) == [("policy.toml", policy.encode())]


@pytest.mark.parametrize(("policy", "said"), [("", "POLICY=path/to/policy.toml"), ("/nowhere.toml", "/nowhere.toml")])
def test_without_a_policy(
    policy: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says how to name one."""
    monkeypatch.setattr(sys, "argv", ["preview", "--policy", policy, "--url", "http://127.0.0.1:1/v2"])
    assert purge_preview.main() == 2
    assert said in capsys.readouterr().err


def test_a_service_that_does_not_answer(archive: Archive) -> None:
    """It says so, and that nothing of what was read is lost."""
    done = archive.preview(url=f"http://127.0.0.1:{free_ports(1)}/v2")
    assert (done.returncode, done.stdout) == (2, "")
    assert "RequestNotSent" in done.stderr
    assert "Traceback" not in done.stderr
