"""What the routes share: the data folder and the switches."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from anyio import CapacityLimiter
from starlette.requests import Request

from local.dicom_service.expiry import Expiry
from local.dicom_service.extended_query_tags.reindex import Reindexer
from local.dicom_service.instances import uids
from local.dicom_service.partitions.index import Partition, Partitions
from local.dicom_service.stored.database import Database
from local.dicom_service.stored.files import Files
from local.dicom_service.stored.index import Index, Target
from local.dicom_service.web.errors import bad_request

MAX_DECODING = 2  # threads at a time: each may hold a decoded frame several times over
DEFAULT_MAX_REQUEST_BYTES = 4 * 1024**3

ImplicitVR = Literal["warn", "reject"]
Preamble = Literal["require", "optional"]
MismatchCode = Literal[43264, 43265]

_PARTITION_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True)
class Switches:
    """How this service differs from another.

    Args:
        implicit_vr: store such instances with a warning, or refuse them.
        max_request_bytes: the largest request.
        preamble: whether a file needs preamble and prefix (PS3.10 §7.1).
        mismatch_code: the FailureReason of an instance of another study than the URL's.
        partitions: whether the path has to name one.
        put_upsert: whether PUT stores, and replaces what is there.
    """

    implicit_vr: ImplicitVR = "warn"
    max_request_bytes: int = DEFAULT_MAX_REQUEST_BYTES
    preamble: Preamble = "require"
    mismatch_code: MismatchCode = 43264
    partitions: bool = False
    put_upsert: bool = True


class PartitionsInUse(RuntimeError):
    """Partitions are off, but the data folder has some: what is in them could not be reached."""


class Service:
    """The open data folder; `close` it.

    Raises:
        DataFolderInUse: another service has it open.
        OtherSchemaVersion: it cannot be read.
        PartitionsInUse: it has partitions, and they are off.
    """

    def __init__(self, data_dir: Path, switches: Switches) -> None:
        self.switches = switches
        self.decoding = CapacityLimiter(MAX_DECODING)
        self.files = Files(data_dir)
        self.database = Database(data_dir / "index.sqlite")
        self.index = Index(self.database)
        self.expiry = Expiry(self.index, self.files)
        self.partitions = Partitions(self.database)
        if not switches.partitions and len(self.partitions.all()) > 1:
            self._close_folder()
            raise PartitionsInUse
        self.files.sweep(self.index.file_names())
        self.reindexer = Reindexer(self.database)

    def close(self) -> None:
        """Close the index."""
        self.reindexer.close()
        self._close_folder()

    def _close_folder(self) -> None:
        self.database.close()
        self.files.close()


def service_of(request: Request) -> Service:
    """Return the service that the request came to."""
    return cast(Service, request.app.state.service)


def base_url(request: Request) -> str:
    """Return the URL, with the version, below which the request reached the service."""
    return f"{request.url.scheme}://{request.url.netloc}/v2"


def partition_name_of(request: Request) -> str:
    """Return the name of the partition that the path names, the default one's where it names none.

    Raises:
        ServiceError: 400, it is not a name.
    """
    name: str = request.path_params.get("partition", service_of(request).partitions.default.name)
    if not _PARTITION_NAME.fullmatch(name):
        raise bad_request("The partition's name must be of 1 to 64 letters, digits, and the characters _ . -")
    return name


def partition_of(request: Request) -> Partition:
    """Return the partition that the path names, the default one where it names none.

    Raises:
        ServiceError: 400, its name is none, or there is no such partition.
    """
    partition = service_of(request).partitions.find(partition_name_of(request))
    if partition is None:
        raise bad_request("There is no such partition.")
    return partition


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
