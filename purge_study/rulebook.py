"""The policy with its lists, as they stand in storage tonight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from shared.clients import Clients

from .ledger.hashing import Hasher
from .ledger.row import Patient, Row
from .policy.model import Policy


class RulebookFault(Exception):
    """The rulebook cannot be used: nothing is deleted, nothing is planned.

    Args:
        code: `no_policy`, `policy_unreadable`, `policy_invalid`, `list_unreadable`, `list_invalid`, `list_unfinished`,
            `list_too_old`.
        problems: in words, with their places; never a value.
    """

    def __init__(self, code: str, problems: list[str]) -> None:
        super().__init__(f"{code}: " + "; ".join(problems))
        self.code = code
        self.problems = problems


@dataclass(frozen=True)
class Rulebook:
    """What studies are judged by.

    Args:
        policy: the rules.
        hashes: SHA-256 of each blob that it was read from, by name; `policy.toml` first.
        etags: of the same blobs.
    """

    policy: Policy
    hashes: Mapping[str, str]
    etags: Mapping[str, str]

    @property
    def hash(self) -> str:
        """One hash of all: equal rulebooks, equal hash."""
        raise NotImplementedError

    @property
    def policy_hash(self) -> str:
        """The hash of the policy alone."""
        raise NotImplementedError

    def holds_on(self, row: Row) -> tuple[str, ...]:
        """Return the names of the hold lists that hold a study."""
        raise NotImplementedError

    def anchors_of(self, patient: Patient | None, *, is_alone: bool) -> Mapping[str, date]:
        """Return the dates that anchor lists have for a patient, the latest of each list.

        Args:
            patient: whose study it is.
            is_alone: whether no other patient's id is the same but for leading zeros and case. Where one is, only
                the id as it is written counts: another patient's date must not let this one's studies go.
        """
        raise NotImplementedError


async def read_rulebook(clients: Clients, hasher: Hasher) -> Rulebook:
    """Read the policy and its lists.

    Raises:
        RulebookFault: they cannot be used.
    """
    raise NotImplementedError


async def is_stopped(clients: Clients) -> bool:
    """Say whether a blob `STOP` stands beside the policy; what cannot be told counts as a stop."""
    raise NotImplementedError


async def is_unchanged(clients: Clients, rulebook: Rulebook) -> bool:
    """Say whether all blobs of a rulebook stand in storage as they were read, and no STOP; one request."""
    raise NotImplementedError
