"""The change feed, folded into the ledger: what was stored, replaced or deleted is marked to be read again."""

from __future__ import annotations

from purge_study.run import Run


async def fold(run: Run) -> None:
    """Fold in what the feed has until `FEED_LAG_SECONDS` ago.

    It goes on where the last one stopped, a little earlier, and notes its progress as it goes: a killed one loses
    little. Nothing is counted, so that nothing counts twice. A `Create` in the feed between the last look at a study
    and its deletion is the error event `purged_late_instance`.

    Raises:
        OutOfTime: the rest another time.
        DICOMwebError, AzureError: what was noted holds.
    """
    raise NotImplementedError
