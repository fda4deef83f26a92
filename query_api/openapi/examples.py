"""Examples: made up, of nobody."""

from __future__ import annotations

from typing import Any, Final

STUDY: Final = "1.2.826.0.1.3680043.8.498.1"
SERIES: Final = f"{STUDY}.1"
INSTANCE: Final = f"{SERIES}.1"

DATASETS: Final[list[dict[str, Any]]] = [
    {
        "00080020": {"vr": "DA", "Value": ["20260131"]},
        "00080061": {"vr": "CS", "Value": ["CT"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Example^Synthetic"}]},
        "00100020": {"vr": "LO", "Value": ["EXAMPLE-1"]},
        "0020000D": {"vr": "UI", "Value": [STUDY]},
    }
]
PLAIN: Final[list[dict[str, Any]]] = [
    {
        "StudyDate": "20260131",
        "ModalitiesInStudy": ["CT"],
        "PatientName": "Example^Synthetic",
        "PatientID": "EXAMPLE-1",
        "StudyInstanceUID": STUDY,
    }
]
# VR → a value to search for.
SOUGHT: Final = {
    "CS": "CT",
    "DA": "20260101-20261231",
    "LO": "EXAMPLE-1",
    "PN": "Example*",
    "SH": "EXAMPLE-1",
    "UI": STUDY,
}
CHANGES: Final[dict[str, Any]] = {
    "changes": [
        {
            "sequence": 4711,
            "action": "created",
            "state": "current",
            "timestamp": "2026-01-31T08:15:30.123456Z",
            "partition": "Microsoft.Default",
            "study_instance_uid": STUDY,
            "series_instance_uid": SERIES,
            "sop_instance_uid": INSTANCE,
        }
    ],
    "next": "v1.gIC2mcKskQOX9AjYRA",
    "more": False,
}
DOCUMENT: Final[dict[str, Any]] = {"openapi": "3.1.1", "info": {"title": "Lookups", "version": "1"}, "paths": {}}
