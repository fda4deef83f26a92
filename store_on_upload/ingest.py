"""What ingest works with: the process's clients, and what it knows beyond a single blob."""

from __future__ import annotations

from dataclasses import dataclass

from shared.clients import Clients, get_clients
from shared.partitions import PartitionNames
from shared.queues import Queues

from .storing.purged import PurgedStudies
from .waiting.circuit import Circuit
from .waiting.gate import Gate
from .waiting.handled import Handled
from .waiting.memory import Memory
from .waiting.stop_switch import StopSwitch


@dataclass(frozen=True)
class Ingest:
    """One for the whole process."""

    clients: Clients
    queues: Queues
    circuit: Circuit
    gate: Gate
    memory: Memory
    stop: StopSwitch
    purged: PurgedStudies
    partitions: PartitionNames
    handled: Handled

    @classmethod
    def over(cls, clients: Clients) -> Ingest:
        """Return a new one."""
        return cls(
            clients=clients,
            queues=Queues(clients.queues),
            circuit=Circuit(),
            gate=Gate(clients.settings.ingest_concurrency),
            memory=Memory(),
            stop=StopSwitch(clients),
            purged=PurgedStudies(clients),
            partitions=PartitionNames(clients.dicom),
            handled=Handled(),
        )


_ingest: Ingest | None = None


def get_ingest() -> Ingest:
    """Return the process's own; the first caller creates it, inside the running event loop.

    Raises:
        ConfigurationError: settings or sources are missing or wrong.
    """
    global _ingest
    if _ingest is None:
        _ingest = Ingest.over(get_clients())
    return _ingest
