"""The examples of docs/query-api.md do what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from dicomweb_client import DICOMwebClient
from dicomweb_client.session_utils import create_session_from_auth
from requests import PreparedRequest
from requests.auth import AuthBase

from local.stack import Stack
from tests.kit.drop_box import DropBox, make_instance

PAGE = (Path(__file__).parents[2] / "docs/query-api.md").read_text()
STUDY, SERIES, INSTANCE = "2.25.1", "2.25.2", "2.25.3"
# What fails with a status shall fail.
CURL = "curl() { command curl --silent --show-error --fail-with-body --noproxy '*' \"$@\"; }\n"


def blocks(language: str) -> list[tuple[str, str]]:
    """Return each block of a language with the text that should come back, empty if any may."""
    found = re.finditer(rf"^```{language}\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", PAGE, re.MULTILINE | re.DOTALL)
    return [(match[1], match[2] or "") for match in found]


@pytest.fixture(scope="module")
def box(stack: Stack) -> DropBox:
    """A drop-box that has the patient of the examples."""
    box = DropBox(stack)
    uids = {"StudyInstanceUID": STUDY, "SeriesInstanceUID": SERIES, "SOPInstanceUID": INSTANCE}
    instance = make_instance(PatientID="EXAMPLE-1", **uids)
    assert box.settle("examples/one.dcm", instance.content)["verdict"] == "stored"
    return box


def run(box: DropBox, folder: Path, *command: str) -> str:
    """Run something as a reader would; return what it prints."""
    app = {"APP": box.stack.host_url, "KEY": box.stack.function_key}
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **app}, capture_output=True, text=True, timeout=60, check=True
    ).stdout


def test_by_curl(box: DropBox, tmp_path: Path) -> None:
    """Each line finds what it is about, and files are what they are called."""
    assert len(blocks("sh")) >= 3
    printed = "".join(run(box, tmp_path, "bash", "-euc", CURL + block) for block, _ in blocks("sh"))
    assert '"PatientID":"EXAMPLE-1"' in printed.replace('": "', '":"')
    assert (tmp_path / "study.multipart").read_bytes().startswith(b"--")
    assert (tmp_path / "instance.dcm").read_bytes()[128:132] == b"DICM"
    assert (tmp_path / "frame.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "thumbnail.jpg").read_bytes().startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize(("block", "text"), blocks("python"), ids=["retrieve", "changes"])
def test_in_python(box: DropBox, tmp_path: Path, block: str, text: str) -> None:
    """Each program prints what the page says."""
    assert text
    assert run(box, tmp_path, sys.executable, "-c", block) == text


class FunctionKey(AuthBase):
    """What the page gives 3D Slicer."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["x-functions-key"] = self._key
        return request


def test_by_slicer(box: DropBox) -> None:
    """The three requests of its import, by the client that it has, with such a key."""
    session = create_session_from_auth(FunctionKey(box.stack.function_key))
    session.trust_env = False
    client = DICOMwebClient(url=box.stack.app_url, session=session)
    [series] = client.search_for_series(study_instance_uid=STUDY)
    uids = {"study_instance_uid": STUDY, "series_instance_uid": series["0020000E"]["Value"][0]}
    [metadata] = client.retrieve_series_metadata(**uids)
    [dataset] = client.iter_series(**uids)
    assert metadata["00080018"]["Value"] == [dataset.SOPInstanceUID] == [INSTANCE]
