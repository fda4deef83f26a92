"""What a message of the queue `dicom-arrivals` says."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from shared.arrivals import Arrival, Door, Renamed, write_message
from shared.settings import VAULT
from store_on_upload.doors.arrivals import Nothing, UnreadableMessage, read_message

INBOX = "dicom-inbox"
ACCOUNT = (
    "/subscriptions/0a1b2c3d-1111-2222-3333-444455556666/resourceGroups/rg-imaging"
    "/providers/Microsoft.Storage/storageAccounts/stimaging"
)
HOST = "https://stimaging.{}.core.windows.net/"
ID = "7f3a9c20-601e-00d4-2b1c-9e5a44"
ETAG = "0x8DE0B1C2D3E4F50"


def subject_of(name: str, container: str = INBOX) -> str:
    return f"/blobServices/default/containers/{container}/blobs/{name}"


def url_of(name: str, *, endpoint: str = "blob", container: str = INBOX) -> str:
    return f"{HOST.format(endpoint)}{container}/{name}"


def data_of(api: str, **fields: Any) -> dict[str, Any]:
    return {
        "api": api,
        "requestId": f"{ID}000000",
        "sequencer": "00000000000000000000000000019a3b00000000000c41d2",
        "storageDiagnostics": {"batchId": "5d1e7a44-9006-0042-007b-1ce0a5000000"},
    } | fields


def created(api: str, name: str, **fields: Any) -> dict[str, Any]:
    """Return the data of BlobCreated."""
    return data_of(
        api,
        **{
            "clientRequestId": "gateway-0042",
            "eTag": ETAG,
            "contentType": "application/octet-stream",
            "contentLength": 41_236,
            "blobType": "BlockBlob",
            "url": url_of(name),
        }
        | fields,
    )


def event_grid(kind: str, subject: str, data: object) -> dict[str, Any]:
    return {
        "topic": ACCOUNT,
        "subject": subject,
        "eventType": f"Microsoft.Storage.{kind}",
        "id": f"{ID}069631",
        "data": data,
        "dataVersion": "2",
        "metadataVersion": "1",
        "eventTime": "2026-05-04T07:31:12.1234567Z",
    }


def cloud_event(kind: str, subject: str, data: object) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "type": f"Microsoft.Storage.{kind}",
        "source": ACCOUNT,
        "id": f"{ID}069631",
        "time": "2026-05-04T07:31:12.1234567Z",
        "subject": subject,
        "data": data,
    }


def read(message: object, inbox: str = INBOX) -> list[Arrival | Renamed | Nothing]:
    return read_message(json.dumps(message).encode(), inbox)


def read_blob_created(subject: str, url: str) -> tuple[str, ...]:
    [item] = read(event_grid("BlobCreated", subject, created("PutBlob", "", url=url)))
    assert isinstance(item, Arrival)
    return item.names


SCHEMAS = pytest.mark.parametrize("schema", [event_grid, cloud_event])
NAME = "ward 7/IM0001.dcm"
DFS = url_of(NAME, endpoint="dfs")
SFTP = {"contentLength": 0, "contentOffset": 0, "identity": "gateway"}
FILE = {"contentOffset": 0, "url": DFS}


@SCHEMAS
@pytest.mark.parametrize(
    "data",
    [
        created("PutBlob", NAME, contentType="application/dicom", accessTier="Default"),
        created("PutBlockList", NAME, eTag=f'"{ETAG}"', contentLength=734_003_200),
        created("CopyBlob", NAME),
        created("FlushWithClose", NAME, **FILE),
        created("FlushWithClose", NAME, **FILE, blobUrl=url_of(NAME)),
        created("SftpCommit", NAME, **SFTP),
        created("PutBlobFromURL", NAME),
    ],
    ids=lambda data: data["api"],
)
def test_a_blob_was_created(schema: Any, data: dict[str, Any]) -> None:
    """Each way of writing a blob is an arrival of it; so is one that nobody has documented."""
    assert read(schema("BlobCreated", subject_of(NAME), data)) == [Arrival((NAME,), Door.EVENT)]


@SCHEMAS
@pytest.mark.parametrize(
    "data",
    [
        data_of("SftpRename", destinationUrl=url_of(NAME), sourceUrl=url_of(f"{NAME}.part"), identity="gateway"),
        data_of("RenameFile", destinationUrl=DFS, sourceUrl=url_of("tmp/1", endpoint="dfs", container="staging")),
    ],
    ids=lambda data: data["api"],
)
def test_a_blob_was_renamed(schema: Any, data: dict[str, Any]) -> None:
    """It is an arrival of the new name; these events tell no version."""
    assert read(schema("BlobRenamed", subject_of(NAME), data)) == [Arrival((NAME,), Door.EVENT)]


@SCHEMAS
def test_a_directory_was_renamed(schema: Any) -> None:
    """Its blobs have no events of their own: they are to be listed, and not those of a longer name."""
    urls = {"destinationUrl": url_of("ward%207", endpoint="dfs"), "sourceUrl": url_of("tmp", endpoint="dfs")}
    event = schema("DirectoryRenamed", subject_of("ward 7"), data_of("RenameDirectory", **urls))
    assert read(event) == [Renamed("ward 7/"), Renamed("ward%207/")]


@SCHEMAS
@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("BlobCreated", created("CreateFile", NAME, **FILE, contentLength=0)),
        ("BlobCreated", created("SftpCreate", NAME, **SFTP)),
        ("BlobDeleted", data_of("DeleteBlob", blobType="BlockBlob", url=url_of(NAME))),
        ("BlobTierChanged", created("SetBlobTier", NAME)),
        ("DirectoryCreated", data_of("CreateDirectory", url=DFS)),
        ("DirectoryDeleted", data_of("DeleteDirectory", recursive="true", url=DFS)),
        ("AsyncOperationInitiated", created("CopyBlob", NAME)),
        ("SomethingNew", None),
    ],
)
def test_an_event_that_is_no_arrival(schema: Any, kind: str, data: object) -> None:
    """What is still empty, gone or merely changed is nothing to look at, nor is what storage may tell one day."""
    assert read(schema(kind, subject_of(NAME), data)) == [Nothing()]


def test_an_event_without_a_blob_of_the_inbox() -> None:
    """Another container, a policy's run and Event Grid's own validation are nothing to look at."""
    policy = event_grid("BlobInventoryPolicyCompleted", "BlobDataManagement/BlobInventory", {"ruleName": "daily"})
    validation = event_grid("", "", {"validationCode": "1"})
    validation["eventType"] = "Microsoft.EventGrid.SubscriptionValidationEvent"
    other = event_grid("BlobCreated", subject_of(NAME, "dicom-inbox2"), created("PutBlob", NAME))
    assert read([policy, validation, other]) == [Nothing(), Nothing(), Nothing()]


@pytest.mark.parametrize(
    "name", ["a#b.dcm", "100%.dcm", "a%20b.dcm", "q?x=1.dcm", "ä 日本.dcm", "🫀.dcm", "x/blobs/y.dcm", "no-suffix", " "]
)
def test_names_are_taken_as_the_subject_has_them(name: str) -> None:
    """The undecoded subject comes first, whatever signs are in it."""
    assert read_blob_created(subject_of(name), url_of(name))[0] == name


def test_other_candidates_for_the_name() -> None:
    """The subject, the same decoded, the URL's path by hand, and that decoded; each once."""
    assert read_blob_created(subject_of("a%20b"), url_of("a%2520b#?")) == ("a%20b", "a b", "a%2520b#?", "a%20b#?")
    assert read_blob_created(subject_of("a b"), url_of("a%20b")) == ("a b", "a%20b")


