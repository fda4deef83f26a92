"""What the tests of the local DICOM service share: a running service, and DICOM files made byte by byte.

The files are encoded here and not by pydicom, so that they may hold what no writer would write.
"""

from __future__ import annotations

import secrets
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
import uvicorn

from local.dicom_service.app import create_app
from local.dicom_service.listener import listen
from shared.dicomweb.multipart import MultipartParser, PartBegin, PartData, boundary_of

TEST_FILES = Path(pydicom.__file__).parent / "data" / "test_files"

DICOM_JSON = "application/dicom+json"
STORED_INSTANCE = "application/dicom; transfer-syntax=*"
STORED_INSTANCES = 'multipart/related; type="application/dicom"; transfer-syntax=*'
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

Elements = dict[int, tuple[str, bytes]]

_LONG = ("OB", "OW", "OD", "OF", "OL", "OV", "SQ", "UN", "UC", "UR", "UT", "SV", "UV")


def new_uid() -> str:
    """Return a UID that no other test uses."""
    return f"1.2.826.0.1.3680043.10.1.{secrets.randbits(90)}"


def encoded(elements: Elements, *, implicit: bool = False) -> bytes:
    """Encode a dataset, in little endian."""
    return b"".join(_element(tag, vr, value, implicit) for tag, (vr, value) in sorted(elements.items()))


def _element(tag: int, vr: str, value: bytes, implicit: bool) -> bytes:
    value += (b"\0" if vr in ("UI", "OB") else b" ") * (len(value) % 2)
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if implicit:
        return head + struct.pack("<L", len(value)) + value
    if vr in _LONG:
        return head + vr.encode() + b"\0\0" + struct.pack("<L", len(value)) + value
    return head + vr.encode() + struct.pack("<H", len(value)) + value


def part10(dataset: bytes, *, transfer_syntax: str = EXPLICIT) -> bytes:
    """Put a dataset into a Part 10 file."""
    meta = encoded(
        {
            0x00020001: ("OB", b"\0\1"),
            0x00020002: ("UI", SECONDARY_CAPTURE.encode()),
            0x00020003: ("UI", b"1.2.3"),
            0x00020010: ("UI", transfer_syntax.encode()),
            0x00020012: ("UI", b"1.2.3.4"),
        }
    )
    return b"\0" * 128 + b"DICM" + encoded({0x00020000: ("UL", struct.pack("<L", len(meta)))}) + meta + dataset


@dataclass
class Sample:
    """A small instance, by default alone in its study; `elements` replace or add to its own, None removes."""

    study: str = field(default_factory=new_uid)
    series: str = field(default_factory=new_uid)
    sop: str = field(default_factory=new_uid)
    elements: dict[int, tuple[str, bytes] | None] = field(default_factory=dict)
    transfer_syntax: str = EXPLICIT

    @property
    def content(self) -> bytes:
        """Return the file."""
        own: dict[int, tuple[str, bytes] | None] = {
            0x00080016: ("UI", SECONDARY_CAPTURE.encode()),
            0x00080018: ("UI", self.sop.encode()),
            0x00080020: ("DA", b"20240102"),
            0x00080060: ("CS", b"OT"),
            0x00100010: ("PN", b"Doe^Jane"),
            0x00100020: ("LO", b"ID1"),
            0x0020000D: ("UI", self.study.encode()),
            0x0020000E: ("UI", self.series.encode()),
        }
        present = {tag: element for tag, element in {**own, **self.elements}.items() if element is not None}
        dataset = encoded(present, implicit=self.transfer_syntax == IMPLICIT)
        return part10(dataset, transfer_syntax=self.transfer_syntax)

    @property
    def study_path(self) -> str:
        """Return the path of its study."""
        return f"/studies/{self.study}"

    @property
    def series_path(self) -> str:
        """Return the path of its series."""
        return f"{self.study_path}/series/{self.series}"

    @property
    def path(self) -> str:
        """Return its path."""
        return f"{self.series_path}/instances/{self.sop}"

    def sibling(self, **changes: Any) -> Sample:
        """Return another instance of the same series, or of another one with `series=`."""
        return Sample(**{"study": self.study, "series": self.series, **changes})


