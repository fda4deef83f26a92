"""What the tests of the local DICOM service share: a running service, and a client of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.types import ASGIApp

from local.dicom_service import clock
from local.dicom_service.app import create_app
from local.dicom_service.web.listener import listen
from tests.contract.plain_client import PlainClient
from tests.kit.dicomweb_messages import (
    DICOM_JSON,
    STORED_INSTANCE,
    STORED_INSTANCES,
    Part,
    comments,
    items,
    multipart_body,
    parts_of,
    path_of,
    values,
)
from tests.kit.files import (
    EXPLICIT,
    IMPLICIT,
    SECONDARY_CAPTURE,
    TEST_FILES,
    Elements,
    Sample,
    encoded,
    new_uid,
    part10,
    pixels,
)

__all__ = [
    "DICOM_JSON",
    "EXPLICIT",
    "IMPLICIT",
    "SECONDARY_CAPTURE",
    "STORED_INSTANCE",
    "STORED_INSTANCES",
    "TEST_FILES",
    "Elements",
    "Sample",
    "ServiceClient",
    "comments",
    "encoded",
    "items",
    "new_uid",
    "opened",
    "part10",
    "parts_of",
    "path_of",
    "pixels",
    "running",
    "service",
    "serving",
    "values",
]


class ServiceClient(PlainClient):
    """A plain HTTP client of the service; paths are those below `/v2`."""

    def __init__(self, root: str, headers: dict[str, str] | None = None) -> None:
        self.root = root
        super().__init__(httpx.Client(base_url=f"{root}/v2", headers=headers, timeout=30))

    def store(self, content: bytes, path: str = "/studies", **headers: str) -> httpx.Response:
        """Store one instance as a single part."""
        defaults = {"Accept": DICOM_JSON, "Content-Type": "application/dicom"}
        return self.http.post(path, content=content, headers={**defaults, **headers})

    def store_samples(self, *samples: Sample) -> None:
        """Store samples that the service has nothing to say against."""
        for sample in samples:
            assert self.store(sample.content).status_code == 200

    def store_parts(self, *parts: Part, path: str = "/studies", **options: Any) -> httpx.Response:
        """Store several as multipart; a part is its content, or its Content-Type and content."""
        boundary = options.get("boundary", "frontier")
        body = multipart_body(*parts, boundary=boundary, end=options.get("end"))
        content_type = options.get("content_type", f'multipart/related; type="application/dicom"; boundary={boundary}')
        return self.store(body, path, **{"Content-Type": content_type})

    def delete(self, path: str) -> int:
        """Delete and return the status."""
        return self.http.delete(path).status_code


@contextmanager
def running(data_dir: Path, *, token_secret: str | None = None, **options: Any) -> Iterator[str]:
    """Run a service in a thread and yield its root URL."""
    with serving(create_app(data_dir, token_secret, **options)) as root:
        yield root


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Serve an application in a thread and yield its root URL."""
    config = uvicorn.Config(app, log_config=None, access_log=False, date_header=False, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
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
        clock.set_ahead(0)  # it is the process's


@contextmanager
def opened(data_dir: Path, **options: Any) -> Iterator[ServiceClient]:
    """Run a service in a thread and yield a client of it."""
    with running(data_dir, **options) as root:
        client = ServiceClient(root)
        with client.http:
            yield client


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceClient]:
    """A service without authentication, shared by a module's tests: each uses UIDs of its own."""
    with opened(tmp_path_factory.mktemp("dicom")) as client:
        yield client
