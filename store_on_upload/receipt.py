"""Receipts: one JSON blob for each blob of the inbox, under the same name, in a container of their own.

The same name, since two listings in the same order can then be joined without a request per blob.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import ContentSettings
from azure.storage.blob.aio import BlobClient

from shared.clients import Clients
from shared.settings import RECEIPTS

from .source import Source
from .verdict import REASONS, Verdict

SCHEMA = 1
_MAX_EARLIER = 50


@dataclass(frozen=True)
class Receipt:
    """What became of one version of a blob."""

    blob: str
    etag: str  # without quotation marks, as listings have it
    size_bytes: int
    sha256: str | None  # None where the content was never read to its end
    verdict: Verdict
    reason: str | None = None
    service_code: int | None = None
    attributes: tuple[str, ...] = ()
    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    sop_instance_uid: str | None = None
    uploaded_at: str = ""  # both as `timestamp` has it
    decided_at: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as `docs/receipts.md` has it."""
        advice = {"advice": REASONS[self.reason]} if self.reason else {}
        return {"schema": SCHEMA, "state": "final", **asdict(self), **advice}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Receipt:
        """Read what `to_json` gave.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        fields = {name: document[name] for name in cls.__dataclass_fields__ if name in document}
        return cls(**fields | {"verdict": Verdict(fields["verdict"]), "attributes": tuple(fields["attributes"])})


def timestamp(when: datetime) -> str:
    """Return a time as receipts have it: UTC, to the second, so that text compares as time does."""
    return when.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


async def standing_receipt(clients: Clients, source: Source) -> Receipt | None:
    """Return the receipt of this version of a blob, if there is one: the standing one, or one of its earlier ones.

    Raises:
        KeyError, TypeError, ValueError: there is one that cannot be read.
    """
    try:
        download = await clients.container(RECEIPTS).get_blob_client(source.blob.blob_name).download_blob()
        document: dict[str, Any] = json.loads(await download.readall())
    except ResourceNotFoundError:
        return None
    versions = [document, *document.get("earlier", [])]
    return next((Receipt.from_json(one) for one in versions if one["etag"] == source.bare_etag), None)


async def write_receipt(clients: Clients, receipt: Receipt) -> Receipt:
    """Write a receipt, and return the one that stands: the first verdict on a version is the one that counts.

    An event may come twice, and a blob may be overwritten. The newer version's receipt stands, and the older one goes
    into its `earlier` list, whichever was judged first.

    Raises:
        ResourceModifiedError: somebody else changed it in the same moment.
    """
    blob = clients.container(RECEIPTS).get_blob_client(receipt.blob)
    try:
        await upload_json(blob, receipt.to_json() | {"earlier": []}, match_condition=MatchConditions.IfMissing)
        return receipt
    except ResourceExistsError:
        return await _add_to(blob, receipt, is_current=await _is_current(clients, receipt))


async def _is_current(clients: Clients, receipt: Receipt) -> bool:
    """Say whether the blob still has the version that was judged; times, to the second, would leave ties."""
    try:
        properties = await clients.inbox.get_blob_client(receipt.blob).get_blob_properties()
    except ResourceNotFoundError:
        return False
    return str(properties.etag).strip('"') == receipt.etag


async def _add_to(blob: BlobClient, receipt: Receipt, *, is_current: bool) -> Receipt:
    download = await blob.download_blob()
    document: dict[str, Any] = json.loads(await download.readall())
    if document["etag"] == receipt.etag:
        return Receipt.from_json(document)
    newest, older = receipt.to_json(), document
    if not is_current and document.get("uploaded_at", "") >= receipt.uploaded_at:
        newest, older = document, newest
    earlier = [*document.pop("earlier", []), older][-_MAX_EARLIER:]
    # A concurrent change makes this fail; the host then tries again from the start.
    await upload_json(
        blob,
        newest | {"earlier": earlier},
        etag=download.properties.etag,
        match_condition=MatchConditions.IfNotModified,
    )
    return receipt


async def upload_json(blob: BlobClient, document: dict[str, Any], **conditions: Any) -> None:
    """Write a blob of JSON, over one that is there unless the conditions forbid it."""
    await blob.upload_blob(
        json.dumps(document, indent=1).encode(),
        overwrite=True,
        content_settings=ContentSettings(content_type="application/json"),
        **conditions,
    )
