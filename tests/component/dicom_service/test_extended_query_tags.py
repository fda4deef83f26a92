"""The local DICOM service indexes more attributes when told to: extended query tags, and the operations behind them."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom.datadict import tag_for_keyword

from local.dicom_service.extended_query_tags import reindex
from tests.kit.service import Sample, ServiceClient, opened, values

TAGS = "/extendedquerytags"
PATIENT_SEX = {"path": "PatientSex", "level": "Study"}

Elements = dict[int, tuple[str, bytes] | None]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceClient]:
    """A service that no other test adds tags to."""
    with opened(tmp_path) as client:
        yield client


def add(service: ServiceClient, *tags: dict[str, str]) -> httpx.Response:
    """Ask for tags."""
    return service.http.post(TAGS, json=list(tags))


def finished(service: ServiceClient, accepted: httpx.Response) -> dict[str, Any]:
    """Wait for the operation that a request has started."""
    assert accepted.status_code == 202, accepted.text
    deadline = time.monotonic() + 60
    while (response := service.http.get(accepted.headers["Location"])).status_code == 202:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert response.status_code == 200
    operation: dict[str, Any] = response.json()
    return operation


def index(service: ServiceClient, *tags: dict[str, str]) -> None:
    """Add tags and wait until they can be searched for."""
    assert finished(service, add(service, *tags))["status"] == "succeeded"


def stored(service: ServiceClient, elements: Elements, status: int = 200, **options: Any) -> Sample:
    """Store a sample with the elements."""
    sample = Sample(elements=elements, **options)
    assert service.store(sample.content).status_code == status
    return sample


def sops(service: ServiceClient, query: str) -> list[str]:
    """Return the instances that a search of all instances finds."""
    return [values(found, "00080018")[0] for found in service.search(f"/instances?{query}")]


@pytest.mark.parametrize(
    ("path", "vr", "value", "found", "not_found"),
    [
        ("RetrieveAETitle", "AE", b"STORE", ["store", "STORE%20"], ["STOR", "S*"]),
        ("PatientAge", "AS", b"035Y", ["035y"], ["035M"]),
        ("SeriesDate", "DA", b"20240131", ["20240131", "20240101-", "-20240131"], ["20240201-", "20240130"]),
        ("PatientWeight", "DS", b"72.50 ", ["72.5", "72.50", "7.25e1"], ["72", "72.51"]),
        (
            "AcquisitionDateTime",
            "DT",
            b"20240131101112.5",
            ["20240131101112.500", "2024-", "-20240201", "20240131101112-20240131101113"],
            ["20240131", "20240131101113-", "-2024"],
        ),
        ("AcquisitionDateTime", "DT", b"2024+0100", ["2024", "20240101", "2024-2024"], ["2025"]),
        ("EventElapsedTimes", "DS", b"1\\2", ["1"], ["2"]),
        ("PixelSpacingCalibrationDescription", "LO", "Größe".encode("latin-1"), ["größe", "GRÖSSE"], ["Grosse"]),
        ("B1rms", "FL", struct.pack("<f", 0.1), ["0.1", "1e-1"], ["0.2"]),
        ("ExposureTimeInms", "FD", struct.pack("<d", 0.1), ["0.1", "0.10"], ["0.11"]),
        ("InstanceNumber", "IS", b"+04", ["4", "004"], ["5", "-4"]),
        ("PerformingPhysicianName", "PN", b"Doe^Jane", ["doe^jane"], ["doe", "jane"]),
        ("StationName", "SH", b"CT 1", ["ct 1"], ["CT"]),
        ("ReferencePixelX0", "SL", struct.pack("<l", -70000), ["-70000"], ["70000"]),
        ("SeriesTime", "TM", b"1011", ["101100", "1011", "10-", "-101100.0", "1010-1012"], ["10", "101101-"]),
        ("FrameOfReferenceUID", "UI", b"1.2.3", ["1.2.3"], ["1.2", "1.2.3\\1.2", "nonsense"]),
        ("SimpleFrameList", "UL", struct.pack("<L", 2**32 - 1), ["4294967295"], ["0"]),
        ("Rows", "US", struct.pack("<H", 512), ["512", "0512"], ["51"]),
    ],
)
def test_matching_by_vr(
    service: ServiceClient, path: str, vr: str, value: bytes, found: list[str], not_found: list[str]
) -> None:
    """Text matches regardless of case, numbers by their value, dates and times by moment and range."""
    tag = tag_for_keyword(path) or 0
    stored(service, {0x00080005: ("CS", b"ISO_IR 100"), tag: (vr, value)})
    index(service, {"path": path, "vr": vr, "level": "Instance"})
    stored(service, {0x00080005: ("CS", b"ISO_IR 100"), tag: (vr, value)})
    for match in found:
        assert len(service.search(f"/instances?{path}={match}")) == 2, match
    for match in not_found:
        assert service.search(f"/instances?{path}={match}") == [], match


class Gate:
    """Lets the first batch of a reindexing through, and holds up the second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.open = threading.Event(), threading.Event()
        self._batches = 0
        self._index_batch = reindex.index_batch
        monkeypatch.setattr(reindex, "BATCH", 2)
        monkeypatch.setattr(reindex, "index_batch", self)

    def __call__(self, *arguments: Any) -> bool:
        self._batches += 1
        if self._batches == 2:
            self.reached.set()
            assert self.open.wait(60)
        return self._index_batch(*arguments)


