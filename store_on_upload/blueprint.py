"""The triggers of ingest."""

from __future__ import annotations

import azure.functions as func
from azurefunctions.extensions.bindings.blob import BlobClient

from shared.clients import get_clients
from shared.events import failed
from shared.settings import STORAGE_CONNECTION, trigger_settings

from .upload import handle_blob

blueprint = func.Blueprint()
_triggers = trigger_settings()


# The binding's client is made anew for each call, with a credential of its own: we take the name and use ours.
@blueprint.blob_trigger(
    arg_name="blob",
    path=f"{_triggers.inbox_container}/{{name}}",
    connection=STORAGE_CONNECTION,
    source=func.BlobSource(_triggers.blob_source),
)
async def store_on_upload(blob: BlobClient) -> None:
    """Bring a new blob to its verdict; an exception makes the host try again, five times in all."""
    try:
        await handle_blob(get_clients(), blob.blob_name)
    except Exception as error:
        raise failed("blob_failed", error) from None
