"""Orthanc with its DICOMweb plugin: the machine's own, or Debian's packages unpacked into a folder of ours."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx

from local.ports import HOST, free_ports
from local.process import Part, PartFailed, stop

from .installing import InstallationFailed, unpacked, variables

_PACKAGE = "orthanc-dicomweb"
_PLUGIN = "usr/share/orthanc/plugins/libOrthancDicomWeb.so"
_USER = "test"
_READY_SECONDS = 30.0


@dataclass(frozen=True)
class Program:
    """Where Orthanc and its plugin are, and what must be in the environment for them to find their libraries."""

    executable: Path
    plugin: Path
    environment: Mapping[str, str]


def find_or_fetch() -> Program:
    """Return the machine's Orthanc if it has the plugin, or else the one in our cache, fetched by apt if need be.

    Raises:
        InstallationFailed: there is none, and apt cannot fetch it either.
    """
    root = Path("/") if Path("/", _PLUGIN).exists() else unpacked(_PACKAGE, _PLUGIN)
    places = (str(root / "usr/sbin"), "/usr/sbin", os.environ.get("PATH", ""))
    executable = shutil.which("Orthanc", path=os.pathsep.join(places))
    if executable is None:
        raise InstallationFailed("there is the plugin, but no Orthanc")
    return Program(Path(executable), root / _PLUGIN, {} if root == Path("/") else variables(root))


class Orthanc:
    """A server on a free port, with data that nobody needs afterwards.

    Args:
        program: what to run.
        folder: where the data and the log go.
        wants_password: whether it denies requests without `auth`.
    """

    def __init__(self, program: Program, folder: Path, *, wants_password: bool = True) -> None:
        self._program, self._folder, self._wants_password = program, folder, wants_password
        self._port, self._password = free_ports(1), secrets.token_hex()
        self._part: Part | None = None

    @property
    def url(self) -> str:
        """The base address of its DICOMweb services."""
        return f"http://{HOST}:{self._port}/dicom-web"

    @property
    def auth(self) -> httpx.Auth:
        """The credentials that it takes."""
        return httpx.BasicAuth(_USER, self._password)

    def __enter__(self) -> Self:
        configuration = self._folder / "orthanc.json"
        configuration.write_text(
            json.dumps(
                {
                    "StorageDirectory": str(self._folder / "data"),
                    "IndexDirectory": str(self._folder / "data"),
                    "Plugins": [str(self._program.plugin)],
                    "HttpPort": self._port,
                    "DicomServerEnabled": False,
                    "RemoteAccessAllowed": False,
                    "AuthenticationEnabled": self._wants_password,
                    "RegisteredUsers": {_USER: self._password},
                    "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
                }
            )
        )
        self._part = part = Part(
            "Orthanc",
            [self._program.executable, configuration],
            log=self._folder / "orthanc.log",
            environment={**os.environ, **self._program.environment},
        )
        deadline = time.monotonic() + _READY_SECONDS
        try:
            while "Orthanc has started" not in part.log.read_text(errors="replace"):
                part.check()
                if time.monotonic() > deadline:
                    raise PartFailed(part, f"is not ready after {_READY_SECONDS:g} s:\n{part.tail()}")
                time.sleep(0.02)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._part is not None:
            stop([self._part], grace_seconds=0)  # it takes seconds to put its data in order
