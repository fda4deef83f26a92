"""Measure whether the local DICOM service slows down as it fills: `python -m bench.dicom_service_size`.

It fills one data folder by the index, ten instances a study and without files, and prints at each size how long each
transaction takes, in milliseconds and as a multiple of that at the smallest size. It takes about a minute. The folder
is in memory where there is room for that: what a disk takes to confirm a store would hide what grows.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from local.dicom_service.change_feed import index as change_feed_index
from local.dicom_service.change_feed import timestamps
from local.dicom_service.change_feed.index import LATEST, Window
from local.dicom_service.instances.examine import Instance
from local.dicom_service.search import query
from local.dicom_service.search.index import search
from local.dicom_service.search.routes import SCOPES
from local.dicom_service.state import Service, Switches
from local.dicom_service.stored.index import Target

SIZES = (100, 10_000, 100_000)
INSTANCES_PER_STUDY = 10
STUDIES_PER_DATE = 5
ROUNDS = 31
_METADATA = json.dumps({f"0040{number:04X}": {"vr": "LO", "Value": ["of no matter"]} for number in range(50)})


def main() -> None:
    """Fill, measure and print the table."""
    print("| instances | operation | ms | times that at the smallest size |\n|---|---|---|---|")
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        service = Service(Path(folder), Switches(partitions=True))
        try:
            _run(service, service.partitions.make("another").key)
        finally:
            service.close()


def _run(service: Service, another: int) -> None:
    stored = 0
    smallest: dict[str, float] = {}
    for size in SIZES:
        for number in range(stored, size):
            _store(service, number)
        stored = size
        measured = {name: _milliseconds(call) for name, call in _transactions(service, size, another).items()}
        smallest = smallest or measured
        for name, milliseconds in measured.items():
            print(f"| {size:,} | {name} | {milliseconds:.2f} | {milliseconds / smallest[name]:.1f} |")


def _transactions(service: Service, size: int, another: int) -> dict[str, Callable[[], object]]:
    study = size // INSTANCES_PER_STUDY // 2
    extra, gone = iter(range(10**6, 10**7, INSTANCES_PER_STUDY)), iter(range(10**6, 10**7, INSTANCES_PER_STUDY))
    asked = {"PatientID": f"PatientID={_patient(study)}", "StudyDate": f"StudyDate={_date(study)}", "all": ""}
    searches = {
        f"search {path}, {name}": _search(service, path, text)
        for path in ("/studies", "/series", "/instances")
        for name, text in asked.items()
    }
    in_another = {
        f"search {path}, another partition": _search(service, path, "", another)
        for path in ("/studies", "/series", "/instances")
    }
    return {
        "store": lambda: _store(service, next(extra)),
        "delete": lambda: service.index.delete(Target(1, f"1.2.{next(gone) // INSTANCES_PER_STUDY}")),
        **searches,
        **in_another,
        "metadata of a study": lambda: _metadata(service, f"1.2.{study}"),
        "change feed, the last second": lambda: change_feed_index.read(
            service.database, Window(timestamps.now() - timestamps.TICKS_PER_SECOND, LATEST, 10, 0)
        ),
        "change feed, last entry": lambda: change_feed_index.read_latest(service.database),
        "next expiry": service.index.next_expiry,
    }


def _search(service: Service, path: str, text: str, partition_key: int = 1) -> Callable[[], object]:
    scope = SCOPES[path]

    def call() -> object:
        asked = query.parse(f"{text}&limit=10".lstrip("&"), scope.levels)
        return search(service.database, scope, asked, {}, partition_key)

    return call


def _metadata(service: Service, study_instance_uid: str) -> object:
    instances = service.index.instances(Target(1, study_instance_uid))
    return service.index.metadata(instance.key for instance in instances)


def _store(service: Service, number: int) -> None:
    study = number // INSTANCES_PER_STUDY
    uids = (f"1.2.{study}", f"1.2.{study}.1", f"1.2.{study}.1.{number}")
    indexed = {"PatientID": _patient(study), "PatientName": f"Doe^{study}", "StudyDate": _date(study), "Modality": "OT"}
    instance = Instance(*uids, "1.2.3", "1.2.840.10008.1.2.1", _METADATA, indexed, None, None)
    service.index.add(Target(1, *uids), instance, f"{number:032x}")


def _patient(study: int) -> str:
    return f"P{study}"


def _date(study: int) -> str:
    day = study // STUDIES_PER_DATE
    return f"{1950 + day // 336 % 70}{1 + day // 28 % 12:02}{1 + day % 28:02}"


def _milliseconds(call: Callable[[], object]) -> float:
    return 1000 * statistics.median(_seconds(call))


def _seconds(call: Callable[[], object]) -> Iterator[float]:
    for _ in range(ROUNDS):
        started = time.perf_counter()
        call()
        yield time.perf_counter() - started


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    main()
