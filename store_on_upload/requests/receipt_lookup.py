"""Did a file arrive? Its receipt, over HTTP."""

from __future__ import annotations

from math import ceil

from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from shared import clock
from shared.answering import read_query
from shared.auditing.record import Access
from shared.clients import Clients, get_clients
from shared.dicomweb import InvalidParameter
from store_on_upload.files.naming import bare_etag, is_name
from store_on_upload.receipts.container import Unreadable, read_receipt
from store_on_upload.receipts.document import Document
from store_on_upload.receipts.receipt import Receipt, parse_timestamp

from .answering import NO_NAME, refused


async def look_up_receipt(http: HttpRequest, access: Access) -> Response:
    """Answer with a blob's receipt: 200 with its verdict, 202 while there is none yet.

    Args:
        http: what the caller sent.
        access: gets the studies and the partition that the receipt names.

    Raises:
        InvalidParameter: the query is not what it should be.
        ConfigurationError: the app is not configured.
        Refused: there is no receipt, or it cannot be read.
        AzureError: storage failed.
    """
    name, etag = _asked(http)
    document = await _read(get_clients(), name)
    found = document if document is None or etag is None else document.of_version(etag)
    if found is None:
        raise refused("no-receipt")
    newest = found.newest if isinstance(found, Document) else found
    versions = found.versions if isinstance(found, Document) else (found,)
    access.partition = newest.partition
    access.studies = tuple(version.study_instance_uid for version in versions if version.study_instance_uid)
    if newest.is_final:
        return JSONResponse(found.to_json())
    return JSONResponse(found.to_json(), 202, {"Retry-After": str(_seconds_to_go(newest))})


def _asked(http: HttpRequest) -> tuple[str, str | None]:
    """Return the blob's name, and the version where one is asked for."""
    given = read_query(http, "name", "etag")
    name, etag = given.get("name", ""), given.get("etag")
    if not is_name(name):
        raise InvalidParameter(NO_NAME)
    if etag is None:
        return name, None
    if (version := bare_etag(etag)) is None:
        raise InvalidParameter("etag must be that of a blob")
    return name, version


async def _read(clients: Clients, name: str) -> Document | None:
    try:
        return await read_receipt(clients, name)
    except Unreadable:
        raise refused("unreadable-receipt") from None


def _seconds_to_go(receipt: Receipt) -> int:
    """Return the time to the next attempt; one that is overdue may come any moment."""
    if receipt.due_at is None:
        return 1
    return max(1, ceil((parse_timestamp(receipt.due_at) - clock.now()).total_seconds()))
