"""What becomes of the files, the order and the feed when an instance is replaced by PUT; see also `tests/contract`."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.kit.service import (
    DICOM_JSON,
    STORED_INSTANCE,
    STORED_INSTANCES,
    Sample,
    ServiceClient,
    opened,
    parts_of,
    service,
)

__all__ = ["service"]


def put(service: ServiceClient, content: bytes, path: str = "/studies") -> tuple[int, dict[str, object]]:
    """Put one instance; return status and result."""
    headers = {"Accept": DICOM_JSON, "Content-Type": "application/dicom"}
    response = service.http.put(path, content=content, headers=headers)
    return response.status_code, response.json()


def changed(sample: Sample, **elements: bytes) -> Sample:
    """Return another instance with the UIDs of a sample, and another patient."""
    patient = elements.get("patient", b"CHANGED")
    return Sample(sample.study, sample.series, sample.sop, {0x00100020: ("LO", patient)})


def test_old_bytes_are_gone(tmp_path: Path) -> None:
    """One file is left on disk, that of the last."""
    sample = Sample()
    with opened(tmp_path) as service:
        service.store_samples(sample)
        for number in range(3):
            put(service, changed(sample, patient=str(number).encode()).content)
    (file,) = (tmp_path / "instances").glob("*/*")
    assert file.read_bytes() == changed(sample, patient=b"2").content


def test_reading_while_it_is_replaced(tmp_path: Path) -> None:
    """Whoever reads meanwhile gets one version or the other, whole; no read fails, and no file stays behind."""
    versions = [Sample(elements={0x7FE00010: ("OB", b"0" * 600_000)})]
    versions += [changed(versions[0], patient=str(number).encode()) for number in range(60)]
    contents = {version.content for version in versions}
    ended = threading.Event()

    def read(root: str) -> int:
        with ServiceClient(root).http as http:
            for number in itertools.count():
                accept = STORED_INSTANCES if number % 2 else STORED_INSTANCE
                response = http.get(versions[0].path, headers={"Accept": accept})
                assert response.status_code == 200
                content = parts_of(response)[0][1] if number % 2 else response.content
                assert content in contents
                if ended.is_set():
                    return number
        raise AssertionError

    with opened(tmp_path) as service, ThreadPoolExecutor(3) as pool:
        service.store_samples(versions[0])
        reading = [pool.submit(read, service.root) for _ in range(3)]
        try:
            for version in versions:
                assert put(service, version.content)[0] == 200
        finally:
            ended.set()
        assert all(each.result() > 0 for each in reading)
    assert len(list((tmp_path / "instances").glob("*/*"))) == 1
