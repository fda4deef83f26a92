"""One blob → one verdict: look at it, store it, confirm it, write the receipt, then deal with the file."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from shared.clients import Clients
from shared.dicomweb import DICOMwebClient, StatusError
from shared.events import event

from .duplicate import compare_with_stored
from .part10 import Header, Unfit, read_header
from .quarantine import move_to_quarantine
from .receipt import Receipt, standing_receipt, timestamp, write_receipt
from .source import Digest, HashedBody, Source, SourceGone
from .verdict import AlreadyStored, Decision, Verdict, judge, rejected

SUFFIX = ".dcm"


async def handle_blob(clients: Clients, name: str) -> None:
    """Bring one blob of the inbox to its verdict and deal with the file; harmless when repeated.

    A version that already has a receipt is not stored again, so an instance deleted on purpose does not come back.

    Raises:
        DICOMwebError, Failed, AzureError: no verdict yet, or the file is not dealt with; it stays in the inbox, and
            the host tries again.
    """
    try:
        source = await Source.open(clients.inbox.get_blob_client(name))
        receipt = await standing_receipt(clients, source) or await _decide(clients, source)
        if receipt.verdict.quarantines:
            await move_to_quarantine(clients, source, receipt)
    except SourceGone:
        # Deleted, or overwritten: then the new version has a trigger of its own.
        event("blob_gone")


async def _decide(clients: Clients, source: Source) -> Receipt:
    started = time.monotonic()
    receipt = await write_receipt(clients, await _judge(clients.dicom, source))
    _report(receipt, time.monotonic() - started)
    return receipt


async def _judge(dicom: DICOMwebClient, source: Source) -> Receipt:
    if not source.blob.blob_name.lower().endswith(SUFFIX):
        return _receipt(source, None, None, Decision(Verdict.IGNORED, "name"))
    try:
        header = await read_header(source.prefix, source.size, source.range)
    except Unfit as unfit:
        return _receipt(source, None, None, rejected(unfit.reason))
    return await _store(dicom, source, header)


async def _store(dicom: DICOMwebClient, source: Source, header: Header) -> Receipt:
    body = HashedBody(source)
    try:
        result = await dicom.store_instance(body)
        decision = judge(result, header.sop_instance_uid)
    except AlreadyStored as stored:
        decision = await compare_with_stored(dicom, body, header, stored.sop_instance_uid)
    except StatusError as error:
        if error.status_code != 413:
            raise
        decision = rejected("too_large")
    return _receipt(source, header, body.digest, decision)


def _receipt(source: Source, header: Header | None, digest: Digest | None, decision: Decision) -> Receipt:
    return Receipt(
        blob=source.blob.blob_name,
        etag=source.bare_etag,
        size_bytes=source.size,
        sha256=_sha256(source, digest),
        verdict=decision.verdict,
        reason=decision.reason,
        service_code=decision.service_code,
        attributes=decision.attributes,
        study_instance_uid=header.study_instance_uid if header else None,
        series_instance_uid=header.series_instance_uid if header else None,
        sop_instance_uid=header.sop_instance_uid if header else None,
        uploaded_at=timestamp(source.last_modified),
        decided_at=timestamp(datetime.now(UTC)),
    )


def _sha256(source: Source, digest: Digest | None) -> str | None:
    """Return the hash of the whole content, if all of it has been seen."""
    if digest is None:
        digest = Digest()
        digest.update(source.prefix)
    return digest.sha256 if digest.size == source.size else None


def _report(receipt: Receipt, seconds: float) -> None:
    event(
        "blob_decided",
        verdict=receipt.verdict,
        reason=receipt.reason,
        service_code=receipt.service_code,
        attributes=receipt.attributes or None,
        bytes=receipt.size_bytes,
        seconds=round(seconds, 3),
    )
