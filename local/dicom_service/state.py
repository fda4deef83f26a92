"""What the routes share: the data folder and the switches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from anyio import CapacityLimiter
from starlette.requests import Request

from local.dicom_service import uids
from local.dicom_service.database import Database
from local.dicom_service.files import Files
from local.dicom_service.index import Index, Target
from local.dicom_service.reindex import Reindexer

MAX_DECODING = 2  # threads at a time: each may hold a decoded frame several times over
DEFAULT_MAX_REQUEST_BYTES = 4 * 1024**3

ImplicitVR = Literal["warn", "reject"]
Preamble = Literal["require", "optional"]
MismatchCode = Literal[43264, 43265]


@dataclass(frozen=True)
class Switches:
    """How this service differs from another.

    Args:
        implicit_vr: store such instances with a warning, or refuse them.
        max_request_bytes: the largest request.
        preamble: whether a file needs preamble and prefix (PS3.10 §7.1).
        mismatch_code: the FailureReason of an instance of another study than the URL's.
    """

    implicit_vr: ImplicitVR = "warn"
    max_request_bytes: int = DEFAULT_MAX_REQUEST_BYTES
    preamble: Preamble = "require"
    mismatch_code: MismatchCode = 43264


class Service:
    """The open data folder; `close` it.

    Raises:
        DataFolderInUse: another service has it open.
        OtherSchemaVersion: it cannot be read.
    """

    def __init__(self, data_dir: Path, switches: Switches) -> None:
        self.switches = switches
        self.decoding = CapacityLimiter(MAX_DECODING)
        self.files = Files(data_dir)
        self.database = Database(data_dir / "index.sqlite")
        self.index = Index(self.database)
        self.files.sweep(self.index.file_names())
        self.reindexer = Reindexer(self.database)

    def close(self) -> None:
        """Close the index."""
        self.reindexer.close()
        self.database.close()
        self.files.close()


def service_of(request: Request) -> Service:
    """Return the service that the request came to."""
    return cast(Service, request.app.state.service)


def base_url(request: Request) -> str:
    """Return the URL, with the version, below which the request reached the service."""
    return f"{request.url.scheme}://{request.url.netloc}/v2"


def target_of(request: Request) -> Target:
    """Return the study, series or instance that the path names.

    Raises:
        ServiceError: 400, one of its UIDs is none.
    """
    named = {
        "study_instance_uid": ("study", "StudyInstanceUID"),
        "series_instance_uid": ("series", "SeriesInstanceUID"),
        "sop_instance_uid": ("instance", "SOPInstanceUID"),
    }
    parameters = request.path_params
    return Target(
        **{
            field: uids.from_path(parameters[name], keyword)
            for field, (name, keyword) in named.items()
            if name in parameters
        }
    )
