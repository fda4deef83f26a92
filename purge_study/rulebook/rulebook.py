"""The policy with its lists (pure)."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from purge_study.ledger.row import Patient, Row, StudyKey
from purge_study.lists.anchors import Anchors
from purge_study.lists.holds import Holds
from purge_study.policy.model import Policy
from purge_study.records.restored import RESTORED


class RulebookFault(Exception):
    """The rulebook cannot be used: nothing is deleted, nothing is planned.

    Args:
        code: `no_policy`, `policy_unreadable`, `policy_invalid`, `list_unreadable`, `list_invalid`, `list_unfinished`,
            `list_too_old`; of several lists the code of the first in this order.
        problems: in words, with their places, of all lists; never a value. They name blobs: they are for plans, not
            for the log.
    """

    def __init__(self, code: str, problems: list[str]) -> None:
        super().__init__(code)
        self.code = code
        self.problems = problems


@dataclass(frozen=True)
class Rulebook:
    """What studies are judged by.

    Args:
        policy: the rules.
        hashes: SHA-256 of each blob that it was read from, by name; the policy's first.
        etags: of the same blobs, without quotation marks.
        holds: the lists of holds, by the names that the policy gives them.
        anchors: the lists of dates, the same.
        restored: studies that are held since they were brought back from the vault.
        expires_at: when the first list of dates becomes older than the policy allows; None if there is no such list.
    """

    policy: Policy
    hashes: Mapping[str, str]
    etags: Mapping[str, str]
    holds: Mapping[str, Holds] = field(default_factory=dict)
    anchors: Mapping[str, Anchors] = field(default_factory=dict)
    restored: frozenset[StudyKey] = frozenset()
    expires_at: datetime | None = None

    @property
    def hash(self) -> str:
        """One hash of all blobs, their names included: equal rulebooks, equal hash."""
        lines = (f"{digest}  {name}\n" for name, digest in sorted(self.hashes.items()))
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def policy_hash(self) -> str:
        """The hash of the policy alone."""
        return next(iter(self.hashes.values()))

    def has_expired(self, now: datetime) -> bool:
        """Say whether a list of dates is older than the policy allows."""
        return self.expires_at is not None and now > self.expires_at

    def holds_on(self, row: Row) -> tuple[str, ...]:
        """Return the names of the hold lists that hold a study; `restored` for one that came from the vault."""
        names = tuple(name for name, holds in self.holds.items() if holds.hold(row))
        return (*names, RESTORED) if row.key in self.restored else names

    def anchors_of(self, patient: Patient | None, others: Collection[Patient] = ()) -> Mapping[str, date]:
        """Return what anchor lists say of a patient: a date, UNCLEAR, or nothing (`Anchors.date_of`).

        Args:
            patient: whose study it is; None if it has no PatientID, or several.
            others: whose studies the ledger has besides.
        """
        found = ((name, anchors.date_of(patient, others)) for name, anchors in self.anchors.items())
        return {name: day for name, day in found if day is not None}
