"""Who looks on as requests are sent: for traces and figures, of which nothing is known here."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol


class Attempt(Protocol):
    """One attempt at a request, while it lasts."""

    @property
    def headers(self) -> Mapping[str, str]:
        """What is sent with it."""

    def answered(self, status_code: int) -> None:
        """Take note of an answer that was asked for."""


class Observer(Protocol):
    """Is told of each attempt; what it raises, the caller gets."""

    def attempt(self, transaction: str, number: int) -> AbstractContextManager[Attempt]:
        """Return a context that an attempt is made in: until its answer has begun, or with what it raises.

        Args:
            transaction: as errors call it.
            number: 1, 2, ….
        """
