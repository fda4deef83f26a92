"""`make demo`: the app does its three jobs on real DICOM files, in a temporary folder, and says what happens."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobServiceClient
from rich.console import Console
from rich.table import Table

from local import samples
from local.process import PartFailed
from local.stack import Stack
from local.up import data_folder

WAIT_SECONDS = 90
YEARS_LATER = timedelta(days=11 * 366)
RULES = Path(__file__).parent / "retention"
_JSON = {"Accept": "application/dicom+json"}

# The groups of a plan, which add up to all studies.
_GROUPS = {
    "to_delete": "due for deletion",
    "held": "kept by a hold list",
    "in_doubt": "kept because something is unknown",
    "kept": "kept by the policy",
}


@dataclass(frozen=True)
class Drop:
    """A file that is dropped into the inbox, and what should become of it."""

    name: str
    content: bytes
    verdict: str
    reason: str | None = None
    shows: str = ""


class Surprise(Exception):
    """Something is not as it should be; the text says what."""


def well_formed() -> list[Drop]:
    """Return instances of many modalities and transfer syntaxes, with UIDs of their own."""
    drops = [Drop(f"tutorial/{name}", content, "stored") for name, content in samples.tutorial().items()]
    of_pydicom = (
        ("CT_small.dcm", "stored", "CT"),
        ("MR_small_RLE.dcm", "stored", "MR, RLE"),
        ("examples_ybr_color.dcm", "stored", "ultrasound, 30 frames, JPEG"),
        ("693_J2KI.dcm", "stored", "CT, JPEG 2000"),
        ("liver_1frame.dcm", "stored", "segmentation"),
        ("waveform_ecg.dcm", "stored", "ECG"),
        ("reportsi.dcm", "stored_with_warnings", "structured report, no PatientID"),
        ("image_dfl.dcm", "stored_with_warnings", "deflated, no PatientID"),
        ("rtplan.dcm", "stored_with_warnings", "RT plan, implicit VR, another UID in File Meta"),
        ("rtdose.dcm", "stored_with_warnings", "RT dose, 15 frames, implicit VR"),
    )
    return drops + [
        Drop(f"ward 7/{name}", samples.pydicom_file(name), verdict, shows=shows) for name, verdict, shows in of_pydicom
    ]


def troublemakers() -> list[Drop]:
    """Return what goes wrong in practice; dropped after the well-formed ones, which some of them repeat."""
    ct = samples.pydicom_file("CT_small.dcm")
    return [
        Drop("ward 7/CT_small again.dcm", ct, "duplicate", shows="the same bytes under another name"),
        Drop(
            "ward 7/CT_small edited.dcm",
            samples.with_other_pixels(ct),
            "conflict",
            "other_bytes",
            "the same UIDs, other pixels",
        ),
        Drop("letter.dcm", b"Dear colleague, please find enclosed ...", "rejected", "not_dicom", "a text file"),
        Drop("cut.dcm", samples.pydicom_file("MR_truncated.dcm"), "rejected", "unfinished", "a truncated instance"),
        Drop("nothing.dcm", b"", "rejected", "empty", "an empty blob"),
    ]


class Demo:
    """The story, told on a console."""

    def __init__(self, stack: Stack, console: Console) -> None:
        self._stack = stack
        self._console = console
        self._storage = BlobServiceClient.from_connection_string(stack.connection_string)
        self._app = httpx.Client(
            base_url=stack.app_url, headers={"x-functions-key": stack.function_key}, timeout=60, trust_env=False
        )
        self._verdicts: Counter[str] = Counter()

    def run(self) -> None:
        """Tell it.

        Raises:
            Surprise: a verdict, or a byte, is not the expected one.
        """
        stored, odd = well_formed(), troublemakers()
        self._chapter("Dropping files into the container dicom-inbox")
        self._drop(stored)
        self._chapter("Dropping what goes wrong in practice")
        for drop in odd:
            self._drop([drop])
        self._check_quarantine(odd)
        self._chapter("Looking studies up: GET /api/studies")
        self._look_up()
        self._chapter("Fetching instances through the app")
        self._fetch(stored)
        self._chapter("What retention would delete, eleven years later")
        self._plan_retention()
        self._say_totals(len(stored) + len(odd))

    def _chapter(self, title: str) -> None:
        self._console.print()
        self._console.rule(f"[bold]{title}", align="left")

    def _drop(self, drops: list[Drop]) -> None:
        inbox = self._storage.get_container_client("dicom-inbox")
        for drop in drops:
            inbox.upload_blob(drop.name, drop.content)
        for drop, receipt in self._receipts(drops):
            self._verdicts[receipt["verdict"]] += 1
            size = f"{receipt['size_bytes']:>9,} B"
            reason = f" ({receipt['reason']})" if receipt["reason"] else ""
            self._console.print(f"{size}  [bold]{receipt['verdict']}[/]{reason}  {drop.name}  [dim]{drop.shows}")
            if (receipt["verdict"], receipt["reason"]) != (drop.verdict, drop.reason):
                raise Surprise(f"{drop.name}: {drop.verdict} ({drop.reason}) was expected")

    def _receipts(self, drops: list[Drop]) -> Iterator[tuple[Drop, dict[str, Any]]]:
        """Yield each receipt as it comes."""
        waiting = list(drops)
        deadline = time.monotonic() + WAIT_SECONDS
        while waiting:
            for drop in list(waiting):
                if receipt := self._json_blob("dicom-receipts", drop.name):
                    waiting.remove(drop)
                    yield drop, receipt
            if time.monotonic() > deadline:
                raise Surprise(f"no receipt after {WAIT_SECONDS} s: {', '.join(drop.name for drop in waiting)}")
            self._stack.check()
            time.sleep(0.1)

    def _json_blob(self, container: str, name: str) -> dict[str, Any] | None:
        content = self._blob(container, name)
        return None if content is None else json.loads(content)

    def _blob(self, container: str, name: str) -> bytes | None:
        try:
            return self._storage.get_blob_client(container, name).download_blob().readall()
        except ResourceNotFoundError:
            return None

    def _check_quarantine(self, drops: Iterable[Drop]) -> None:
        moved = [drop for drop in drops if drop.verdict in ("conflict", "rejected")]
        for drop in moved:
            self._wait_until_moved(drop)
            if self._blob("dicom-quarantine", drop.name) != drop.content:
                raise Surprise(f"{drop.name}: what lies in quarantine is not what was dropped")
            reason = self._json_blob("dicom-quarantine-reasons", f"{drop.name}.json") or {}
            self._console.print(f"in quarantine: {drop.name}: {reason.get('advice')}")

    def _wait_until_moved(self, drop: Drop) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while self._blob("dicom-inbox", drop.name) is not None:
            if time.monotonic() > deadline:
                raise Surprise(f"{drop.name}: still in the inbox")
            time.sleep(0.1)

    def _look_up(self) -> None:
        table = Table("StudyDate", "Modalities", "Patient", "Series", "Instances", box=None)
        query = {"includefield": "ModalitiesInStudy,NumberOfStudyRelatedInstances"}
        for study in self._search("studies", **query):
            series = self._search(f"studies/{_value(study, '0020000D')}/series")
            modalities = ", ".join(study.get("00080061", {}).get("Value", []))
            instances = _value(study, "00201208")
            table.add_row(_value(study, "00080020"), modalities, _patient(study), str(len(series)), instances)
        self._console.print(table)

    def _search(self, path: str, **query: str) -> list[dict[str, Any]]:
        response = self._app.get(f"/{path}", params=query, headers=_JSON)
        if response.status_code != httpx.codes.OK:
            raise Surprise(f"GET /api/{path.partition('/')[0]} answered {response.status_code}")
        found: list[dict[str, Any]] = response.json()
        return found

    def _fetch(self, drops: Iterable[Drop]) -> None:
        for drop in drops:
            receipt = self._json_blob("dicom-receipts", drop.name) or {}
            path = (
                f"/studies/{receipt['study_instance_uid']}/series/{receipt['series_instance_uid']}"
                f"/instances/{receipt['sop_instance_uid']}"
            )
            response = self._app.get(path, headers={"Accept": "application/dicom"})
            if response.status_code != httpx.codes.OK or response.content != drop.content:
                raise Surprise(f"{drop.name}: what comes back ({response.status_code}) is not what was dropped")
            self._console.print(f"{len(response.content):>9,} B  byte for byte  {drop.name}")

    def _plan_retention(self) -> None:
        before = len(self._search("studies"))
        policies = self._storage.get_container_client("retention-policy")
        for name in ("policy.toml", "holds/litigation.csv"):
            policies.upload_blob(name, (RULES / name).read_bytes())
        self._console.print(
            "[dim]Into retention-policy go policy.toml and holds/litigation.csv; then the clocks are set."
        )
        self._stack.set_clock(YEARS_LATER.total_seconds())
        self._stack.fire("purge_study")
        plan = self._plan()
        self._tell_plan(plan)
        if len(self._search("studies")) != before:
            raise Surprise("a study is gone, and nothing was to be deleted")
        self._console.print("Nothing is deleted: PURGE_MODE is report, and a first plan is there to be read.")
        self._keep_page(plan)

    def _plan(self) -> str:
        """Wait for tonight's plan and return its id: its JSON lines are written last."""
        records = self._storage.get_container_client("retention-records")
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            for name in records.list_blob_names(name_starts_with="plans/"):
                if name.endswith(".jsonl") and not name.endswith(".listed.jsonl"):
                    return name.removesuffix(".jsonl")
            self._stack.check()
            time.sleep(0.1)
        raise Surprise("no plan was made")

    def _tell_plan(self, plan: str) -> None:
        head, *due = self._json_lines(f"{plan}.jsonl")
        for study in due:
            self._console.print(_due(study))
        for study in self._json_lines(f"{plan}.listed.jsonl")[1:]:
            words = " ".join(doubt["words"] for doubt in study["doubts"])
            self._console.print(f"…{study['study'][-20:]:20}  [bold]kept[/]: {words}")
        counts = ", ".join(f"{head[group]} {words}" for group, words in _GROUPS.items())
        self._console.print(f"Of {head['studies']} studies: {counts}.")

    def _json_lines(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self._blob("retention-records", name) or b"").splitlines()]

    def _keep_page(self, plan: str) -> None:
        """Keep the plan's documents where they can be opened after the demo, in place of the last demo's."""
        folder = data_folder() / "demo"
        (folder / "plans").mkdir(parents=True, exist_ok=True)
        for earlier in (folder / "plans").iterdir():
            earlier.unlink()
        for name in self._storage.get_container_client("retention-records").list_blob_names(name_starts_with=plan):
            (folder / name).write_bytes(self._blob("retention-records", name) or b"")
        self._console.print(f"The plan as a page, with what goes when: {(folder / f'{plan}.html').as_uri()}")

    def _say_totals(self, dropped: int) -> None:
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(self._verdicts.items()))
        self._console.print()
        self._console.print(f"[bold]Totals:[/] {dropped} files dropped: {verdicts}. All as expected.")


