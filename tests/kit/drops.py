"""Files on their way through the app while something fails: what is dropped, what is run, and what must come of it."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobLeaseClient, BlobServiceClient
from azure.storage.queue import QueueClient

from shared.arrivals import Arrival, Door
from shared.queues import ARRIVALS
from shared.settings import ARCHIVE, CONTROL, DEFAULT_INBOX, OWN_CONTAINERS, QUARANTINE, QUARANTINE_REASONS, RECEIPTS
from tests.kit.app_process import Work, start
from tests.kit.connection_strings import through
from tests.kit.files import Sample
from tests.kit.gateway import Fault, Gateway
from tests.kit.service import ServiceClient, running

_MOST_RUNS = 5  # of one message, by the host


@dataclass
class World:
    """A storage account, a DICOM service that refuses implicit VR, and the app, whose ways to both can fail.

    Args:
        storage: the account's blobs.
        queue: of the app's deferrals.
        service: the DICOM service.
        gateway: through which the app reaches all three.
        settings: of the app.
    """

    storage: BlobServiceClient
    queue: QueueClient
    service: ServiceClient
    gateway: Gateway
    settings: dict[str, str]

    @classmethod
    @contextmanager
    def over(cls, connection_string: str, folder: Path) -> Iterator[World]:
        """Open one over a storage account; what else it needs is in the folder."""
        storage = BlobServiceClient.from_connection_string(connection_string)
        queue = QueueClient.from_connection_string(connection_string, ARRIVALS)
        with storage, queue, running(folder, implicit_vr="reject") as root:
            _create(storage, queue)
            with Gateway(storage.url.rstrip("/"), queue.url.removesuffix(f"/{ARRIVALS}"), f"{root}/v2") as gateway:
                settings = {
                    "DICOM_STORAGE": through(connection_string, blob=gateway.urls[0], queue=gateway.urls[1]),
                    "DICOM_SERVICE_URL": gateway.urls[2],
                }
                service = ServiceClient(root)
                with service.http:
                    yield cls(storage, queue, service, gateway, settings)

    def drop(self, name: str, content: bytes, container: str = DEFAULT_INBOX) -> None:
        """Upload a file."""
        self.storage.get_blob_client(container, name).upload_blob(content, overwrite=True)

    def run(self, settings: Mapping[str, str], *works: Work, fault: Fault | None = None) -> int | None:
        """Have a process do some works, and return its exit code.

        Args:
            settings: besides those of the world.
            works: what to do.
            fault: what happens meanwhile.
        """
        self.gateway.begin(fault)
        process = start({**self.settings, **settings}, *works)
        process.join()
        return process.exitcode

    def run_and_kill(self, settings: Mapping[str, str], work: Work, fault: Fault) -> int | None:
        """Do so, and kill the process where the fault says."""
        started = threading.Event()

        def kill() -> None:
            started.wait()
            os.kill(process.pid or 0, signal.SIGKILL)

        self.gateway.begin(Fault(fault.at, fault.moment, strike=kill))
        process = start({**self.settings, **settings}, work)
        started.set()
        process.join()
        return process.exitcode

    def let_claims_end(self) -> None:
        """Do at once what a minute does: end the leases that killed processes held on instances."""
        control = self.storage.get_container_client(CONTROL)
        for claim in control.list_blobs(name_starts_with="instances/"):
            if claim.lease.state == "leased":
                BlobLeaseClient(control.get_blob_client(claim.name)).break_lease(lease_break_period=0)

    def bring_to_an_end(self, settings: Mapping[str, str], *works: Work) -> None:
        """Do what a host does: run what did not end well again, then every message, until there is none."""
        self._run_well(settings, *works)
        while messages := list(self.queue.receive_messages(max_messages=32)):
            self._run_well(settings, *(message.content.encode() for message in messages))
            for message in messages:
                self.queue.delete_message(message)
        assert self.queue.get_queue_properties().approximate_message_count == 0

    def _run_well(self, settings: Mapping[str, str], *works: Work) -> None:
        assert any(self.run(settings, *works) == 0 for _ in range(_MOST_RUNS))

    def blobs(self, container: str, prefix: str) -> dict[str, bytes]:
        """Return the blobs of a container whose names begin so."""
        client = self.storage.get_container_client(container)
        return {name: client.download_blob(name).readall() for name in client.list_blob_names(name_starts_with=prefix)}

    def is_down(self, for_requests: int) -> None:
        """Let the service answer so many stores with 503."""
        fault = {"fault": "status", "kind": "store", "status": 503, "requests": for_requests}
        assert self.service.http.post(f"{self.service.root}/admin/faults", json=fault).status_code == 201

    def is_up(self) -> None:
        """Let it answer as it should."""
        assert self.service.http.delete(f"{self.service.root}/admin/faults").status_code == 204


@dataclass
class Drop:
    """One file and what must come of it.

    Args:
        world: where it is dropped.
        name: of the blob, used by no other.
        sample: what it is, or is taken for.
        work: what a run is to do with it.
    """

    world: World
    name: str
    sample: Sample = field(default_factory=Sample)
    work: Work = b""

    @property
    def arrival(self) -> Arrival:
        """What the blob trigger brings."""
        return Arrival((self.name,), Door.BLOB)

    @property
    def replay(self) -> Arrival:
        """What brings it back from quarantine."""
        return Arrival((self.name,), Door.REPLAY, container=QUARANTINE)

    def stored(self) -> list[bytes]:
        """Return the instances that the service has under its UIDs."""
        found = self.world.service.get(f"{self.sample.study_path}/instances")
        if found.status_code != 200:
            return []
        [instance] = found.json()
        assert instance["00080018"]["Value"] == [self.sample.sop]
        whole = self.world.service.get(self.sample.path, "application/dicom; transfer-syntax=*")
        assert whole.status_code == 200
        return [whole.content]

    def places(self) -> dict[str, bytes]:
        """Return where its file is: container to content; a second copy has no place, and fails."""
        containers = (DEFAULT_INBOX, ARCHIVE, QUARANTINE)
        found = {container: self.world.blobs(container, self.name) for container in containers}
        assert all(set(blobs) <= {self.name} for blobs in found.values())
        return {container: blobs[self.name] for container, blobs in found.items() if blobs}

    def reasons(self) -> list[dict[str, Any]]:
        """Return why it is in quarantine, as often as that is written."""
        return [json.loads(content) for content in self.world.blobs(QUARANTINE_REASONS, self.name).values()]

    def receipt(self) -> dict[str, Any]:
        """Return its one receipt."""
        [receipt] = self.world.blobs(RECEIPTS, self.name).values()
        document: dict[str, Any] = json.loads(receipt)
        return document


def _create(storage: BlobServiceClient, queue: QueueClient) -> None:
    for name in (DEFAULT_INBOX, *OWN_CONTAINERS):
        with suppress(ResourceExistsError):
            storage.create_container(name)
    with suppress(ResourceExistsError):
        queue.create_queue()
    queue.clear_messages()  # of other tests