def test_a_lossy_subject_has_the_url_behind_it() -> None:
    """Signs beyond the basic plane are reported to arrive as U+FFFD."""
    assert read_blob_created(subject_of("\ufffd\ufffd.dcm"), url_of("%F0%9F%AB%80.dcm")) == (
        "\ufffd\ufffd.dcm",
        "%F0%9F%AB%80.dcm",
        "🫀.dcm",
    )


def test_candidates_that_can_be_no_name_are_left_out() -> None:
    """Half a surrogate pair, bytes that are no UTF-8, a name too long, and the URL of another container."""
    assert read_blob_created(subject_of("\ud83e.dcm"), url_of("a.dcm")) == ("a.dcm",)
    assert read_blob_created(subject_of("%FF.dcm"), "no address") == ("%FF.dcm",)
    assert read_blob_created(subject_of("a.dcm"), url_of("x" * 1025)) == ("a.dcm",)
    assert read_blob_created(subject_of("a.dcm"), url_of("b.dcm", container="other")) == ("a.dcm",)


@pytest.mark.parametrize("path", ["%2e%2e/dicom-receipts/a", "a/%2E%2E/%2e%2e/dicom-receipts/a", "..%5ca", "b/%2e"])
def test_no_candidate_leads_out_of_the_inbox(path: str) -> None:
    """A path with the segments `.` or `..` means another blob once a client has normalised it."""
    assert read_blob_created(subject_of(path), url_of(path)) == (path,)


