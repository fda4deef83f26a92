"""What the tests of the client share: a client in a hurry, one instance's UIDs, and what may never be told."""

from __future__ import annotations

import traceback
from typing import Any, TypedDict

import httpx

from shared.dicomweb import DICOMwebClient, RetryPolicy

# Each stands for a patient: none may be found in an error.
STUDY, SERIES, INSTANCE = "1.2.3.4711001", "1.2.3.4711002", "1.2.3.4711003"
SECRET = "CANARY"
CANARIES = ("4711", SECRET)


class StudyUIDs(TypedDict):
    """What names a study."""

    study_instance_uid: str


class SeriesUIDs(StudyUIDs):
    """What names a series."""

    series_instance_uid: str


class InstanceUIDs(SeriesUIDs):
    """What names an instance."""

    sop_instance_uid: str


UIDS: InstanceUIDs = {"study_instance_uid": STUDY, "series_instance_uid": SERIES, "sop_instance_uid": INSTANCE}
STUDY_UIDS: StudyUIDs = {"study_instance_uid": STUDY}
SERIES_UIDS: SeriesUIDs = {"study_instance_uid": STUDY, "series_instance_uid": SERIES}

QUICK = RetryPolicy(first_pause_seconds=0.001)
TIMEOUT = httpx.Timeout(10)
SHORT_TIMEOUT = httpx.Timeout(10, read=0.2, write=0.2)

JSON = {"Content-Type": "application/dicom+json"}


def client_of(url: str, **options: Any) -> DICOMwebClient:
    """Return a client that hardly pauses between its attempts."""
    return DICOMwebClient(url, **{"retry": QUICK, "timeout": TIMEOUT, **options})


def assert_tells_nothing(error: BaseException) -> None:
    """See that neither an error's text nor its printed traceback holds a canary, nor a chained foreign error."""
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
    told = "".join((str(error), repr(error), repr(error.args), *traceback.format_exception(error)))
    for canary in CANARIES:
        assert canary not in told
