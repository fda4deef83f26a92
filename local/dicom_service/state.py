"""The open service: its data folder and its switches."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from anyio import CapacityLimiter

from local.dicom_service.expiry import Expiry
from local.dicom_service.extended_query_tags.reindex import Reindexer
from local.dicom_service.partitions.index import Partitions
from local.dicom_service.stored.database import Database
from local.dicom_service.stored.files import Files
from local.dicom_service.stored.index import Index, StoredInstance, Target
from local.dicom_service.web.errors import not_found

MAX_DECODING = 2  # threads at a time: each may hold a decoded frame several times over
MAX_EXAMINING = 4  # threads at a time: the others are for what is read meanwhile
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
        self.examining = CapacityLimiter(MAX_EXAMINING)
        self.decoding = CapacityLimiter(MAX_DECODING)
        with ExitStack() as opened:
            self.files = opened.enter_context(closing(Files(data_dir)))
            self.database = opened.enter_context(closing(Database(data_dir / "index.sqlite")))
            self.index = Index(self.database)
            self.expiry = Expiry(self.index, self.files)
            self.partitions = Partitions(self.database)
            if not switches.partitions and len(self.partitions.all()) > 1:
                raise PartitionsInUse
            self.files.sweep(self.index.file_names())
            self.reindexer = opened.enter_context(closing(Reindexer(self.database)))
            self._opened = opened.pop_all()

    def instances_of(self, target: Target) -> list[StoredInstance]:
        """Return the instances of a study, series or instance, oldest first; call this in a thread.

        Raises:
            ServiceError: 404, there are none.
        """
        instances = self.index.instances(target)
        if not instances:
            raise not_found(target.level.name.lower())
        return instances

    def close(self) -> None:
        """Close the index, and let another service have the folder."""
        self._opened.close()
