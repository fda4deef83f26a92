"""What the local DICOM service cannot do yet: the list in the code, in its README and here are one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import local.dicom_service
from local.dicom_service.missing import FEATURES
from tests.kit.service import STORED_INSTANCES, Sample, ServiceClient, parts_of, service

__all__ = ["service"]

# Whoever adds to this list makes the service do less than it did: look twice.
MISSING = {
    "bulk update",
    "export",
    "workitems",
}


def test_the_list_has_not_grown() -> None:
    """The code's table is this list."""
    assert {feature.feature for feature in FEATURES} == MISSING


def test_the_readme_has_the_same_list() -> None:
    """The README's table is this list."""
    readme = Path(local.dicom_service.__file__).with_name("README.md").read_text()
    section = readme.split("## Not yet")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (?!feature \|)([^-|][^|]*?) \|$", section, re.MULTILINE)
    assert set(rows) == MISSING


@pytest.mark.parametrize(
    ("method", "path", "feature"),
    [
        ("POST", "/studies/$bulkUpdate", "bulk update"),
        ("POST", "/export", "export"),
        ("POST", "/workitems?1.2.3", "workitems"),
        ("GET", "/workitems/1.2", "workitems"),
        ("PUT", "/workitems/1.2/state", "workitems"),
    ],
)
def test_missing_features_answer_501(service: ServiceClient, method: str, path: str, feature: str) -> None:
    """Each says in one plain sentence what is missing."""
    response = service.http.request(method, path)
    assert response.status_code == 501
    assert response.headers["Content-Type"].startswith("text/plain")
    assert feature in response.text


def test_original_version_is_the_stored_one(service: ServiceClient) -> None:
    """Where nothing can be updated, the original version is the only one, at every level."""
    sample = Sample()
    service.store_samples(sample)
    original = {"msdicom-request-original": "true"}
    assert service.get(sample.path, "application/dicom", **original).content == sample.content
    for path in (sample.path, sample.series_path, sample.study_path):
        ((_, content),) = parts_of(service.get(path, STORED_INSTANCES, **original))
        assert content == sample.content
        assert len(service.get(f"{path}/metadata", **original).json()) == 1
