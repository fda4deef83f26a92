"""What the end-to-end tests do with a running stack: drop files, wait for verdicts, ask the app."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from io import BytesIO
from typing import Any, TypeVar

import httpx
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient, TextBase64EncodePolicy
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from local.stack import Stack
from local.tokens import Bearer
from shared.clients import Clients
from shared.dicomweb import DICOMwebClient
from shared.settings import load
from store_on_upload.probing.dropped import NAME
from store_on_upload.reconcile import Report, reconcile
from tests.conftest import REPLAY_KEY
from tests.kit.host_messages import blob_trigger_message

WAIT_SECONDS = 60.0
T = TypeVar("T")
# Sources of different habits, told by the beginning of a name.
SOURCES = """
[[source]]
name = "archiving"
prefix = "archive/"
after_store = "archive"

[[source]]
name = "deleting"
prefix = "delete/"
after_store = "delete"

[[source]]
name = "replacing"
prefix = "replace/"
on_conflict = "replace"

[[source]]
name = "settling"
prefix = "settle/"
settle_after_seconds = 86400
"""


@dataclass(frozen=True)
class Instance:
    """A small synthetic instance."""

    content: bytes
    study: str
    series: str
    sop: str

    @property
    def path(self) -> str:
        """Its path below the app's prefix."""
        return f"/studies/{self.study}/series/{self.series}/instances/{self.sop}"


