"""What a request came to: the service, and the partition, study, series or instance that its path names."""

from __future__ import annotations

import re
from typing import cast

from anyio import to_thread
from starlette.requests import Request

from local.dicom_service.instances import uids
from local.dicom_service.partitions.index import Partition
from local.dicom_service.state import Service
from local.dicom_service.stored.index import Target
from local.dicom_service.web.errors import bad_request

_PARTITION_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def service_of(request: Request) -> Service:
    """Return the service that the request came to."""
    return cast(Service, request.app.state.service)


def base_url(request: Request) -> str:
    """Return the URL, with the version, below which the request reached the service."""
    return f"{request.url.scheme}://{request.url.netloc}/v2"


def partition_of(request: Request) -> Partition:
    """Return the partition that the path names, the default one where it names none.

    Raises:
        ServiceError: 400, its name is none, or there is no such partition.
    """
    partition = service_of(request).partitions.find(_partition_name(request))
    if partition is None:
        raise bad_request("There is no such partition.")
    return partition


async def partition_to_store_in(request: Request) -> Partition:
    """Return the partition that the path names, which comes into being by this.

    Raises:
        ServiceError: 400, its name is none.
    """
    partitions, name = service_of(request).partitions, _partition_name(request)
    known = partitions.find(name)
    return known if known is not None else await to_thread.run_sync(partitions.make, name)


def target_of(request: Request) -> Target:
    """Return the study, series or instance that the path names.

    Raises:
        ServiceError: 400, one of its UIDs is none, or there is no such partition.
    """
    named = {
        "study_instance_uid": ("study", "StudyInstanceUID"),
        "series_instance_uid": ("series", "SeriesInstanceUID"),
        "sop_instance_uid": ("instance", "SOPInstanceUID"),
    }
    parameters = request.path_params
    return Target(
        partition_of(request).key,
        **{
            field: uids.from_path(parameters[name], keyword)
            for field, (name, keyword) in named.items()
            if name in parameters
        },
    )


def _partition_name(request: Request) -> str:
    """Return the name of the partition that the path names, the default one's where it names none.

    Raises:
        ServiceError: 400, it is not a name.
    """
    name: str = request.path_params.get("partition", service_of(request).partitions.default.name)
    if not _PARTITION_NAME.fullmatch(name):
        raise bad_request("The partition's name must be of 1 to 64 letters, digits, and the characters _ . -")
    return name
