"""The surroundings of an app under test: a real storage account, names of its own, and the notes it leaves."""

from __future__ import annotations

import base64
import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure.storage.blob import BlobServiceClient, ContainerClient
from azure.storage.queue import QueueClient, QueueServiceClient

from tests.component.functions_host.running import Calls

NEVER = "0 0 0 1 1 *"
POLL = ("--poll-seconds", "0.2", "--lock-seconds", "3")


@dataclass
class World:
    """The storage app's surroundings: an Azurite, names of its own, and the notes it leaves."""

    connection: str
    prefix: str
    folder: Path

    @property
    def calls(self) -> Calls:
        return Calls(self.folder / "calls.jsonl")

    def settings(self, **more: str) -> dict[str, str]:
        return {
            "AzureWebJobsStorage": self.connection,
            "INBOX": self.connection,
            "EVERY": NEVER,
            "TEST_PREFIX": self.prefix,
            "CALLS": str(self.calls.path),
            "AzureFunctionsWebHost__hostid": self.prefix,
        } | more

    def container(self, name: str) -> ContainerClient:
        return BlobServiceClient.from_connection_string(self.connection).get_container_client(name)

    def queue(self, name: str) -> QueueClient:
        return QueueServiceClient.from_connection_string(self.connection).get_queue_client(name)

    def drop(self, kind: str, name: str, content: bytes = b"content") -> None:
        with self.container(f"{self.prefix}-{kind}") as container:
            container.get_blob_client(name).upload_blob(content, overwrite=True)

    def texts(self, queue: str) -> list[str]:
        """The messages of a queue as they lie there, without taking them."""
        with self.queue(queue) as client:
            return [message.content for message in client.peek_messages(max_messages=32)]

    def poisoned(self, name: str) -> list[dict[str, Any]]:
        """The messages of the blobs' poison queue that are about one blob."""
        try:
            texts = self.texts("webjobs-blobtrigger-poison")
        except Exception:
            return []
        contents = [json.loads(base64.b64decode(text)) for text in texts]
        mine = f"{self.prefix}-clients"
        return [c for c in contents if (c["ContainerName"], c["BlobName"]) == (mine, name)]


def new_world(connection: str, folder: Path) -> World:
    """Return surroundings with the containers that the apps listen to."""
    world = World(connection, f"t{uuid.uuid4().hex[:12]}", folder)
    for kind in ("clients", "streams", "events"):
        with world.container(f"{world.prefix}-{kind}") as container:
            container.create_container()
    return world
