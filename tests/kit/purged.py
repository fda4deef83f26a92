"""Studies that retention has deleted: what its records and the vault hold of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from purge_study.ledger.row import StudyKey
from purge_study.records.tombstones import tombstone_name
from purge_study.records.vaulted import Manifest, VaultedInstance, deletion_folder, instance_name, manifest_name
from shared.dicomweb.partitions import DEFAULT_PARTITION
from shared.purged import pointer_name
from shared.settings import RETENTION_RECORDS, RETENTION_STATE, VAULT


class Instance(Protocol):
    """What was stored."""

    @property
    def content(self) -> bytes: ...

    @property
    def study(self) -> str: ...

    @property
    def series(self) -> str: ...

    @property
    def sop(self) -> str: ...


@dataclass(frozen=True)
class Purged:
    """A study that was deleted, all of whose instances are in the vault.

    Args:
        instances: of one study.
        partition: of the same.
        deletion_id: of the deletion.
    """

    instances: tuple[Instance, ...]
    partition: str = DEFAULT_PARTITION
    deletion_id: str = "20260301T030000Z-0123456789abcdef"

    @classmethod
    def of(cls, instances: Iterable[Instance], **others: str) -> Purged:
        return cls(tuple(instances), **others)

    @property
    def key(self) -> StudyKey:
        """Which study."""
        return StudyKey(self.partition, self.instances[0].study)

    @property
    def tombstone_name(self) -> str:
        """Of the blob."""
        return tombstone_name(self.key, self.deletion_id)

    @property
    def pointer_name(self) -> str:
        """Of the blob that leads to the tombstone."""
        return pointer_name(self.partition, self.key.uid)

    def pointer(self) -> dict[str, Any]:
        return {"deletion_id": self.deletion_id, "deleted_at": self.tombstone()["deleted_at"]}

    def name_of(self, instance: Instance) -> str:
        return instance_name(self.key, self.deletion_id, instance.series, instance.sop)

    def manifest(self) -> bytes:
        return (
            Manifest(
                study_instance_uid=self.key.uid,
                partition=self.partition,
                deletion_id=self.deletion_id,
                instances=tuple(map(self._listed, self.instances)),
            )
            .model_dump_json()
            .encode()
        )

    def _listed(self, instance: Instance) -> VaultedInstance:
        return VaultedInstance(
            series_instance_uid=instance.series,
            sop_instance_uid=instance.sop,
            name=self.name_of(instance),
            bytes=len(instance.content),
            sha256=hashlib.sha256(instance.content).hexdigest(),
        )

    def tombstone(self) -> dict[str, Any]:
        deleted_at = datetime(2026, 3, 1, 3, tzinfo=UTC)
        return {
            "version": 1,
            "deletion_id": self.deletion_id,
            "partition": self.partition,
            "study_instance_uid": self.key.uid,
            "instances": len(self.instances),
            "rule": "everything else",
            "dates": {"study_date": "2016-02-01", "received": "2016-02-02"},
            "keep_until": "2026-02-02",
            "plan_id": "20260301T030000Z-0123abcd",
            "approved_by": "C. Archivist",
            "vault": {
                "folder": deletion_folder(self.key, self.deletion_id),
                "manifest_sha256": hashlib.sha256(self.manifest()).hexdigest(),
                "bytes": sum(len(instance.content) for instance in self.instances),
            },
            "restorable_until": (deleted_at + timedelta(days=90)).isoformat(),
            "ending": "deleted",
            "looked_at": (deleted_at - timedelta(seconds=2)).isoformat(),
            "deleted_at": deleted_at.isoformat(),
        }

    def blobs(self) -> Mapping[tuple[str, str], bytes]:
        return {
            **{(VAULT, self.name_of(instance)): instance.content for instance in self.instances},
            (VAULT, manifest_name(self.key, self.deletion_id)): self.manifest(),
            (RETENTION_RECORDS, self.tombstone_name): json.dumps(self.tombstone()).encode(),
            (RETENTION_STATE, self.pointer_name): json.dumps(self.pointer()).encode(),
        }
