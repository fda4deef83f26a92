"""Orthanc with its DICOMweb plugin: the machine's own, or Debian's packages unpacked into a folder of ours.

with Orthanc(find_or_fetch(), folder) as orthanc:
    DICOMwebClient(orthanc.url, auth=orthanc.auth)
"""

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

from . import debian
from .installing import InstallationFailed

_CACHE = debian.CACHE / "orthanc"
_PACKAGE = "orthanc-dicomweb"
_PLUGIN = "usr/share/orthanc/plugins/libOrthancDicomWeb.so"
_USER = "test"


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
    if found := _find(Path("/")):
        return found
    if found := _find(debian.unpacked(_PACKAGE, _CACHE)):
        return found
    raise InstallationFailed(f"the package {_PACKAGE} is not laid out as expected")


def _find(root: Path) -> Program | None:
    plugin = root / _PLUGIN
    places = (str(root / "usr/sbin"), "/usr/sbin", os.environ.get("PATH", ""))
    executable = shutil.which("Orthanc", path=os.pathsep.join(places))
    if executable is None or not plugin.exists():
        return None
    return Program(Path(executable), plugin, {} if root == Path("/") else _library_paths(root))


def _library_paths(root: Path) -> dict[str, str]:
    # DCMTK's dictionary: the package has the path of an installed one built in.
    dictionaries = [str(file) for file in root.glob("usr/share/*dcmtk*/dicom.dic")]
    dictionary = {"DCMDICTPATH": dictionaries[0]} if dictionaries else {}
    return {"LD_LIBRARY_PATH": debian.library_path(root), **dictionary}


class Orthanc:
    """A server on a free port, with data that nobody needs afterwards.

    Args:
        program: what to run.
        folder: where the data and the log go.
        wants_password: whether it denies requests without `auth`.
    """

    def __init__(self, program: Program, folder: Path, *, wants_password: bool = True) -> None:
        self._program = program
        self._folder = folder
        self._wants_password = wants_password
        self._port = free_ports(1)
        self._password = secrets.token_hex()
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
        configuration.write_text(json.dumps(self._configuration()))
        self._part = Part(
            "Orthanc",
            [self._program.executable, configuration],
            log=self._folder / "orthanc.log",
            environment={**os.environ, **self._program.environment},
        )
        try:
            self._wait_until_ready(self._part)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._part is not None:
            stop([self._part], grace_seconds=0)  # it takes seconds to put its data in order

    def _wait_until_ready(self, part: Part, timeout_seconds: float = 30.0) -> None:
        deadline = time.monotonic() + timeout_seconds
        while "Orthanc has started" not in part.log.read_text(errors="replace"):
            try:
                part.check()
            except PartFailed as failure:
                raise PartFailed(part, f"did not start:\n{part.tail()}") from failure
            if time.monotonic() > deadline:
                raise PartFailed(part, f"is not ready after {timeout_seconds:g} s:\n{part.tail()}")
            time.sleep(0.02)

    def _configuration(self) -> dict[str, object]:
        return {
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
