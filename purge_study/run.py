"""What a night's run works with."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from azure.storage.blob.aio import BlobLeaseClient

from shared import clock
from shared.clients import Clients
from shared.dicomweb import AccessDenied, DICOMwebClient, DICOMwebError, RequestNotSent
from shared.dicomweb.partitions import DEFAULT_PARTITION
from shared.leases import verify

from .ledger.hashing import Hasher
from .ledger.ledger import Ledger
from .ledger.row import StudyKey
from .pace import Pace
from .policy.model import Policy
from .policy.policy import local_day

# By so much the service's clock and ours may differ, or nothing is deleted: what is further apart may be another day.
CLOCKS_APART = timedelta(minutes=5)


def today_of(policy: Policy) -> date:
    """Return today's date in a policy's time zone. A day begins five minutes late: clocks may differ by so much."""
    return local_day(policy, clock.now() - CLOCKS_APART)


class OutOfTime(Exception):
    """The run's time is over: what is left goes on next time."""


@dataclass
class Latest:
    """How far the feed was read beyond what is folded into the ledger.

    Args:
        read_to: by the service's clock, or ours if that was earlier; None before the first time.
    """

    read_to: datetime | None = None


@dataclass(frozen=True)
class Run:
    """One run, alone among all processes while its lease holds.

    Args:
        clients: of the process.
        ledger: of the key in the settings.
        hasher: of the same key.
        partitions: of the service, by name; none where it has none.
        ends_at: when it is to end, by the event loop's clock.
        lease: None where nothing is deleted, as in a preview.
        pace: how fast the service is asked.
        latest: how far the feed was read beyond the ledger.
    """

    clients: Clients
    ledger: Ledger
    hasher: Hasher
    partitions: tuple[str, ...]
    ends_at: float
    lease: BlobLeaseClient | None = None
    pace: Pace = field(default_factory=Pace)
    latest: Latest = field(default_factory=Latest)

    def dicom(self, partition: str) -> DICOMwebClient:
        """Return the client for a partition, by its name in the ledger."""
        # One that is not the default is named even where, by a gateway's 404 perhaps, the service seems to have none.
        is_named = bool(self.partitions) or partition != DEFAULT_PARTITION
        return self.clients.dicom_in(partition if is_named else None)

    def dicom_of(self, key: StudyKey) -> DICOMwebClient:
        """Return the client for a study's partition: every request about a study names it, deletions above all."""
        return self.dicom(key.partition)

    def check_time(self) -> None:
        """Raise OutOfTime where the time is over."""
        if asyncio.get_running_loop().time() >= self.ends_at:
            raise OutOfTime

    async def is_of_one_study(self, error: DICOMwebError) -> bool:
        """Say whether a request about a study failed by that study: the service answers the least of all requests.

        One study that cannot be had, be it for a gateway's 504 each night, shall not stop all others for ever.
        """
        if isinstance(error, AccessDenied | RequestNotSent):
            return False
        try:
            await self.pace.ask(self.clients.dicom.change_feed.latest_and_time)
        except DICOMwebError:
            return False
        return True

    async def earliest_now(self) -> datetime:
        """Return the time by the service's clock, or by ours where that is earlier: a wrong one shall skip nothing.

        Raises:
            DICOMwebError: see `shared.dicomweb.errors`.
        """
        _, theirs = await self.clients.dicom.change_feed.latest_and_time()
        return min(clock.now(), theirs or clock.now())

    async def check_lease(self) -> None:
        """See that this run is still the only one.

        Raises:
            LeaseTaken: it is not.
            AzureError: it cannot be told.
        """
        if self.lease is not None:
            await verify(self.lease)
