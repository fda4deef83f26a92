"""What would retention do? `make purge-preview POLICY=path/to/policy.toml [URL=https://…/v2]`; nothing is deleted.

The policy and the lists that it names, which stand beside it, are put into an Azurite of its own, where
`purge_study.preview` finds them as the app would. What it has read of the service stays in a folder, one for each
service: the next preview reads only what is new.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from azure.storage.blob import BlobServiceClient, ContainerClient

from local.azurite import Azurite
from local.commands import BY_LOGIN, ROOT, no_proxy
from local.pid_file import AlreadyRunning, hold
from local.process import PartFailed
from local.up import data_folder, read_access
from shared.settings import RETENTION_POLICY, RETENTION_RECORDS, STORAGE_CONNECTION

_POLICY = "policy.toml"


class Refused(Exception):
    """It cannot be begun; the text says why, and what to do."""


def main() -> int:
    """Return the exit code of the preview; 2 if it could not be begun."""
    parser = argparse.ArgumentParser(description="Say what retention would delete; nothing is deleted.")
    parser.add_argument("--policy", default="", help="the policy; its lists stand beside it")
    parser.add_argument("--url", help="a DICOM service, with its version; without it, that of `make up`")
    options = parser.parse_args()
    try:
        return _preview(dict(_blobs(options.policy)), _service(options.url))
    except (Refused, PartFailed) as problem:
        print(f"{problem}.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _service(url: str | None) -> dict[str, str]:
    """Return the environment that leads to the DICOM service, and to nothing else.

    Raises:
        Refused: there is none.
    """
    if url:
        return {**BY_LOGIN, **_without_storage(os.environ), "DICOM_SERVICE_URL": url}
    folder = data_folder()
    access = read_access(folder)
    if access is None:
        raise Refused(
            f"Nothing runs in {folder}: start it with `make up`, or name a DICOM service with URL=https://…/v2"
        )
    return {**_without_storage({**os.environ, **access["settings"]}), **no_proxy(), "FEED_LAG_SECONDS": "0"}


def _without_storage(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(STORAGE_CONNECTION)}


def _preview(blobs: Mapping[str, bytes], service: Mapping[str, str]) -> int:
    folder = data_folder() / "purge-preview" / hashlib.sha256(service["DICOM_SERVICE_URL"].encode()).hexdigest()[:8]
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        hold(folder / "preview.pid")
    except AlreadyRunning:
        raise Refused("A preview of this service runs already: wait for its end") from None
    with Azurite(folder) as azurite:
        _put(azurite.connection_string, blobs)
        command = [sys.executable, "-m", "purge_study.preview", str(folder)]
        return subprocess.run(command, env={**service, **_settings(azurite)}, cwd=ROOT, check=False).returncode  # noqa: S603 - our own command


def _settings(azurite: Azurite) -> dict[str, str]:
    return {
        STORAGE_CONNECTION: azurite.connection_string,
        "RETENTION_POLICY": _POLICY,
        "LEDGER_KEY": "of this preview only",
        "PURGE_MODE": "report",
    }


def _blobs(path: str) -> Iterator[tuple[str, bytes]]:
    """Yield the policy, and each of its lists that is there: what is wrong with them the preview says.

    Raises:
        Refused: there is no policy.
    """
    if not path:
        raise Refused("Name the policy: make purge-preview POLICY=path/to/policy.toml")
    policy = Path(path)
    try:
        content = policy.read_bytes()
    except OSError as error:
        raise Refused(f"{policy} cannot be read: {error.strerror}") from None
    yield _POLICY, content
    for name in _lists(content):
        if (found := _list(policy.parent.resolve(), name)) is not None:
            yield name, found


def _list(folder: Path, name: str) -> bytes | None:
    """Return a list; None where it is not there, for which the preview has words."""
    with suppress(OSError, ValueError):  # what no file can be called
        file = (folder / name).resolve()
        if file.is_relative_to(folder) and file.is_file():
            return file.read_bytes()
    return None


def _lists(policy: bytes) -> Iterator[str]:
    try:
        tables: dict[str, Any] = tomllib.loads(policy.decode("utf-8-sig"))
    except (ValueError, RecursionError):  # nested too deeply
        return
    for kind in ("hold", "anchor"):
        found = tables.get(kind)
        for table in found if isinstance(found, list) else ():
            if isinstance(table, dict) and isinstance(name := table.get("list"), str):
                yield name


def _put(connection_string: str, blobs: Mapping[str, bytes]) -> None:
    """Have these blobs beside the policy, and no others; of earlier previews no plans."""
    with BlobServiceClient.from_connection_string(connection_string, use_env_settings=False) as storage:
        _fill(storage.get_container_client(RETENTION_POLICY), blobs)
        _fill(storage.get_container_client(RETENTION_RECORDS), {})


def _fill(container: ContainerClient, blobs: Mapping[str, bytes]) -> None:
    if not container.exists():
        container.create_container()
    for name in container.list_blob_names():
        container.delete_blob(name)
    for name, content in blobs.items():
        container.upload_blob(name, content)


if __name__ == "__main__":
    sys.exit(main())
