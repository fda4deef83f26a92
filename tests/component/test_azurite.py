"""The real Azurite, started and stopped."""

from __future__ import annotations

from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from local.azurite import Azurite
from local.ports import is_free
from local.process import PartFailed


def test_keeps_blobs_over_a_restart(tmp_path: Path) -> None:
    """What was uploaded is still there when Azurite was stopped and started again on the same folder."""
    with (
        Azurite(tmp_path) as azurite,
        BlobServiceClient.from_connection_string(azurite.connection_string) as blobs,
    ):
        blobs.create_container("kept").upload_blob("a/b", b"content").close()
    with (
        Azurite(tmp_path, first_port=azurite.first_port) as azurite,
        BlobServiceClient.from_connection_string(azurite.connection_string) as blobs,
    ):
        assert blobs.get_blob_client("kept", "a/b").download_blob().readall() == b"content"
    assert is_free(azurite.first_port)


def test_serves_queues(azurite: str) -> None:
    """The connection string reaches the queue service, too."""
    with (
        QueueServiceClient.from_connection_string(azurite) as service,
        service.create_queue("greetings") as queue,
    ):
        queue.send_message("hello")
        assert [message.content for message in queue.receive_messages()] == ["hello"]


def test_says_why_it_did_not_start(tmp_path: Path) -> None:
    """A port that is taken shows in the end of the log that the error carries."""
    with Azurite(tmp_path / "first") as running, pytest.raises(PartFailed, match="Azurite ended") as failure:
        Azurite(tmp_path / "second", first_port=running.first_port).__enter__()
    assert "in use" in failure.value.part.tail().lower()
