"""From a modality's C-STORE to a receipt: the gateway of docs/feeding-the-inbox.md, by its own commands."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from local.commands import ROOT
from local.ports import free_ports
from local.stack import Stack
from tests.kit.drop_box import DropBox, make_instance, wait_for
from tests.kit.page_commands import Shell, blocks

from .installing import InstallationFailed, unpacked, variables

PAGE = (ROOT / "docs/feeding-the-inbox.md").read_text()
# In AzCopy's place, which cannot be had here: copies a folder's files as it would, to the local stack's storage.
AZCOPY = """\
exec "$PYTHON" - "$@" <<'PROGRAM'
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from azure.storage.blob import BlobServiceClient

copy, source, target, *options = sys.argv[1:]
assert copy == "copy" and "--recursive" in options and source.endswith("/*"), sys.argv
container, _, folder = urlsplit(target).path.strip("/").partition("/")
storage = BlobServiceClient.from_connection_string(os.environ["DICOM_STORAGE"])
for file in Path(source[:-2]).iterdir():
    storage.get_blob_client(container, f"{folder}/{file.name}").upload_blob(file.read_bytes(), overwrite=True)
PROGRAM
"""
BEGIN = """\
set -m
(
{receive}
) > gateway.log 2>&1 &
trap 'kill -- -$!' EXIT
until echoscu --call INBOX 127.0.0.1 {port} 2> /dev/null; do sleep 0.1; done
"""
# The sender has its answer before the file is moved.
UNTIL_COMPLETE = 'until test -n "$(ls complete)"; do sleep 0.1; done\n'


@pytest.fixture(scope="module")
def programs() -> dict[str, str]:
    """What runs each program of DCMTK, the machine's own or Debian's, as a line of a shell."""
    names = ("dcmsend", "echoscu", "storescp")
    if all(map(shutil.which, names)):
        return {name: f'exec {shutil.which(name)} "$@"\n' for name in names}
    try:
        root = unpacked("dcmtk", *(f"usr/bin/{name}" for name in names))
    except InstallationFailed as why:
        pytest.skip(f"no DCMTK: {why}")
    given = " ".join(f"{name}='{value}'" for name, value in variables(root).items())
    return {name: f'exec env {given} {root / "usr/bin" / name} "$@"\n' for name in names}


def block_with(word: str) -> str:
    """Return the block that has a command."""
    [block] = [block for block in blocks(PAGE) if re.search(rf"^{word}\b", block, re.MULTILINE)]
    return block


def test_what_a_modality_sends_is_stored(stack: Stack, tmp_path: Path, programs: dict[str, str]) -> None:
    """Received into one folder, moved into another when it is whole, uploaded, and gone from the gateway."""
    instance = make_instance(PatientName="Doe^Jane")
    sent = tmp_path / "sent.dcm"
    sent.write_bytes(instance.content)
    port = str(free_ports(1))
    receive, send, upload = (block_with(word).replace("11112", port) for word in ("storescp", "dcmsend", "flock"))
    shell = Shell(stack, tmp_path / "shell", {"DATA_ACCOUNT": "account"}, programs={**programs, "azcopy": AZCOPY})
    begin = BEGIN.format(receive=receive, port=port)
    ran = shell.run("DATA_ACCOUNT=account", begin, send, UNTIL_COMPLETE, upload, filled_in={"a DICOM file": str(sent)})
    assert (ran.code, ran.unknown) == (0, ()), (
        f"{ran.output}\n{ran.errors}\n{(shell.folder / 'gateway.log').read_text()}"
    )
    assert {folder: list((shell.folder / folder).iterdir()) for folder in ("arriving", "complete", "sending")} == {
        "arriving": [],
        "complete": [],
        "sending": [],
    }
    box = DropBox(stack)
    [name] = wait_for(lambda: _names(box) or None, "nothing is in the inbox")
    assert re.fullmatch(r"site-a/[\w.]+\.dcm", name)
    receipt = wait_for(lambda: _final(box, name), "there is no verdict")
    assert (receipt["verdict"], receipt["sop_instance_uid"]) == ("stored", instance.sop)
    assert instance.sop not in name


def _names(box: DropBox) -> list[str]:
    return list(box.storage.get_container_client("dicom-inbox").list_blob_names())


def _final(box: DropBox, name: str) -> dict[str, object] | None:
    answer = box.get("/receipts", params={"name": name})
    found: dict[str, object] = answer.json()
    return found if answer.status_code == 200 and found["state"] == "final" else None
