"""Which plans there are, and each of them as it was written: for programs, for a signature, for people."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from typing import Any, Final

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob import BlobProperties
from azure.storage.blob.aio import StorageStreamDownloader
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response, StreamingResponse

from purge_study.planning.plan import PLANS, made_at
from shared.accept import media_ranges, quality_of
from shared.answering import read_query
from shared.auditing.record import Access
from shared.clients import Clients, get_clients
from shared.dicomweb import InvalidParameter
from shared.events import Failed
from shared.places import Places
from shared.settings import RETENTION_RECORDS
from shared.small_blobs import open_from_start

from .answering import place_in, refused, visible_partitions

_MOST_AT_ONCE: Final = 100
# Each holds 10 MiB of a document at most, or the names of all plans.
_MOST_REQUESTS: Final = 8
_PIECE_BYTES: Final = 256 * 1024
_JSON_LINES: Final = ".jsonl"
# As the query's `format` and the ends of names have them → media type. The first is what is given where nothing else is
# asked for, and by `Accept` never the last, which is no form of the plan itself.
FORMATS: Final[Mapping[str, str]] = {
    "json": "application/json",
    "jsonl": "application/jsonl",
    "csv": "text/csv",
    "html": "text/html",
    "listed.jsonl": "application/jsonl",
}
_places = Places()


async def list_plans(http: HttpRequest) -> Response:
    """Answer with the plans, the newest first, and with where the next ones begin.

    Raises:
        InvalidParameter: the query is not what it should be.
        ConfigurationError: the app is not configured.
        Refused: the caller may not see all partitions.
        AzureError: storage failed.
    """
    clients = get_clients()
    check_sees_all(http, clients)
    limit, before = _page(http)
    with place_in(_places, _MOST_REQUESTS):
        ids = await _ids(clients)
    plans = sorted((plan for plan in ids if before is None or plan < before), reverse=True)
    following = plans[limit - 1] if len(plans) > limit else None
    told = [{"id": plan, "made_at": _timestamp(plan)} for plan in plans[:limit]]
    return JSONResponse({"plans": told, "next": following and f"before={following}&limit={limit}"})


async def get_plan(http: HttpRequest, access: Access) -> Response:
    """Answer with a plan, as the end of its name, the query's `format` or the header `Accept` asks for it.

    Its documents have the names that they have in storage, so that the links from one to another lead there.

    Args:
        http: what the caller sent.
        access: gets the plan's id.

    Raises:
        InvalidParameter: the query is not what it should be.
        ConfigurationError: the app is not configured.
        Refused: the caller may not see all partitions, there is no such plan, or not in such a form.
        AzureError: storage failed.
    """
    clients = get_clients()
    check_sees_all(http, clients)
    plan, wanted = _document(http)
    access.plan = plan
    blob = clients.container(RETENTION_RECORDS).get_blob_client(f"{PLANS}{plan}.{wanted}")
    with ExitStack() as held:
        held.enter_context(place_in(_places, _MOST_REQUESTS))
        try:
            opened = await open_from_start(blob)
        except ResourceNotFoundError:
            raise refused("no-such-plan") from None
        if isinstance(opened, BlobProperties):  # it is empty
            return Response(media_type=FORMATS[wanted])
        return _Document(opened, FORMATS[wanted], held.pop_all())


class _Document(StreamingResponse):
    """Send a document while it is read: it may list the whole archive.

    Its length shows the caller a document that breaks off.

    Args:
        opened: reads it.
        media_type: of the document.
        held: is closed when all is over.
    """

    def __init__(self, opened: StorageStreamDownloader[bytes], media_type: str, held: ExitStack) -> None:
        super().__init__(_pieces(opened), headers={"content-length": str(opened.size)}, media_type=media_type)
        self._held = held

    async def aclose(self) -> None:
        """Close what is held; `Delivery` calls it, however the answer ends."""
        self._held.close()


async def _pieces(opened: StorageStreamDownloader[bytes]) -> AsyncIterator[bytes]:
    try:
        async for chunk in opened.chunks():
            for start in range(0, len(chunk), _PIECE_BYTES):
                yield chunk[start : start + _PIECE_BYTES]
    except AzureError:
        raise Failed("storage did not give the rest of the document") from None


def check_sees_all(http: HttpRequest, clients: Clients) -> None:
    """See that whoever asks may see all partitions.

    Raises:
        Refused: they may not.
    """
    if visible_partitions(http, clients.settings) is not None:
        raise refused("not-all-partitions")


def plan_in(http: HttpRequest) -> str:
    """Return the plan's id that the path has.

    Raises:
        Refused: no plan has such an id.
    """
    plan = str(http.path_params["plan"])
    if made_at(plan) is None:
        raise refused("no-such-plan")
    return plan


def _page(http: HttpRequest) -> tuple[int, str | None]:
    query = read_query(http, "limit", "before")
    limit, before = query.get("limit", str(_MOST_AT_ONCE)), query.get("before")
    if not (limit.isascii() and limit.isdecimal() and len(limit) <= 3 and 1 <= int(limit) <= _MOST_AT_ONCE):
        raise InvalidParameter(f"limit must be a number from 1 to {_MOST_AT_ONCE}")
    if before is not None and made_at(before) is None:
        raise InvalidParameter("before must be the id of a plan")
    return int(limit), before


async def _ids(clients: Clients) -> list[str]:
    names: Any = clients.container(RETENTION_RECORDS).list_blob_names(name_starts_with=PLANS)
    ids = [name.removeprefix(PLANS).removesuffix(_JSON_LINES) async for name in names if name.endswith(_JSON_LINES)]
    return [plan for plan in ids if made_at(plan) is not None]


def _timestamp(plan: str) -> str | None:
    when = made_at(plan)
    return when.isoformat() if when else None


def _document(http: HttpRequest) -> tuple[str, str]:
    """Return which plan is asked for, and as what."""
    plan, _, named = str(http.path_params["plan"]).partition(".")
    if made_at(plan) is None or named not in ("", *FORMATS):
        raise refused("no-such-plan")
    return plan, named or _format(http)


def _format(http: HttpRequest) -> str:
    if (asked := read_query(http, "format").get("format")) is not None:
        if asked not in FORMATS:
            raise InvalidParameter(f"format must be one of {', '.join(FORMATS)}")
        return asked
    ranges = media_ranges(http.headers.getlist("accept"))
    best = max(FORMATS, key=lambda name: quality_of(FORMATS[name], ranges))
    if quality_of(FORMATS[best], ranges) == 0:
        raise refused("not-acceptable")
    return best
