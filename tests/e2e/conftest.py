"""What tests of the whole stack share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.collector import Collector


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """What takes in the telemetry of a module's stack."""
    with Collector() as running:
        yield running