def test_the_service_goes_on_while_it_reindexes(service: ServiceClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Meanwhile the tag is being added, stores are indexed as they come, and no other tag can be added."""
    samples = [stored(service, {0x00100040: ("CS", b"F")}) for _ in range(5)]
    gate = Gate(monkeypatch)
    accepted = add(service, PATIENT_SEX)
    assert gate.reached.wait(60)
    try:
        running_operation = service.http.get(accepted.headers["Location"])
        assert running_operation.status_code == 202
        assert running_operation.headers["Location"] == accepted.headers["Location"]
        assert (running_operation.json()["status"], running_operation.json()["percentComplete"]) == ("running", 40)
        tag = service.http.get(f"{TAGS}/PatientSex").json()
        assert (tag["status"], tag["operation"]) == ("Adding", accepted.json())
        assert service.get("/studies?PatientSex=F").status_code == 400
        refused = add(service, {"path": "PatientAge", "level": "Study"})
        assert (refused.status_code, refused.headers["Location"]) == (409, accepted.headers["Location"])
        assert service.delete(samples[3].path) == 204
        stored(service, {0x00100040: ("CS", b"M")}, study=samples[4].study)
        samples.append(stored(service, {0x00100040: ("CS", b"F")}))
    finally:
        gate.open.set()
    assert finished(service, accepted)["status"] == "succeeded"
    found = [values(each, "0020000D")[0] for each in service.search("/studies?PatientSex=F")]
    assert found == [samples[n].study for n in (5, 2, 1, 0)]
    assert len(service.search("/studies?PatientSex=M")) == 1


def test_a_restart_goes_on_with_the_reindexing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that stops in the middle has its tags ready after the next start, without errors twice."""
    gate = Gate(monkeypatch)
    with opened(tmp_path) as service:
        samples = [stored(service, {0x00100040: ("CS", b"F")}) for _ in range(4)]
        stored(service, {0x00100040: ("CS", b"female")}, 202)
        accepted = add(service, PATIENT_SEX)
        assert gate.reached.wait(60)
        monkeypatch.setattr(gate, "_index_batch", lambda *_: True)  # nothing more gets done
        gate.open.set()
    monkeypatch.undo()
    with opened(tmp_path) as service:
        operation_path = f"/operations/{accepted.json()['id']}"
        accepted.headers["Location"] = f"{service.root}/v2{operation_path}"
        assert finished(service, accepted)["status"] == "succeeded"
        assert service.http.get(f"{TAGS}/PatientSex").json()["errors"]["count"] == 1
        service.http.patch(f"{TAGS}/PatientSex", json={"queryStatus": "Enabled"})
        assert sops(service, "PatientSex=F") == [sample.sop for sample in reversed(samples)]


def test_a_reindexing_that_fails_says_so(service: ServiceClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operation that trips over something fails; its tag can be deleted and added anew."""

    def broken(*_: Any) -> bool:
        raise OSError

    monkeypatch.setattr(reindex, "_next_instances", broken)
    assert finished(service, add(service, PATIENT_SEX))["status"] == "failed"
    monkeypatch.undo()
    assert service.http.delete(f"{TAGS}/PatientSex").status_code == 204
    index(service, PATIENT_SEX)
