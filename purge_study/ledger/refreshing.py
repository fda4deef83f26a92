"""Rows brought up to date: marked studies read again, and all judged anew where the rulebook has changed."""

from __future__ import annotations

from purge_study.rulebook import Rulebook
from purge_study.run import Run


async def refresh(run: Run, rulebook: Rulebook) -> None:
    """Read all marked studies again, judge them, and the other studies of their patients.

    Raises:
        OutOfTime: the rest another time.
        DICOMwebError, AzureError: what was written holds.
    """
    raise NotImplementedError


async def judge_all_anew(run: Run, rulebook: Rulebook) -> None:
    """Judge all rows by a policy that they were not judged by; a study that lacks an attribute is read again.

    It goes on where it stopped, and begins anew with another policy.

    Raises:
        OutOfTime: the rest another time.
        DICOMwebError, AzureError: what was written holds.
    """
    raise NotImplementedError
