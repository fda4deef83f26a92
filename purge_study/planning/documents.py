"""A plan's documents, written to `retention-records`: for machines, for a signature, and to read."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from purge_study.ledger.ledger import Ledger
from purge_study.ledger.row import Row
from purge_study.policy.words import doubt_in_words
from purge_study.records.writing import write_long_record, write_record
from shared.clients import Clients
from shared.settings import RETENTION_RECORDS

from . import wording
from .decision import Decision
from .making import codes_of
from .page import Page, to_html
from .plan import PLANS, Plan, plan_id
from .signature import to_csv

_KINDS: Final = {
    "csv": "text/csv; charset=utf-8; header=present",
    "html": "text/html; charset=utf-8",
    "json": "application/json",
    "jsonl": "application/jsonl; charset=utf-8",
}
_LISTED: Final = ".listed.jsonl"  # the first document that is written of a plan
_FIRST_OF_EACH: Final = 5
_BLOCK_BYTES: Final = 256 * 1024


async def write_documents(clients: Clients, ledger: Ledger, decision: Decision, made_at: datetime) -> str:
    """Write a plan in all its forms, and return its id.

    Its JSON lines come last: a plan that is found has all its forms.

    Args:
        clients: of the process.
        ledger: for the studies that are kept because something is unknown.
        decision: what of the plan goes tonight.
        made_at: when it was made.

    Raises:
        OtherRecord: somebody else writes there.
        AzureError: storage failed.
    """
    plan = decision.plan
    made_at, name = await _free(clients, plan, made_at)
    listed = _Listed(ledger, plan, name)
    await _write(clients, f"{name}{_LISTED}", listed.lines())
    page = Page(name, made_at, decision, listed.first)
    await _write(clients, f"{name}.html", to_html(page))
    await _write(clients, f"{name}.csv", _in_blocks(to_csv(plan, name)))
    await _write(clients, f"{name}.json", _pretty(summary(decision, name, made_at)))
    await _write(clients, f"{name}.jsonl", _in_blocks(plan.lines()))
    return name


def summary(decision: Decision, name: str, made_at: datetime) -> dict[str, Any]:
    """Return what a plan comes to and what is done with it tonight, for machines: `plans/<id>.json`."""
    plan = decision.plan
    return {
        "before_delete": plan.before_delete,
        "plan": name,
        "made_at": made_at.astimezone(UTC).isoformat(timespec="seconds"),
        "day": plan.day.isoformat(),
        "hash": plan.hash,
        "policy_hash": plan.policy_hash,
        "mode": decision.met.mode.value,
        "studies": plan.studies,
        **plan.groups,
        "tonight": len(decision.items),
        "newly_due": decision.newly_due,
        "listed": dict(sorted(plan.listed.items())),
        "ended": decision.ended,
        "stops": [vars(reason) for reason in wording.stops(decision)],
        "waits": [vars(reason) for reason in wording.waits(decision)],
    }


class _Listed:
    """The studies that are kept because something is unknown, on their way to their document.

    Args:
        ledger: that has them.
        plan: that counts them.
        name: the plan's id.
    """

    def __init__(self, ledger: Ledger, plan: Plan, name: str) -> None:
        self._ledger = ledger
        self._head = {"plan": name, "hash": plan.hash, "listed": dict(sorted(plan.listed.items()))}
        self.first: defaultdict[str, list[Row]] = defaultdict(list)

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield the document in blocks; on the way the first studies of each code are kept."""
        block = _line(self._head)
        async for row in self._ledger.listed():
            self._keep(row)
            block += _line(_listed(row))
            if len(block) >= _BLOCK_BYTES:
                yield block
                block = b""
        yield block

    def _keep(self, row: Row) -> None:
        for code in codes_of(row):
            if len(self.first[code]) < _FIRST_OF_EACH:
                self.first[code].append(row)


def _listed(row: Row) -> dict[str, Any]:
    doubts = row.judgement.doubts if row.judgement else ()
    at_least = row.judgement.keep_until if row.judgement else None
    return {
        "study": row.key.uid,
        "partition": row.key.partition,
        "at_least_until": at_least.isoformat() if at_least else None,
        "doubts": [{**vars(doubt), "words": doubt_in_words(doubt)} for doubt in doubts],
    }


def _in_blocks(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Gather lines, for a request each would take hours."""
    block = bytearray()
    for line in lines:
        block += line
        if len(block) >= _BLOCK_BYTES:
            yield bytes(block)
            block.clear()
    yield bytes(block)


async def _write(clients: Clients, name: str, content: bytes | Iterator[bytes] | AsyncIterator[bytes]) -> None:
    kind = _KINDS[name.rpartition(".")[2]]
    if isinstance(content, bytes):
        await write_record(clients, PLANS + name, content, kind)
    else:
        await write_long_record(clients, PLANS + name, content, kind)


async def _free(clients: Clients, plan: Plan, made_at: datetime) -> tuple[datetime, str]:
    """Return when a plan was made, and its id: a second later where a run of that second has left one just like it."""
    records = clients.container(RETENTION_RECORDS)
    name = plan_id(plan, made_at)
    while await records.get_blob_client(f"{PLANS}{name}{_LISTED}").exists():
        made_at += timedelta(seconds=1)
        name = plan_id(plan, made_at)
    return made_at, name


def _line(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _pretty(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, indent=1).encode()
