"""What a reconciliation has found: counts, and names only where they are asked for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from shared.progress import Say, say_nothing

# Of each kind; names are a patient's in practice, and there may be a million.
MOST_NAMES = 1000


class Difference(StrEnum):
    """What does not add up; each with what it means and what to do in `MEANINGS`."""

    WITHOUT_RECEIPT = "without_receipt"
    OVERDUE = "overdue"
    RECEIPT_INVALID = "receipt_invalid"
    NOT_IN_SERVICE = "not_in_service"
    NOT_IN_QUARANTINE = "not_in_quarantine"
    NOT_IN_REPLACED = "not_in_replaced"
    NOT_IN_ARCHIVE = "not_in_archive"
    NOT_DISPOSED = "not_disposed"
    WITHOUT_REASON = "without_reason"
    REASON_WITHOUT_FILE = "reason_without_file"
    QUARANTINED_WITHOUT_RECEIPT = "quarantined_without_receipt"
    REPLACED_WITHOUT_RECEIPT = "replaced_without_receipt"
    ARCHIVED_WITHOUT_RECEIPT = "archived_without_receipt"
    POISONED = "poisoned"
    PARKED = "parked"


MEANINGS: dict[Difference, str] = {
    Difference.WITHOUT_RECEIPT: "a blob of the inbox that no receipt knows of: the sweep queues it; does it run?",
    Difference.OVERDUE: "a receipt without a verdict whose next attempt should have been: the sweep sends it on; if "
    "its blob is gone as well, delete the receipt",
    Difference.RECEIPT_INVALID: "a receipt that cannot be read, or is about another blob: delete it",
    Difference.NOT_IN_SERVICE: "the receipt says that the instance is stored, but the DICOM service does not have it: "
    "has a client deleted it?",
    Difference.NOT_IN_QUARANTINE: "a refused file that is not in quarantine: has an operator deleted it?",
    Difference.NOT_IN_REPLACED: "the receipt names a copy that is not in dicom-replaced: has an operator deleted it?",
    Difference.NOT_IN_ARCHIVE: "a file that should have been moved to the archive, and is not there",
    Difference.NOT_DISPOSED: "a file that has its verdict and should have left the inbox: is it leased?",
    Difference.WITHOUT_REASON: "a file in quarantine without the reason beside it",
    Difference.REASON_WITHOUT_FILE: "a reason in quarantine without its file",
    Difference.QUARANTINED_WITHOUT_RECEIPT: "a file in quarantine that no receipt knows of",
    Difference.REPLACED_WITHOUT_RECEIPT: "a copy in dicom-replaced that neither a receipt nor the instance's latest "
    "replacement names, most often of a run that ended early: compare it with the stored instance; if they are "
    "equal, delete it; if they differ, keep it, for it may be the only copy of an instance that was replaced",
    Difference.ARCHIVED_WITHOUT_RECEIPT: "a file in the archive that no receipt knows of: to be looked at anew, it "
    "has to be dropped again",
    Difference.POISONED: "messages that the platform has set aside: do the poison queues' handlers run?",
    Difference.PARKED: "messages that could not be read: see the queue dicom-arrivals-parked",
}


@dataclass
class Report:
    """What was found.

    Args:
        with_names: whether names are kept as well.
        verdicts: verdict → how many versions have it.
        pending: versions that wait for theirs.
        in_quarantine: files there.
        in_replaced: copies of replaced instances.
        overwritten: earlier versions that were refused, and overwritten by their producer before they could be moved.
        purged: instances that retention has deleted since.
        unnamed: stored instances of which the receipt has no UID to look for.
        differences: kind → how many; only kinds that occur.
        names: kind → names, at most `MOST_NAMES` each.
        say: told from time to time how far it has come.
    """

    with_names: bool = False
    verdicts: Counter[str] = field(default_factory=Counter)
    pending: int = 0
    in_quarantine: int = 0
    in_replaced: int = 0
    overwritten: int = 0
    purged: int = 0
    unnamed: int = 0
    differences: Counter[Difference] = field(default_factory=Counter)
    names: dict[Difference, list[str]] = field(default_factory=dict)
    say: Say = say_nothing

    @property
    def versions(self) -> int:
        """Versions that were seen: each has a verdict, or is pending, or is a difference."""
        return sum(self.verdicts.values()) + self.pending + self.differences[Difference.WITHOUT_RECEIPT]

    def add(self, kind: Difference, name: str | None = None, count: int = 1) -> None:
        """Take note of a difference."""
        self.differences[kind] += count
        if self.with_names and name is not None and len(self.names.setdefault(kind, [])) < MOST_NAMES:
            self.names[kind].append(name)

    def to_json(self) -> dict[str, Any]:
        """Return it as `--json` prints it."""
        return {
            "versions": self.versions,
            "verdicts": dict(sorted(self.verdicts.items())),
            "pending": self.pending,
            "in_quarantine": self.in_quarantine,
            "in_replaced": self.in_replaced,
            "overwritten": self.overwritten,
            "purged": self.purged,
            "unnamed": self.unnamed,
            "differences": {kind: self.differences[kind] for kind in Difference if self.differences[kind]},
            **({"names": self.names} if self.with_names else {}),
        }
