"""Files that come without the blob trigger: by messages of `dicom-arrivals`, or found by the sweep.

The DICOM service has partitions, and refuses implicit VR.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from azure.storage.queue import QueueClient

from local.commands import ROOT, no_proxy
from local.stack import Stack, without_trigger
from tests.kit.drop_box import DropBox, Instance, make_instance, wait_for
from tests.kit.files import TEST_FILES
from tests.kit.host_messages import blob_trigger_message
from tests.kit.implicit_vr import read_file
from tests.kit.stack_service import Service

SOURCES = """
[[source]]
name = "site-a"
prefix = "site-a/"
partition = "site-a"

[[source]]
name = "deleting"
prefix = "deleted/"
partition = "others"
after_store = "delete"

[[source]]
name = "others"
prefix = ""
partition = "others"
"""
ACCOUNT = "/subscriptions/1/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/a"
# Blob triggers of all apps on an account share one queue for what they could not do.
SOMEBODY_ELSES = {
    "Type": "BlobTrigger",
    "FunctionId": "Host.Functions.somebody_elses",
    "ContainerName": "theirs",
    "BlobName": "x",
    "ETag": '"1"',
}


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DropBox]:
    """The app's clock is ahead, so that a file is old enough for a sweep when it comes."""
    folder = tmp_path_factory.mktemp("queue")
    with Stack(
        folder,
        auth=True,
        poll_seconds=0.25,
        settings=without_trigger(folder, SOURCES),
        dicom_options=["--partitions", "--implicit-vr", "reject"],
        clock_ahead_seconds=1000,
        in_memory=True,
    ) as stack:
        yield DropBox(stack)


def queue(box: DropBox, name: str) -> QueueClient:
    return QueueClient.from_connection_string(box.stack.connection_string, name)


def send(box: DropBox, content: str, to: str = "dicom-arrivals") -> None:
    with queue(box, to) as client:
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
    names = {"type": "eventType", "id": "id", "time": "eventTime", "subject": "subject", "data": "data"}
    return {"specversion": "1.0", "source": ACCOUNT} | {name: event[theirs] for name, theirs in names.items()}


def as_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def stored_in(box: DropBox, instance: Instance) -> list[str]:
    return [name for name in ("site-a", "others") if Service(box.stack, name).has_study(instance.study)]


@pytest.mark.parametrize("encode", [str, as_base64])
@pytest.mark.parametrize("schema", [event_grid, cloud_event])
def test_an_event_brings_a_file_to_its_partition(
    box: DropBox, schema: Callable[[str], dict[str, object]], encode: Callable[[str], str]
) -> None:
    """In either schema and either encoding; the prefix of its name tells the partition."""
    instance = make_instance()
    name = f"site-a/{instance.sop} ü.dcm"
    etag = box.drop(name, instance.content)
    send(box, encode(json.dumps(schema(name))))
    receipt = box.receipt(name, etag)
    assert (receipt["verdict"], receipt["partition"], receipt["source"]) == ("stored", "site-a", "site-a")
    assert stored_in(box, instance) == ["site-a"]


def test_the_same_instance_in_two_partitions_is_no_duplicate(box: DropBox) -> None:
    instance = make_instance()
    for name in ("site-a/one.dcm", "one.dcm", "again.dcm"):
        etag = box.drop(name, instance.content)
        send(box, json.dumps(event_grid(name)))
        assert box.receipt(name, etag)["verdict"] == ("duplicate" if name == "again.dcm" else "stored")


def test_implicit_vr_is_transcoded(box: DropBox) -> None:
    """Every value keeps its bytes; the original is archived; the same file again is a duplicate of what was made."""
    content = (TEST_FILES / "MR_small_implicit.dcm").read_bytes()
    for verdict in ("stored", "duplicate"):
        etag = box.drop("implicit.dcm", content)
        send(box, json.dumps(event_grid("implicit.dcm")))
        receipt = box.receipt("implicit.dcm", etag)
        assert (receipt["verdict"], receipt["changes"]) == (verdict, ["explicit_vr"])
        assert wait_for(lambda: box.blob("dicom-archive", "implicit.dcm"), "it is not archived") == content
    path = "/studies/{study_instance_uid}/series/{series_instance_uid}/instances/{sop_instance_uid}".format(**receipt)
    stored = box.get(f"/partitions/others{path}", headers={"Accept": "application/dicom"}).content
    assert read_file(stored) == read_file(content)
    assert (receipt["sent_bytes"], receipt["sent_sha256"]) == (len(stored), hashlib.sha256(stored).hexdigest())


def test_a_renamed_file_and_a_renamed_directory(box: DropBox) -> None:
    """The file counts by its new name; of a directory, all that is in it."""
    names = ["renamed.dcm", *(f"moved/deep/{number}.dcm" for number in range(3))]
    etags = {name: box.drop(name, make_instance().content) for name in names}
    for name, kind, api in (
        ("renamed.dcm", "BlobRenamed", "RenameFile"),
        ("moved", "DirectoryRenamed", "RenameDirectory"),
    ):
        url = f"https://a.dfs.core.windows.net/dicom-inbox/{name}"
        send(box, json.dumps(event_grid(name, kind, api=api, destinationUrl=url)))
    assert {box.receipt(name, etags[name])["verdict"] for name in names} == {"stored"}