def _due(study: dict[str, Any]) -> str:
    anchor, day = max(study["dates"].items(), key=lambda date: date[1])
    fate = f"[bold]held[/] by {', '.join(study['held_by'])}" if study["held_by"] else "[bold]due[/]"
    term = f"{study['rule']}, kept until {study['keep_until']}"
    return f"…{study['study'][-20:]:20}  {fate}: {'+'.join(study['modalities'])}, {term} [dim](from {anchor}, {day})"


def _value(dataset: dict[str, Any], tag: str) -> str:
    return str(next(iter(dataset.get(tag, {}).get("Value", [])), ""))


def _patient(dataset: dict[str, Any]) -> str:
    names = dataset.get("00100010", {}).get("Value") or [{}]
    return str(names[0].get("Alphabetic", "(no name)"))


def main() -> int:
    """Run the demo; return 0 only if all was as expected."""
    # As Ctrl-C does it: what was started ends, and the folder goes.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False, soft_wrap=True)
    console.print("Starting Azurite, the token endpoint, the DICOM service and the app, each a process of its own ...")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dicom-demo-") as folder:
        try:
            with Stack(Path(folder), auth=True, poll_seconds=0.5) as stack:
                console.print(f"Ready after {time.monotonic() - started:.1f} s.")
                Demo(stack, console).run()
        except (Surprise, PartFailed, httpx.HTTPError) as error:
            console.print(f"[bold red]Not as expected:[/] {error}")
            return 1
        except KeyboardInterrupt:
            console.print("Stopped.")
            return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
