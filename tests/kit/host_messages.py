"""What the Functions host and Event Grid write into queues, for tests that say it in their place."""

from __future__ import annotations

from shared.settings import DEFAULT_INBOX


def blob_trigger_message(name: str, etag: str = "0x1") -> dict[str, object]:
    """Return the host's message about a blob for our trigger, as in its own queue and in `webjobs-blobtrigger-poison`.

    Args:
        name: of the blob in the inbox.
        etag: without quotation marks.
    """
    return {
        "Type": "BlobTrigger",
        "FunctionId": "Host.Functions.store_on_upload",
        "BlobType": "BlockBlob",
        "ContainerName": DEFAULT_INBOX,
        "BlobName": name,
        "ETag": f'"{etag}"',
    }


def storage_event(name: str) -> dict[str, object]:
    """Return what Event Grid says into `dicom-arrivals` of a blob of the inbox, as far as it is read.

    Args:
        name: of the blob.
    """
    subject = f"/blobServices/default/containers/{DEFAULT_INBOX}/blobs/{name}"
    return {"eventType": "Microsoft.Storage.BlobCreated", "subject": subject, "data": {"api": "PutBlob"}}
