"""The short form of `make soak`."""

from __future__ import annotations

from pathlib import Path

from local.soak.run import soak

FILES = 150


def test_a_short_soak(tmp_path: Path) -> None:
    """Failures of the service, kills, lost and repeated events: every file is accounted for."""
    account = soak(tmp_path, count=FILES, kills=2, faults=8, calm_seconds=1, seed=7, say=print)
    assert account.differences == []
    assert account.verdicts["stored"] > FILES / 2
    assert {"duplicate", "conflict other_bytes", "rejected not_dicom"} <= account.verdicts.keys()
