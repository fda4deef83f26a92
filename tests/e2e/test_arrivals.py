"""The second door: messages of the queue `dicom-arrivals`, with the blob trigger off, and a service with partitions."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator

import httpx
import pytest
from azure.storage.queue import QueueClient, QueueServiceClient

from local.stack import Stack, without_trigger
from tests.kit.drop_box import DropBox, Instance, make_instance, wait_for
from tests.kit.host_messages import blob_trigger_message

SOURCES = """
[[source]]
name = "site-a"
prefix = "site-a/"
partition = "site-a"

[[source]]
name = "others"
prefix = ""
partition = "others"
"""
ACCOUNT = "/subscriptions/1/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/a"


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DropBox]:
    folder = tmp_path_factory.mktemp("arrivals")
    settings = without_trigger(folder, SOURCES)
    with Stack(folder, auth=True, poll_seconds=0.25, settings=settings, dicom_options=["--partitions"]) as stack:
        yield DropBox(stack)


def queue(box: DropBox, name: str) -> QueueClient:
    return QueueServiceClient.from_connection_string(box.stack.connection_string).get_queue_client(name)


def send(box: DropBox, content: str) -> None:
    with queue(box, "dicom-arrivals") as client:
        client.send_message(content)


def event_grid(name: str, kind: str = "BlobCreated", **data: object) -> dict[str, object]:
    return {
        "topic": ACCOUNT,
        "subject": f"/blobServices/default/containers/dicom-inbox/blobs/{name}",
        "eventType": f"Microsoft.Storage.{kind}",
        "id": "831e1650-001e-001b-66ab-eeb76e069631",
        "data": {"api": "PutBlob", "contentLength": 1, "blobType": "BlockBlob", **data},
        "dataVersion": "",
        "metadataVersion": "1",
        "eventTime": "2026-03-02T09:15:00.9584103Z",
    }


def cloud_event(name: str) -> dict[str, object]:
    event = event_grid(name)
    return {
        "specversion": "1.0",
        "type": event["eventType"],
        "source": ACCOUNT,
        "id": event["id"],
        "time": event["eventTime"],
        "subject": event["subject"],
        "data": event["data"],
    }


def instances_in(box: DropBox, partition: str, instance: Instance) -> int:
    """Count the instances of a study in a partition of the service."""
    root = box.stack.dicom_url
    headers = {"Authorization": f"Bearer {box.stack.token()}", "Accept": "application/dicom+json"}
    url = f"{root}/partitions/{partition}/studies/{instance.study}/instances"
    response = httpx.get(url, headers=headers, trust_env=False)
    return len(response.json()) if response.status_code == 200 else 0


def test_the_trigger_is_off(box: DropBox) -> None:
    """What follows comes by the queue alone."""
    assert "store_on_upload" in box.log()
    assert not box.events("blob_decided")


def as_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("encode", [str, as_base64])
@pytest.mark.parametrize("schema", [event_grid, cloud_event])
def test_an_event_brings_a_blob_to_its_partition(
    box: DropBox, schema: Callable[[str], dict[str, object]], encode: Callable[[str], str]
) -> None:
    """In either schema and either encoding; the prefix of its name tells the partition."""
    instance = make_instance()
    name = f"site-a/{instance.sop} ü.dcm"
    etag = box.drop(name, instance.content)
    send(box, encode(json.dumps(schema(name))))
    receipt = box.receipt(name, etag)
    assert (receipt["verdict"], receipt["partition"], receipt["source"]) == ("stored", "site-a", "site-a")
    assert instances_in(box, "site-a", instance) == 1
    assert instances_in(box, "others", instance) == 0


def test_the_same_instance_in_two_partitions_is_no_duplicate(box: DropBox) -> None:
    """Each has studies of its own."""
    instance = make_instance()
    for name in ("site-a/one.dcm", "one.dcm", "again.dcm"):
        etag = box.drop(name, instance.content)
        send(box, json.dumps(event_grid(name)))
        assert box.receipt(name, etag)["verdict"] == ("duplicate" if name == "again.dcm" else "stored")


def test_a_renamed_blob_and_a_renamed_directory(box: DropBox) -> None:
    """The blob counts by its new name; of a directory, all that is in it."""
    names = ["renamed.dcm", *(f"moved/deep/{number}.dcm" for number in range(3))]
    etags = {name: box.drop(name, make_instance().content) for name in names}
    for name, kind, api in (
        ("renamed.dcm", "BlobRenamed", "RenameFile"),
        ("moved", "DirectoryRenamed", "RenameDirectory"),
    ):
        url = f"https://a.dfs.core.windows.net/dicom-inbox/{name}"
        send(box, json.dumps(event_grid(name, kind, api=api, destinationUrl=url)))
    for name in names:
        assert box.receipt(name, etags[name])["verdict"] == "stored"


def test_what_is_no_arrival_costs_nothing(box: DropBox) -> None:
    """Deleted blobs, files that were only begun, other containers."""
    before = len(box.events("blob_gone"))
    send(box, json.dumps(event_grid("nothing.dcm", "BlobDeleted", api="DeleteBlob")))
    send(box, json.dumps(event_grid("nothing.dcm", api="CreateFile")))
    send(box, json.dumps([event_grid("gone.dcm")]))
    wait_for(lambda: True if len(box.events("blob_gone")) > before else None, "the last one was not looked at")
    assert len(box.events("blob_gone")) == before + 1


@pytest.mark.parametrize("content", ["no JSON", '{"a": 1}', "bm8gSlNPTg=="])
def test_a_message_that_cannot_be_read_is_parked(box: DropBox, content: str) -> None:
    """As it is, for ever, and it is counted in the log."""
    before = len(box.events("arrival_parked"))
    send(box, content)
    wait_for(lambda: True if len(box.events("arrival_parked")) > before else None, "it was not parked")
    with queue(box, "dicom-arrivals-parked") as parked:
        [message] = list(parked.receive_messages())
        assert message.content == content
        assert message.expires_on is not None
        assert message.expires_on.year == 9999
        parked.delete_message(message)


def test_another_apps_poison_message_is_handed_on(box: DropBox) -> None:
    """Blob triggers of all apps on an account share one queue for what they could not do."""
    message = base64.b64encode(
        json.dumps(
            {
                "Type": "BlobTrigger",
                "FunctionId": "Host.Functions.somebody_elses",
                "ContainerName": "theirs",
                "BlobName": "x",
                "ETag": '"1"',
            }
        ).encode()
    ).decode()
    with queue(box, "webjobs-blobtrigger-poison") as poison:
        poison.send_message(message)
    wait_for(lambda: box.events("foreign_poison_moved") or None, "it was not moved")
    with queue(box, "webjobs-blobtrigger-poison-foreign") as foreign:
        [moved] = list(foreign.receive_messages())
        assert moved.content == message


def test_our_own_poison_message_brings_the_blob_back(box: DropBox) -> None:
    """After five failed runs the platform sets its message aside; the file gets its verdict nevertheless."""
    etag = box.drop("set aside.dcm", make_instance().content)
    with queue(box, "webjobs-blobtrigger-poison") as poison:
        poison.send_message(json.dumps(blob_trigger_message("set aside.dcm", etag)))
    assert box.waiting("set aside.dcm")["reason"] == "poisoned"
    receipt = box.receipt("set aside.dcm", etag)
    assert (receipt["verdict"], receipt["poisonings"]) == ("stored", 1)
