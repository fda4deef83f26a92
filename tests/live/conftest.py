"""The servers that live tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .installing import InstallationFailed
from .orthanc import Orthanc, find_or_fetch


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """A running Orthanc, shared by the whole run: each test uses UIDs of its own."""
    try:
        program = find_or_fetch()
    except InstallationFailed as why:
        pytest.skip(f"no Orthanc: {why}")
    with Orthanc(program, tmp_path_factory.mktemp("orthanc")) as running:
        yield running