def pixels(
    data: bytes, *, frames: int = 1, rows: int = 2, columns: int = 3, bits: int = 8
) -> dict[int, tuple[str, bytes] | None]:
    """Return the elements of native pixel data."""
    return {
        0x00280002: ("US", struct.pack("<H", 1)),
        0x00280004: ("CS", b"MONOCHROME2"),
        0x00280008: ("IS", str(frames).encode()),
        0x00280010: ("US", struct.pack("<H", rows)),
        0x00280011: ("US", struct.pack("<H", columns)),
        0x00280100: ("US", struct.pack("<H", bits)),
        0x7FE00010: ("OW" if bits > 8 else "OB", data),
    }


class ServiceClient:
    """A plain HTTP client of the service; paths are those below `/v2`."""

    def __init__(self, root: str, headers: dict[str, str] | None = None) -> None:
        self.root = root
        self.http = httpx.Client(base_url=f"{root}/v2", headers=headers, timeout=30)

    def store(self, content: bytes, path: str = "/studies", **headers: str) -> httpx.Response:
        """Store one instance as a single part."""
        defaults = {"Accept": DICOM_JSON, "Content-Type": "application/dicom"}
        return self.http.post(path, content=content, headers={**defaults, **headers})

    def store_samples(self, *samples: Sample) -> None:
        """Store samples that the service has nothing to say against."""
        for sample in samples:
            assert self.store(sample.content).status_code == 200

    def store_parts(
        self, *parts: bytes | tuple[str | None, bytes], path: str = "/studies", **options: Any
    ) -> httpx.Response:
        """Store several as multipart; a part is its content, or its Content-Type and content."""
        body, boundary = b"", options.get("boundary", "frontier")
        for part in parts:
            content_type, content = part if isinstance(part, tuple) else ("application/dicom", part)
            header = f"Content-Type: {content_type}\r\n" if content_type else "X-Other: 1\r\n"
            body += f"--{boundary}\r\n{header}\r\n".encode() + content + b"\r\n"
        body += options.get("end", f"--{boundary}--\r\n".encode())
        content_type = options.get("content_type", f'multipart/related; type="application/dicom"; boundary={boundary}')
        return self.store(body, path, **{"Content-Type": content_type})

    def get(self, path: str, accept: str | None = DICOM_JSON, **headers: str) -> httpx.Response:
        """Get a path with one Accept header, or with none."""
        request = self.http.build_request("GET", path, headers=headers)
        if accept is None:
            del request.headers["Accept"]
        else:
            request.headers["Accept"] = accept
        return self.http.send(request)

    def search(self, path: str) -> list[dict[str, Any]]:
        """Return the results of a search, none for 204."""
        response = self.get(path)
        assert response.status_code in (200, 204), response.text
        return response.json() if response.status_code == 200 else []

    def delete(self, path: str) -> int:
        """Delete and return the status."""
        return self.http.delete(path).status_code


@contextmanager
def running(data_dir: Path, *, token_secret: str | None = None, **options: Any) -> Iterator[str]:
    """Run a service in a thread and yield its root URL."""
    app = create_app(data_dir, token_secret, **options)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1))
    listener = listen(0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            thread.join(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceClient]:
    """A service without authentication, shared by a module's tests: each uses UIDs of its own."""
    with running(tmp_path_factory.mktemp("dicom")) as root:
        client = ServiceClient(root)
        with client.http:
            yield client


def values(dataset: dict[str, Any], tag: str) -> list[Any]:
    """Return an element's values."""
    found: list[Any] = dataset.get(tag, {}).get("Value", [])
    return found


def items(response: httpx.Response, tag: str) -> list[dict[str, Any]]:
    """Return the items of a sequence in a store response."""
    return values(response.json(), tag)


def comments(item: dict[str, Any]) -> list[str]:
    """Return the comments in an item's FailedAttributesSequence."""
    return [values(entry, "00000902")[0] for entry in values(item, "00741048")]


def parts_of(response: httpx.Response) -> list[tuple[dict[str, str], bytes]]:
    """Return headers and content of each part of a multipart response."""
    parser = MultipartParser(boundary_of(response.headers["Content-Type"]))
    parts: list[tuple[dict[str, str], bytes]] = []
    for event in parser.feed(response.content):
        if isinstance(event, PartBegin):
            parts.append((event.headers, b""))
        elif isinstance(event, PartData):
            parts[-1] = (parts[-1][0], parts[-1][1] + event.data)
    parser.close()
    return parts


def path_of(found: dict[str, Any]) -> str:
    """Return the path of an instance that a search found."""
    study, series, sop = (values(found, tag)[0] for tag in ("0020000D", "0020000E", "00080018"))
    return f"/studies/{study}/series/{series}/instances/{sop}"
