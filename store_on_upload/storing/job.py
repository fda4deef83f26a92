"""One file on its way into the service: the run that it is part of, and what its header says."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import timedelta

from shared.arrivals import Door
from shared.clients import Clients
from shared.dicomweb import DICOMwebClient
from shared.part10 import Header, Patient, Unfit, read_header
from shared.probe_uids import is_of_probe
from store_on_upload.beginning import Run
from store_on_upload.files.source import Source
from store_on_upload.probing.instance import EXPIRE_AFTER, is_probe

from .uids import Uids


@dataclass(frozen=True)
class Job:
    """What storing works on.

    Args:
        run: that it is part of.
        source: the file.
        header: its header.
    """

    run: Run
    source: Source
    header: Header

    @property
    def clients(self) -> Clients:
        """Those of the process."""
        return self.run.ingest.clients

    @property
    def partition(self) -> str | None:
        """The file's partition of the service; None for a service without partitions."""
        return self.run.receipt.partition

    @property
    def dicom(self) -> DICOMwebClient:
        """The client of that partition."""
        return self.clients.dicom_in(self.partition)

    @property
    def door(self) -> Door:
        """Which way the file came."""
        return self.run.arrival.door

    @property
    def is_probe(self) -> bool:
        """Whether the file is our own probe."""
        return is_probe(self.source)

    @property
    def is_intruder(self) -> bool:
        """Whether it is not, and yet has a study's UID of the probe's root."""
        return is_of_probe(self.header.study_instance_uid) and not self.is_probe

    @property
    def expire_after(self) -> timedelta | None:
        """How long after the store the service is to delete the study: the probe's, and no other."""
        return EXPIRE_AFTER if self.is_probe else None

    async def patient(self) -> Patient | None:
        """Return whose the file is, read through compressed pixels if need be; None if that cannot be told.

        If it is told, the header's UIDs are certain as well: there is no element that the app has not seen.

        Raises:
            SourceGone: the version is there no longer.
            AzureError: storage failed.
        """
        if self.header.patient is not None:
            return self.header.patient
        source = self.source
        try:
            header = await read_header(source.prefix, source.version.size, source.read, through_pixels=True)
        except Unfit:
            return None
        return header.patient

    def of(self, uids: Uids) -> Job:
        """Return it with the instance's UIDs, where the header did not tell them."""
        return replace(self, header=replace(self.header, **asdict(uids)))
