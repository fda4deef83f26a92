"""What the ledger holds of a study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from purge_study.policy.facts import Values
from purge_study.policy.policy import Judgement
from shared.dicomweb import Change
from shared.dicomweb.partitions import DEFAULT_PARTITION


@dataclass(frozen=True, order=True)
class StudyKey:
    """A study of the service: the same UID may stand in several partitions.

    Args:
        partition: `Microsoft.Default` where the service has none.
        uid: StudyInstanceUID.
    """

    partition: str
    uid: str

    @classmethod
    def of(cls, change: Change) -> StudyKey:
        """Return which study it is that changed."""
        return cls(change.partition_name or DEFAULT_PARTITION, change.study_instance_uid)


@dataclass(frozen=True)
class Patient:
    """Whose study it is, as keyed hashes.

    Args:
        exact: of the PatientID as it is written, blanks at its ends apart; blank if it can be read, but not as it was
            written (a number lacks leading zeros): then it is equal to every id of its group.
        group: of the same without leading zeros and in small letters: what a spreadsheet leaves of it. Ids that are
            different patients' may share it.
        issuer: of IssuerOfPatientID without leading zeros and in small letters; None where the study names none, which
            then counts with every issuer.
    """

    exact: str
    group: str
    issuer: str | None = None

    def has_id_of(self, other: Patient) -> bool:
        """Say whether two ids are the same; one that is not known as it was written equals each of its group."""
        if self.exact and other.exact:
            return self.exact == other.exact
        return self.group == other.group

    def has_issuer_of(self, other: Patient) -> bool:
        """Say whether two issuers are the same; one that is not named goes with every other."""
        return self.issuer == other.issuer or None in (self.issuer, other.issuer)


@dataclass(frozen=True)
class Reading:
    """What the instances of a study told when it was read last.

    Args:
        attributes: those that the policy needs, by keyword; no identifier among them.
        patient: None where the instances have no PatientID, or not the same with the same issuer.
        accessions: keyed hashes of each AccessionNumber, as `Hasher.accession` makes them.
        instances: how many there are.
        etag: of the study's metadata; it changes whenever an instance does. None where the service gives none.
        further_patients: whom the instances name, where they do not agree: the study counts for each of them.
        is_whole: False where the instances do not agree whose study it is, have an identifier, birth date or age that
            is not written as text, or have more values than the ledger can hold: it is kept, whatever the rest says.
        is_anybodys: whether it counts for every patient, because an instance has a PatientID that cannot be read, or
            they name more patients than `further_patients` has.
        uids: a hash over the SOPInstanceUIDs of all instances; None if an earlier version has read them.
    """

    attributes: Mapping[str, Values]
    patient: Patient | None
    accessions: frozenset[str]
    instances: int
    etag: str | None
    further_patients: frozenset[Patient] = frozenset()
    is_whole: bool = True
    is_anybodys: bool = False
    uids: str | None = None

    @property
    def all_patients(self) -> frozenset[Patient]:
        """Everybody whose study it may be."""
        return self.further_patients | ({self.patient} if self.patient else frozenset())


@dataclass(frozen=True)
class Row:
    """A study in the ledger.

    Args:
        key: which study.
        received: when its newest instance was created, by the change feed; None if that shows none, or if there are
            instances that it does not show.
        reading: None until it has been read.
        judgement: by the policy of `judged_by`; None until it has been judged.
        judged_by: hash of that policy. Lists are not in it: they change daily, and concern few studies each time.
        purged_at: when retention deleted it; its dates count for the patient's other studies ever after.
        failures: how many runs in a row could not delete it, while what was read of it stayed the same.
        has_late_instance: whether an instance came between the last look at it and its deletion, which was told.
        told_until: the newest `Create` of which the feed had told when it was read last.
    """

    key: StudyKey
    received: datetime | None = None
    reading: Reading | None = None
    judgement: Judgement | None = None
    judged_by: str | None = None
    purged_at: datetime | None = None
    failures: int = 0
    has_late_instance: bool = False
    told_until: datetime | None = None
