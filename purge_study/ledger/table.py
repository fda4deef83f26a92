"""The ledger's table: reads by key and by range, and transactions that keep the counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableEntity
from azure.data.tables.aio import TableClient

from . import keys
from .entities import PARTITION_KEY
from .transactions import Change, Operation, counting

_READS_AT_ONCE = 16
_PAGE = 1000
# The SDK repeats no POST by itself. A transaction may be repeated if its answer was lost: if the first was carried out,
# or is carried out late, its ETags make the other one fail. The progress alone has none: it may go back.
_REPEATED: Any = {"retry_on_methods": frozenset({"POST"})}


class Table:
    """One partition of one table; every method raises AzureError where storage fails. One run alone writes."""

    def __init__(self, client: TableClient) -> None:
        self._client = client
        self._reading = asyncio.Semaphore(_READS_AT_ONCE)
        # As this run has left them, with their ETags: they are in most transactions.
        self._counts: dict[str, tuple[int, str | None]] = {}

    async def get(self, *row_keys: str) -> list[TableEntity | None]:
        """Return entities by their keys, in that order; None for each that is not there."""
        return await asyncio.gather(*map(self._get, row_keys))

    async def range(
        self, prefix: str, *, past: str | None = None, before: str | None = None
    ) -> AsyncGenerator[TableEntity]:
        """Yield the entities whose keys have a prefix, in the order of the keys.

        Args:
            past: a key; only those after it.
            before: a key; only those before it.
        """
        found = self._client.query_entities(
            f"PartitionKey eq @partition and RowKey {'gt' if past else 'ge'} @low and RowKey lt @high",
            parameters={"partition": PARTITION_KEY, "low": past or prefix, "high": before or keys.after(prefix)},
            results_per_page=_PAGE,
        )
        async for entity in found:
            yield entity

    async def put(self, entities: Iterable[dict[str, Any]]) -> None:
        """Write entities, at most 100 of them, whatever is there, all or none."""
        await self._client.submit_transaction(
            [("upsert", entity, {"mode": "replace"}) for entity in entities], **_REPEATED
        )

    async def carry_out(self, change: Change) -> None:
        """Carry out a change with its counts, as a whole or not at all."""
        await self._fetch_counts(change.counts)
        operations = [*change.operations, *counting(change.counts, self._counts)]
        etags = await self._submit(operations)
        for key, etag in zip(sorted(change.counts), etags[len(change.operations) :], strict=True):
            count = self._counts[key][0] + change.counts[key]
            self._counts[key] = (count, etag if count else None)

    async def _get(self, row_key: str) -> TableEntity | None:
        async with self._reading:
            try:
                return await self._client.get_entity(PARTITION_KEY, row_key)
            except ResourceNotFoundError:
                return None

    async def _fetch_counts(self, row_keys: Iterable[str]) -> None:
        unknown = [key for key in row_keys if key not in self._counts]
        for key, stored in zip(unknown, await self.get(*unknown), strict=True):
            self._counts[key] = (0, None) if stored is None else (stored["count"], stored.metadata["etag"])

    async def _submit(self, operations: list[Operation]) -> list[str | None]:
        """Carry out a transaction and return the ETag that each operation left."""
        try:
            done = await self._client.submit_transaction(operations, **_REPEATED)
        except BaseException:
            self._counts.clear()  # nobody knows whether it was carried out
            raise
        return [one.get("etag") for one in done]