def make_instance(**attributes: Any) -> Instance:
    """Return an 8 x 8 grey picture with fresh UIDs, and the attributes given by keyword."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", Dataset(), file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = generate_uid()
    dataset.SeriesInstanceUID = generate_uid()
    dataset.StudyDate = "20200102"
    dataset.PatientID = "P1"
    dataset.PatientName = "Doe^Jane"
    dataset.Modality = "OT"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows = dataset.Columns = 8
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    dataset.add_new("PixelData", "OB", bytes(range(64)))
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return instance_of(file.getvalue())


def instance_of(content: bytes) -> Instance:
    """Return a file by its names."""
    read = dcmread(BytesIO(content), stop_before_pixels=True)
    return Instance(content, str(read.StudyInstanceUID), str(read.SeriesInstanceUID), str(read.SOPInstanceUID))


class DropBox:
    """A producer and a caller of the app."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.storage = BlobServiceClient.from_connection_string(stack.connection_string)
        self._events: list[dict[str, Any]] = []  # those of the log as far as it was read
        self._log, self._read_bytes = -1, 0  # the log that is read, held open so that no other can be taken for it

    def drop(self, name: str, content: bytes) -> str:
        """Upload a file to the inbox, over one of the same name; return its ETag without quotation marks."""
        uploaded = self.storage.get_blob_client("dicom-inbox", name).upload_blob(content, overwrite=True)
        return str(uploaded["etag"]).strip('"')

    def blob(self, container: str, name: str) -> bytes | None:
        """Return a blob's content; None if there is none."""
        try:
            return self.storage.get_blob_client(container, name).download_blob().readall()
        except ResourceNotFoundError:
            return None

    def receipt(self, name: str, etag: str) -> dict[str, Any]:
        """Return the receipt of one version of a blob, once it has its verdict."""

        return self._receipt_where(name, f"no verdict on {name}", etag=etag, state="final")

    def waiting(self, name: str) -> dict[str, Any]:
        """Return a blob's receipt once it says that the blob is put off."""

        return self._receipt_where(name, f"{name} is not put off", state="deferred")

    def _receipt_where(self, name: str, otherwise: str, **fields: str) -> dict[str, Any]:
        """Return a blob's receipt once it says this."""

        def look() -> dict[str, Any] | None:
            receipt: dict[str, Any] = json.loads(self.blob("dicom-receipts", name) or b"{}")
            return receipt if fields.items() <= receipt.items() else None

        return wait_for(look, otherwise)

    def settle(self, name: str, content: bytes) -> dict[str, Any]:
        """Drop a file and return its receipt."""
        return self.receipt(name, self.drop(name, content))

    def get(self, path: str, key: str | None = None, **options: Any) -> httpx.Response:
        """Send a GET to the app with its function key, or another one."""
        headers = {"x-functions-key": self.stack.function_key if key is None else key, **options.pop("headers", {})}
        return httpx.get(self.stack.app_url + path, headers=headers, timeout=30, trust_env=False, **options)

    def replay(self, body: object, *, replay_key: str | None = REPLAY_KEY, key: str | None = None) -> httpx.Response:
        """Ask for a replay, as whoever has both keys would; or with other ones, or no key for replays."""
        headers = {"x-functions-key": self.stack.function_key if key is None else key}
        headers |= {} if replay_key is None else {"x-replay-key": replay_key}
        # In bytes, for a key may be none that a header can have as text.
        sent = {name.encode(): value.encode() for name, value in headers.items()}
        url = f"{self.stack.app_url}/quarantine/replay"
        return httpx.post(url, json=body, headers=sent, timeout=30, trust_env=False)

    def repeat_event(self, name: str, etag: str, times: int) -> None:
        """Tell the host of a blob again, `times` at once, as Event Grid and dying hosts do."""
        queues = QueueServiceClient.from_connection_string(self.stack.connection_string)
        [queue] = [queue.name for queue in queues.list_queues(name_starts_with="azure-webjobs-blobtrigger-")]
        client = queues.get_queue_client(queue, message_encode_policy=TextBase64EncodePolicy())
        for _ in range(times):
            client.send_message(json.dumps(blob_trigger_message(name, etag)))

    def adds_up(self) -> Report:
        """Return what `make reconcile` finds once there is no difference and nothing waits; of what is under way, too.

        Every blob of the inbox, receipt, file in quarantine and archive, and stored instance is looked at.
        """

        def look() -> Report | None:
            report = asyncio.run(self._reconcile())
            found.append(f"{report.pending} wait, {dict(report.differences)}")
            return None if report.differences or report.pending else report

        found: list[str] = []
        return wait_for(look, lambda: found[-1])

    async def _reconcile(self) -> Report:
        settings = load(self.stack.environment())
        dicom = DICOMwebClient(settings.dicom_service_url, auth=Bearer(self.stack.token()))
        async with aclosing(Clients.over(settings, dicom)) as clients:
            return await reconcile(clients, grace_seconds=0)

    def log(self) -> str:
        """Return all that the app and its host have written."""
        return (self.stack.folder / "app.log").read_text()

    def events(self, *names: str) -> list[dict[str, Any]]:
        """Return the app's events of some names, in order; a line that is still being written is none yet."""
        log = self.stack.folder / "app.log"
        if self._log < 0 or not os.path.samestat(os.fstat(self._log), log.stat()):  # the app was started again
            if self._log >= 0:
                os.close(self._log)
            self._events, self._log, self._read_bytes = [], os.open(log, os.O_RDONLY), 0
        size = os.fstat(self._log).st_size - self._read_bytes
        written = os.pread(self._log, size, self._read_bytes).rpartition(b"\n")[0] + b"\n"
        self._read_bytes += len(written) if len(written) > 1 else 0
        self._events += [json.loads(line[line.index(b"{") :]) for line in written.splitlines() if b'"event": ' in line]
        return [event for event in self._events if event["event"] in names]


def probe_files(box: DropBox) -> list[str]:
    """Return the names of what there is of probes in storage, but for their receipt."""
    places = ("dicom-inbox", "dicom-archive", "dicom-quarantine", "dicom-quarantine-reasons")
    containers = map(box.storage.get_container_client, places)
    return [name for container in containers for name in container.list_blob_names(name_starts_with=NAME)]


def wait_for(look: Callable[[], T | None], otherwise: str | Callable[[], str]) -> T:
    """Return what `look` returns once it is something."""
    deadline = time.monotonic() + WAIT_SECONDS
    while (found := look()) is None:
        assert time.monotonic() < deadline, otherwise if isinstance(otherwise, str) else otherwise()
        time.sleep(0.05)
    return found
