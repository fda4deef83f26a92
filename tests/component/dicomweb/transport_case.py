"""One row of the table of transports."""

from __future__ import annotations

from dataclasses import dataclass

from tests.component.dicomweb.transport_plays import Play
from tests.component.dicomweb.transports_under_test import Subject


@dataclass(frozen=True)
class Case:
    """A play, its outcome with ours, and with the two others where that is another."""

    name: str
    play: Play
    ours: str
    httpx: str | None = None

    def expected(self, subject: Subject) -> str:
        """Return what is to come of it with one of the three."""
        return self.ours if subject.name == "ours" else self.httpx or self.ours