@pytest.mark.parametrize("name", ["../dicom-receipts/a", "a/./b", "a\\b", "\udc00", "x" * 1025])
def test_a_name_that_no_blob_can_have_is_not_unreadable(name: str) -> None:
    """The handler ignores such an arrival, of an event, of a renamed folder or of our own."""
    assert read(event_grid("BlobCreated", subject_of(name), {})) == [Arrival((name,), Door.EVENT)]
    assert read(event_grid("DirectoryRenamed", subject_of(name), {})) == [Arrival((name,), Door.EVENT)]
    assert read(ours(names=[name])) == [Arrival((name,), Door.SWEEP)]


def test_little_is_asked_of_an_event() -> None:
    """The subject's leading slash and `data` may be missing: the blob decides."""
    subject = subject_of(NAME).lstrip("/")
    for data in (None, {"api": ["PutBlob"], "eTag": 5, "url": None}):
        assert read(event_grid("BlobCreated", subject, data)) == [Arrival((NAME,), Door.EVENT)]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_body_is_json_or_base64_of_it(mark: bytes) -> None:
    """A mark of byte order may stand in front of either, or within the base64."""
    text = json.dumps(event_grid("BlobCreated", subject_of(NAME), created("PutBlob", NAME)), indent=1).encode()
    encoded = base64.b64encode(mark + text)
    for body in (mark + text, b" " + text + b"\r\n", encoded, mark + encoded + b"\r\n"):
        assert read_message(body, INBOX) == [Arrival((NAME,), Door.EVENT)]


def test_a_list_is_read_item_by_item() -> None:
    """Events and our own messages, in their order; an empty list is none."""
    ours = json.loads(base64.b64decode(write_message(Renamed("ward 7/"))))
    event = event_grid("BlobCreated", subject_of(NAME), created("PutBlob", NAME))
    assert read([ours, event]) == [Renamed("ward 7/"), Arrival((NAME,), Door.EVENT)]
    assert read([]) == []


def ours(**fields: object) -> dict[str, Any]:
    return {"dicom_dropbox": 1, "arrival": {"names": [NAME], "door": "sweep"} | fields}


UNREADABLE: list[Any] = [
    None,
    17,
    "text",
    {},
    [[]],
    {"eventType": "Contoso.Orders.Created", "subject": subject_of(NAME)},
    {"eventType": 5},
    {"type": None},
    event_grid("BlobCreated", "/blobServices/default/containers/dicom-inbox", {}),
    event_grid("BlobCreated", subject_of(""), {}),
    event_grid("BlobRenamed", "", {}) | {"subject": None},
    {**ours(), "dicom_dropbox": 2},
    {"dicom_dropbox": 1},
    {"dicom_dropbox": 1, "renamed": {"prefix": ""}},
    {"dicom_dropbox": 1, "renamed": {"prefix": "a/", "continuation": 5}},
    {"dicom_dropbox": 1, "renamed": "a/"},
    {"dicom_dropbox": 1, "arrival": [NAME]},
    ours(names=[]),
    ours(names=NAME),
    ours(names=[5]),
    ours(door="window"),
    ours(door=[]),
    ours(container="../dicom-receipts"),
    ours(container=[]),
    ours(other=1),
]


