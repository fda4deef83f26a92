"""The transport below the client, beside the two that could take its place (one table).

Each row says what comes of a play with ours, and with the others where that is something else: so a row with one
expectation holds for all three. `a or b` is either, where the system decides.
"""

from __future__ import annotations

import pytest

from tests.component.dicomweb.transport_case import Case
from tests.component.dicomweb.transport_cases_receiving import RECEIVING
from tests.component.dicomweb.transport_cases_sending import SENDING
from tests.component.dicomweb.transports_under_test import SUBJECTS, Subject


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
@pytest.mark.parametrize("case", [*SENDING, *RECEIVING], ids=lambda case: case.name.replace(" ", "_"))
async def test_transport(case: Case, subject: Subject) -> None:
    """A play ends as its row says."""
    assert await case.play(subject) in case.expected(subject).split(" or ")
