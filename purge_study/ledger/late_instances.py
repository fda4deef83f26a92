"""Instances that came between the last look at a study and its deletion, and so went unseen: the docs name this window.

The feed tells of them afterwards; nobody can bring them back, but somebody has to know.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from purge_study.records.restored import UnreadableRecord
from purge_study.records.tombstones import read_tombstone
from purge_study.run import CLOCKS_APART, Run
from shared.dicomweb import Change, ChangeAction, ChangeState
from shared.events import event

from .row import StudyKey


async def tell_late_instances(run: Run, changes: Iterable[Change]) -> None:
    """Write the error event `purged_late_instance` for each purged study that had one, once.

    Raises:
        AzureError: storage failed.
    """
    for key, created in _created_and_gone(changes).items():
        row = await run.ledger.find(key)
        if row is None or row.purged_at is None or row.has_late_instance:
            continue
        if await _are_late(run, key, created):
            event("purged_late_instance", level=logging.ERROR)
            await run.ledger.write([replace(row, has_late_instance=True)])


def _created_and_gone(changes: Iterable[Change]) -> dict[StudyKey, list[Change]]:
    found: dict[StudyKey, list[Change]] = {}
    for change in changes:
        if change.action is ChangeAction.CREATE and change.state is ChangeState.DELETED:
            found.setdefault(StudyKey.of(change), []).append(change)
    return found


async def _are_late(run: Run, key: StudyKey, created: list[Change]) -> bool:
    """Say whether any instance was created while its study was being deleted, as the tombstone has it."""
    try:
        tombstone = await read_tombstone(run.clients, key) or {}
        looked_at, deleted_at = (datetime.fromisoformat(tombstone[name]) for name in ("looked_at", "deleted_at"))
        seen = {instance for instances in tombstone["series"].values() for instance in instances}
        return any(
            looked_at - apart < change.timestamp <= deleted_at + apart
            for change in created
            # One that nobody has seen counts though the service's clock is a little behind ours, or ahead.
            for apart in [timedelta() if change.sop_instance_uid in seen else CLOCKS_APART]
        )
    except (UnreadableRecord, AttributeError, KeyError, TypeError, ValueError):  # put aside since, or not ours
        return False
