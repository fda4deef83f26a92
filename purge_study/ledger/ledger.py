"""The ledger: a table with a row for each study and the indexes by which a night finds what it needs.

All that concerns one study is written in one transaction (an entity group transaction of Table storage), counts
included, so that a killed run leaves no index that disagrees.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from shared.clients import Clients

from .row import Row, StudyKey


@dataclass(frozen=True)
class Progress:
    """How far the ledger has come.

    Args:
        mark: up to when the change feed is folded in; None before the first fold.
        is_folded: whether the first fold has been through to the end.
        judged_by: hash of the policy by which all rows are judged; None before the first time.
        judging: hash of the policy by which rows are being judged anew, where that is not finished.
        judged_to: the row up to which they are, as the ledger orders them.
    """

    mark: datetime | None = None
    is_folded: bool = False
    judged_by: str | None = None
    judging: str | None = None
    judged_to: str | None = None


@dataclass(frozen=True)
class Counts:
    """How many studies there are.

    Args:
        studies: in the service, as far as the ledger knows.
        months: month of the last day, `2026-03` → modality → how many.
    """

    studies: int = 0
    months: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


class Ledger:
    """Reads and writes the ledger; every method raises AzureError where storage fails. One run alone writes."""

    @classmethod
    async def open(cls, clients: Clients) -> Ledger:
        """Open the table that belongs to LEDGER_KEY; with another key it is another one, empty at first.

        Raises:
            ConfigurationError: LEDGER_KEY, or the address of the table service, is not set.
        """
        raise NotImplementedError

    async def progress(self) -> Progress:
        """Return how far it has come."""
        raise NotImplementedError

    async def note(self, progress: Progress) -> None:
        """Write down how far it has come."""
        raise NotImplementedError

    async def counts(self) -> Counts:
        """Return the counts."""
        raise NotImplementedError

    async def find(self, key: StudyKey) -> Row | None:
        """Return a study's row."""
        raise NotImplementedError

    async def find_study(self, study_instance_uid: str) -> list[Row]:
        """Return a UID's rows, one for each partition that has such a study."""
        raise NotImplementedError

    async def of_patient(self, group: str) -> list[Row]:
        """Return all studies of a patient group, purged ones too."""
        raise NotImplementedError

    async def of_accession(self, accession: str) -> list[Row]:
        """Return all studies with an accession number, purged ones too."""
        raise NotImplementedError

    def due(self, today: date) -> AsyncIterator[Row]:
        """Yield the studies whose last day has passed, the longest overdue first."""
        raise NotImplementedError

    def listed(self) -> AsyncIterator[Row]:
        """Yield the studies that are kept because something is unknown."""
        raise NotImplementedError

    def marked(self) -> AsyncIterator[StudyKey]:
        """Yield the studies that are to be read again."""
        raise NotImplementedError

    async def mark(self, received: Mapping[StudyKey, datetime | None]) -> None:
        """Mark studies for re-reading, and note when their newest instance was received: the later time stands."""
        raise NotImplementedError

    async def write(self, rows: Sequence[Row], *, read: StudyKey | None = None) -> None:
        """Write rows with their indexes; `read` is no longer marked."""
        raise NotImplementedError

    async def remove(self, key: StudyKey) -> None:
        """Forget a study that somebody else has deleted."""
        raise NotImplementedError
