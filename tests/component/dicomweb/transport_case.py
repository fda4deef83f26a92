"""One row of the table of transports."""

from __future__ import annotations

from dataclasses import dataclass

from tests.component.dicomweb.transport_plays import Play
from tests.component.dicomweb.transports_under_test import Subject


@dataclass(frozen=True)
class Case:
    """A play and its outcomes; None is that of the column before."""

    name: str
    play: Play
    ours: str
    httpx: str | None = None
    httpx2: str | None = None

    def expected(self, subject: Subject) -> str:
        """Return what is to come of it with one of the three."""
        found = self.ours
        for column in ("httpx", "httpx2"):
            if subject.name != "ours":
                found = getattr(self, column) or found
            if subject.name == column:
                break
        return found
