"""What a listing of receipts says of each, by the metadata of its blob."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from store_on_upload.files.listing import Row

from .document import Document
from .receipt import Disposition, Receipt, State, parse_timestamp

# Metadata of a receipt, so that a listing tells all that the sweep needs.
ETAG, STATE, DUE, DISPOSITION = "etag", "state", "due", "disposition"


@dataclass(frozen=True, slots=True)
class Known:
    """What a receipt says of a version.

    Args:
        etag: the version.
        state: how far it has come.
        disposition: what becomes of the file.
        due_at: when its next attempt is due; None where none is.
        written_at: when the receipt was written.
    """

    etag: str
    state: State
    disposition: Disposition
    due_at: datetime | None
    written_at: datetime

    @property
    def is_final(self) -> bool:
        """Whether the version has its verdict; one that was closed as gone, and is back, has none."""
        return self.state is State.FINAL and self.disposition is not Disposition.GONE

    @classmethod
    def of_row(cls, row: Row) -> Known | None:
        """Read a receipt's row of a listing; None where it does not say enough."""
        try:
            due = row.metadata.get(DUE)
            return cls(
                row.metadata[ETAG],
                State(row.metadata[STATE]),
                Disposition(row.metadata[DISPOSITION]),
                parse_timestamp(due) if due else None,
                row.last_modified,
            )
        except (KeyError, ValueError):
            return None

    @classmethod
    def of_receipt(cls, receipt: Receipt) -> Known:
        """Return what a receipt says that was read."""
        due = parse_timestamp(receipt.due_at) if receipt.due_at else None
        written = parse_timestamp(receipt.decided_at or receipt.failed_at or receipt.uploaded_at)
        return cls(receipt.etag, receipt.state, receipt.disposition, due, written)

    @classmethod
    def of_document(cls, document: Document, etag: str) -> Known | None:
        """Return what a document says of a version; None if nothing."""
        receipt = document.of_version(etag)
        return cls.of_receipt(receipt) if receipt else None
