"""What the tests of every kind share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.azurite import Azurite
from local.ports import free_ports


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The app runs on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """A function that returns a port of the loopback interface that is free."""
    return lambda: free_ports(1)


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The connection string of a real Azurite with a folder of its own, shared by the whole run."""
    folder: Path = tmp_path_factory.mktemp("azurite")
    with Azurite(folder) as running:
        yield running.connection_string