@pytest.mark.parametrize("message", UNREADABLE)
def test_what_is_neither_ours_nor_a_storage_event(message: object) -> None:
    """It is unreadable, by itself and in a list that it spoils; the error holds nothing of it."""
    good = event_grid("BlobCreated", subject_of(NAME), created("PutBlob", NAME))
    for content in (message, [good, message]):
        with pytest.raises(UnreadableMessage) as caught:
            read(content)
        assert caught.value.__cause__ is None
        assert "ward 7" not in str(caught.value)


def test_our_own_form() -> None:
    """Messages outlive a deployment: a form once written is read for good."""
    replayed = Arrival(("a.dcm",), Door.REPLAY, "dicom-quarantine")
    fields = '{"names": ["a.dcm"], "door": "replay", "container": "dicom-quarantine", "tries": 0}'
    assert base64.b64decode(write_message(replayed)) == f'{{"dicom_dropbox": 1, "arrival": {fields}}}'.encode()
    with_version = fields.replace('"container"', '"etag": "0x1", "container"')
    assert read_message(f'{{"dicom_dropbox": 1, "arrival": {with_version}}}'.encode(), INBOX) == [replayed]
    least = b'{"dicom_dropbox": 1, "arrival": {"names": ["a.dcm"], "door": "sweep"}}'
    assert read_message(least, INBOX) == [Arrival(("a.dcm",), Door.SWEEP)]


@pytest.mark.parametrize("partition", [None, "site-a"])
def test_a_restore_names_its_partition(partition: str | None) -> None:
    """What comes from the vault has no name that would decide; nothing else may name one."""
    restored = Arrival(("site-a/1/2/3/4.dcm",), Door.RESTORE, container=VAULT, partition=partition)
    assert read_message(write_message(restored).encode(), INBOX) == [restored]


@pytest.mark.parametrize(
    "arrival",
    [
        Arrival(("a.dcm",), Door.RESTORE),
        Arrival(("a.dcm",), Door.RESTORE, container="dicom-quarantine"),
        Arrival(("a.dcm",), Door.REPLAY, container=VAULT),
        Arrival(("a.dcm",), Door.REPLAY),
        Arrival(("a.dcm",), Door.REPLAY, container="dicom-archive"),
        Arrival(("a.dcm",), Door.DEFERRAL, container="dicom-replaced"),
        Arrival(("a.dcm",), Door.SWEEP, container="dicom-archive"),
        Arrival(("a.dcm",), Door.REPLAY, container="dicom-quarantine", partition="site-a"),
        Arrival(("a.dcm",), Door.RESTORE, container=VAULT, partition="../site-a"),
    ],
)
def test_no_message_leads_elsewhere(arrival: Arrival) -> None:
    """Each door has its container: a replay the quarantine, a restore the vault, any other the inbox."""
    with pytest.raises(UnreadableMessage):
        read_message(write_message(arrival).encode(), INBOX)


def test_a_message_of_ours_takes_its_trace_along() -> None:
    """Beside what it is about, where older deployments do not look; what is no text there is none."""
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    arrival = Arrival(("a.dcm",), Door.DEFERRAL, traceparent=trace)
    written = json.loads(base64.b64decode(write_message(arrival)))
    assert read([written]) == [arrival]
    assert "traceparent" not in written["arrival"]
    assert read([{**written, "traceparent": 1}]) == [Arrival(("a.dcm",), Door.DEFERRAL)]
    assert "traceparent" not in json.loads(base64.b64decode(write_message(Arrival(("a.dcm",), Door.DEFERRAL))))
