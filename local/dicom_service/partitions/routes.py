"""Partitions: an extension of the Azure service to DICOMweb. Each is a set of studies that knows of no other.

Where they are on, the resources of studies lie below `/partitions/{partition}` and nowhere else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.dicom_service.change_feed import timestamps
from local.dicom_service.partitions.index import Partition
from local.dicom_service.web.errors import bad_request
from local.dicom_service.web.requests import service_of

Endpoint = Callable[[Request], Awaitable[Response]]
RouteRow = tuple[str, str, Endpoint]

_PREFIX = "/partitions/{partition}"
_PARTITIONED = ("/studies", "/series", "/instances", "/workitems")


def partitioned(table: Iterable[RouteRow], partitions: bool) -> Iterator[RouteRow]:
    """Yield the routes of a table as the switch has them, and answer 400 where it would have them otherwise."""
    for method, path, endpoint in table:
        if not path.startswith(_PARTITIONED):
            yield method, path, endpoint
        elif partitions:
            yield method, _PREFIX + path, endpoint
            yield method, path, _prefix_is_missing
        else:
            yield method, path, endpoint
            yield method, _PREFIX + path, _are_off


async def list_partitions(request: Request) -> Response:
    """Answer with all partitions.

    Raises:
        ServiceError: 400, partitions are off.
    """
    service = service_of(request)
    if not service.switches.partitions:
        return await _are_off(request)
    return JSONResponse([_shown(partition) for partition in service.partitions.all()])


def _shown(partition: Partition) -> dict[str, str | int]:
    return {
        "partitionKey": partition.key,
        "partitionName": partition.name,
        "createdDate": timestamps.shown(partition.created),
    }


async def _prefix_is_missing(request: Request) -> Response:
    raise bad_request("Partitions are on: the path must name one.")


async def _are_off(request: Request) -> Response:
    raise bad_request("Partitions are off.")