def test_what_is_no_arrival_costs_nothing(box: DropBox) -> None:
    """Deleted blobs and files that were only begun; a blob that is gone is one line in the log."""
    before = len(box.events("blob_gone"))
    send(box, json.dumps(event_grid("nothing.dcm", "BlobDeleted", api="DeleteBlob")))
    send(box, json.dumps(event_grid("nothing.dcm", api="CreateFile")))
    send(box, json.dumps([event_grid("gone.dcm")]))
    wait_for(lambda: len(box.events("blob_gone")) > before or None, "the last one was not looked at")
    assert len(box.events("blob_gone")) == before + 1


@pytest.mark.parametrize(
    ("content", "event", "to", "kept_in"),
    [
        ("no JSON", "arrival_parked", "dicom-arrivals", "dicom-arrivals-parked"),
        ("bm8gSlNPTg==", "arrival_parked", "dicom-arrivals", "dicom-arrivals-parked"),
        (
            as_base64(json.dumps(SOMEBODY_ELSES)),
            "foreign_poison_moved",
            "webjobs-blobtrigger-poison",
            "webjobs-blobtrigger-poison-foreign",
        ),
    ],
)
def test_a_message_that_is_not_for_us_is_kept_as_it_is(
    box: DropBox, content: str, event: str, to: str, kept_in: str
) -> None:
    """What cannot be read, and what is another app's."""
    before = len(box.events(event))
    send(box, content, to)
    wait_for(lambda: len(box.events(event)) > before or None, "it was not moved")
    with queue(box, kept_in) as kept:
        [message] = list(kept.receive_messages())
        assert (message.content, message.expires_on.year if message.expires_on else None) == (content, 9999)
        kept.delete_message(message)


def test_a_poison_message_brings_the_file_back(box: DropBox) -> None:
    """After five failed runs the platform sets its message aside; the file gets its verdict nevertheless."""
    etag = box.drop("set aside.dcm", make_instance().content)
    send(box, json.dumps(blob_trigger_message("set aside.dcm", etag)), "webjobs-blobtrigger-poison")
    receipt = box.receipt("set aside.dcm", etag)
    assert (receipt["verdict"], receipt["poisonings"]) == ("stored", 1)


def test_files_whose_events_never_came(box: DropBox) -> None:
    """The sweep finds them: each is stored, or refused; the next sweep has nothing to do."""
    instances = {name: make_instance() for name in ("kept.dcm", "deleted/1.dcm", "deleted/ü \U0001f600.dcm")}
    etags = {name: box.drop(name, instance.content) for name, instance in instances.items()}
    etags["refused.dcm"] = box.drop("refused.dcm", b"no DICOM")
    decided = len(box.events("blob_decided"))
    box.stack.fire("sweep_inbox")
    verdicts = {name: box.receipt(name, etag)["verdict"] for name, etag in etags.items()}
    assert verdicts == {**dict.fromkeys(instances, "stored"), "refused.dcm": "rejected"}
    assert [event["door"] for event in box.events("blob_decided")[decided:]] == ["sweep"] * 4
    left = [name for name in etags if name != "kept.dcm"]
    wait_for(lambda: True if not any(box.blob("dicom-inbox", name) for name in left) else None, "a file stays")
    assert {name for name, instance in instances.items() if stored_in(box, instance) == ["others"]} == set(instances)
    seen = len(box.events("sweep"))
    box.stack.fire("sweep_inbox")
    last = wait_for(lambda: box.events("sweep")[seen:] or None, "no second sweep")[-1]
    assert (last["queued"], last["oldest_pending_seconds"], last["complete"]) == (0, 0, True)


def reconcile(box: DropBox, *options: str, **settings: str) -> tuple[int, str, str]:
    """Run the operator's command; return its exit code and output."""
    command = [sys.executable, "-m", "store_on_upload.reconcile", *options]
    environment = {**box.stack.environment(), **no_proxy(), **settings}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout, ended.stderr


def test_it_all_adds_up_and_the_command_says_so(box: DropBox) -> None:
    """And says it where it does not; a name is told only to who asks."""
    code, output, errors = reconcile(box, "--json")
    assert (code, json.loads(output)["differences"], errors) == (0, {}, "")
    box.storage.get_blob_client("dicom-quarantine", "just now.dcm").upload_blob(b"a letter")
    assert reconcile(box)[0] == 0
    code, output, _ = reconcile(box, "--grace", "0")
    assert (code, "without_reason" in output) == (1, True)
    box.storage.get_blob_client("dicom-receipts", "DOE^JANE.dcm").upload_blob(b"nonsense")
    code, output, errors = reconcile(box)
    assert (code, errors, "receipt_invalid" in output, "DOE" in output) == (1, "", True, False)
    assert "DOE^JANE.dcm" in reconcile(box, "--names")[1]
    code, output, errors = reconcile(box, DICOM_SERVICE_URL="")
    assert (code, output) == (2, "")
    assert errors.startswith("It cannot be told: ConfigurationError: ")
