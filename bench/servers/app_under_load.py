"""The whole app with an inbox to drop files into, over a DICOM service that does next to nothing.

The service reads a store, waits, and names the instance in its answer. So it costs each side the same, and as little of
the processor as can be: what is left is what storage, the app and its rivals take. Its 20 ms stand for a service that
is reached over a network; Azure's takes longer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

from bench.programs import Side
from bench.servers.sink_and_source import sink_and_source
from local.azurite import ACCOUNT, KEY
from local.ports import HOST
from local.stack import Stack

DELAY_MS = 20


@dataclass(frozen=True)
class AppUnderLoad:
    """What runs.

    Args:
        stack: Azurite and the app.
        service: the DICOM service's address.
        drops: what drops files and sends their events.
        storage: addresses of blobs and queues and a signature for both, as options of a program.
    """

    stack: Stack
    service: str
    drops: Side
    storage: tuple[str, ...]


@contextmanager
def app_under_load(folder: Path) -> Iterator[AppUnderLoad]:
    """Run the app, and give it.

    Blobs come to it by events alone: to the queue, or to the functions host's webhook.
    """
    with sink_and_source(delay_ms=DELAY_MS) as service:
        settings = {"DICOM_SERVICE_URL": service, "BLOB_TRIGGER_SOURCE": "EventGrid"}
        with Stack(folder, settings=settings) as stack:
            storage = _storage(stack)
            options = (*storage, "--app", stack.host_url, "--service", service, "--log", str(stack.part("app").log))
            with Side("bench.load.drops", *options) as drops:
                yield AppUnderLoad(stack, service, drops, storage)


def _storage(stack: Stack) -> tuple[str, ...]:
    blobs, queues = (f"http://{HOST}:{stack.ports.azurite + offset}/{ACCOUNT}" for offset in (0, 1))
    allowed = AccountSasPermissions(
        read=True, write=True, delete=True, list=True, add=True, create=True, update=True, process=True
    )
    sas = generate_account_sas(
        ACCOUNT,
        KEY,
        ResourceTypes(container=True, object=True),
        allowed,
        datetime.now(UTC) + timedelta(days=1),
        services="bq",
    )
    return ("--blobs", blobs, "--queues", queues, "--sas", sas)
