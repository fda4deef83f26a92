"""Extended query tags: more attributes to search by, added by an operation that indexes what is stored.

The tags are private ones of this run, so that nothing else has a value for them; they are removed at its end.
"""

from __future__ import annotations

import itertools
import secrets
import time
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.contract.differences import Difference, equal, expect
from tests.contract.service import Service
from tests.contract.sources import AZURE_TAGS, OPEN_SOURCE
from tests.kit.dicomweb_messages import values
from tests.kit.files import Sample

pytestmark = [pytest.mark.source(AZURE_TAGS), pytest.mark.needs("extended-query-tags")]

CREATOR = "dicom-dropbox contract"
RESERVATION = {0x00770010: ("LO", CREATOR.encode())}
OPERATION_SECONDS = 150
LONGEST_PAUSE_SECONDS = 5.0
_NUMBERS = itertools.count(0x00771000 + secrets.randbelow(200))


@dataclass(frozen=True)
class Tag:
    """A private tag of the block that CREATOR reserves."""

    number: int
    vr: str

    @property
    def path(self) -> str:
        """Return its eight digits."""
        return f"{self.number:08X}"

    def body(self) -> list[dict[str, str]]:
        """Return what adds it, at the level of studies."""
        return [{"path": self.path, "vr": self.vr, "privateCreator": CREATOR, "level": "Study"}]


class Tags:
    """The extended query tags of a service."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.url = f"{service.version_url}/extendedquerytags"

    def add(self, tag: Tag) -> httpx.Response:
        """Ask for a tag, which is removed at the end."""
        self.service.made.note(self.service.http, f"{self.url}/{tag.path}")
        return self.service.http.post(self.url, json=tag.body())

    def index(self, tag: Tag) -> dict[str, Any]:
        """Add a tag and return the operation once it has ended."""
        return self.ended(expect(self.add(tag), 202).headers["Location"])

    def ended(self, operation: str) -> dict[str, Any]:
        """Return an operation once it has ended."""
        deadline, pause = time.monotonic() + OPERATION_SECONDS, 0.05
        while (response := expect(self.service.get(operation), 200, 202)).status_code == 202:
            if time.monotonic() > deadline:
                raise Difference(f"an operation that ends in {OPERATION_SECONDS} s", "it goes on")
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        return {key.lower(): value for key, value in response.json().items()}

    def get(self, tag: Tag) -> dict[str, Any]:
        """Return what a tag is."""
        response = expect(self.service.get(f"{self.url}/{tag.path}"), 200)
        return {key.lower(): value for key, value in response.json().items()}

    def set_query_status(self, tag: Tag, status: str) -> httpx.Response:
        """Forbid or allow searches."""
        return self.service.http.patch(f"{self.url}/{tag.path}", json={"queryStatus": status})


@pytest.fixture(scope="module")
def tags(service: Service) -> Tags:
    """The service's extended query tags."""
    return Tags(service)


def new_tag(vr: str = "LO") -> Tag:
    """Return a tag that no other test takes."""
    return Tag(next(_NUMBERS), vr)


def with_value(tag: Tag, value: bytes, vr: str | None = None) -> Sample:
    """Return a sample with a value for the tag."""
    return Sample(elements={**RESERVATION, tag.number: (vr or tag.vr, value)})


@pytest.fixture(scope="module")
def before() -> Sample:
    """What is stored before the tag is added."""
    return Sample()


@pytest.fixture(scope="module")
def indexed(service: Service, tags: Tags, before: Sample) -> Tag:
    """A tag that was added after an instance with a value for it was stored."""
    tag = new_tag()
    before.elements.update(with_value(tag, b"contract").elements)
    service.stored(before)
    tags.index(tag)
    return tag


def test_operation(tags: Tags) -> None:
    """Adding a tag is 202 with a reference to an operation, in Location too; the operation reindexes and succeeds."""
    accepted = expect(tags.add(new_tag("IS")), 202)
    reference = {key.lower(): value for key, value in accepted.json().items()}
    equal("Location", accepted.headers.get("Location"), reference.get("href"))
    operation = tags.ended(accepted.headers["Location"])
    equal("id", operation["operationid"], reference["id"])
    equal("type, status", (operation["type"].lower(), operation["status"].lower()), ("reindex", "succeeded"))


def test_unknown_operation(service: Service) -> None:
    """An operation that does not exist is 404."""
    expect(service.get(f"{service.version_url}/operations/{secrets.token_hex(16)}"), 404)


def test_an_indexed_tag(tags: Tags, indexed: Tag) -> None:
    """A tag whose operation has ended is Ready and Enabled, and shown as it was asked for."""
    shown = tags.get(indexed)
    expected = {"path": indexed.path, "vr": "LO", "level": "Study", "status": "Ready", "querystatus": "Enabled"}
    equal("tag", {key: shown.get(key) for key in expected}, expected)


def test_search(service: Service, before: Sample, indexed: Tag) -> None:
    """Studies are found by a tag whether they were stored before or after it was added; it is in the results."""
    after = with_value(indexed, b"contract")
    service.stored(after)
    found = service.search(f"/studies?{indexed.path}=contract")
    equal("studies", sorted(values(study, "0020000D")[0] for study in found), sorted([before.study, after.study]))
    equal("values", [values(study, indexed.path) for study in found], [["contract"]] * 2)


def test_level(service: Service, before: Sample, indexed: Tag) -> None:
    """A tag of studies is 400 where the path names the study."""
    expect(service.get(f"{before.study_path}/series?{indexed.path}=contract"), 400)


def test_added_twice(tags: Tags, indexed: Tag) -> None:
    """A tag that is there is 409."""
    expect(tags.add(indexed), 409)


def test_query_status(service: Service, tags: Tags, indexed: Tag) -> None:
    """Searches by a tag are 400 once it is Disabled, until it is Enabled."""
    expect(tags.set_query_status(indexed, "Disabled"), 200)
    expect(service.get(f"/studies?{indexed.path}=contract"), 400)
    expect(tags.set_query_status(indexed, "Enabled"), 200)
    expect(service.get(f"/studies?{indexed.path}=contract"), 200)


def test_errors(service: Service, tags: Tags) -> None:
    """A tag that some instance cannot be indexed by is Disabled; once Enabled, searches by it name it in a header."""
    tag = new_tag("AS")
    service.stored(with_value(tag, b"very old indeed", "LO"))
    tags.index(tag)
    equal("query status", tags.get(tag).get("querystatus"), "Disabled")
    equal("errors", len(expect(service.get(f"{tags.url}/{tag.path}/errors"), 200).json()), 1)
    expect(service.get(f"/studies?{tag.path}=035Y"), 400)
    expect(tags.set_query_status(tag, "Enabled"), 200)
    response = expect(service.get(f"/studies?{tag.path}=035Y"), 204)
    equal("erroneous-dicom-attributes", response.headers.get("erroneous-dicom-attributes"), tag.path)


def test_removal(service: Service, tags: Tags) -> None:
    """A removed tag is 204, then 404, and searches by it are 400."""
    tag = new_tag()
    tags.index(tag)
    expect(service.get(f"/studies?{tag.path}=contract"), 204)
    expect(service.http.delete(f"{tags.url}/{tag.path}"), 204)
    expect(service.get(f"{tags.url}/{tag.path}"), 404)
    expect(service.get(f"/studies?{tag.path}=contract"), 400)


@pytest.mark.parametrize(
    "body",
    [
        [],
        [{"path": "00771001", "vr": "LO", "level": "Study"}],
        [{"path": "00771001", "vr": "LT", "privateCreator": CREATOR, "level": "Study"}],
        [{"path": "PatientSex", "level": "Patient"}],
        [{"path": "PatientName", "level": "Study"}],
        [{"path": "PixelData", "level": "Instance"}],
        [{"path": "Nonsense", "level": "Study"}],
        [{"level": "Study"}],
        [{"path": "PatientSex", "level": "Study", "vr": "LO"}],
        [{"path": "PatientSex", "level": "Study", "privateCreator": CREATOR}],
        [{"path": "RequestAttributesSequence", "level": "Series"}],
        [{"path": "00771001", "vr": "LO", "privateCreator": "A" * 65, "level": "Study"}],
        [{"path": "PatientSex", "level": "Study"}, {"path": "00100040", "level": "Series"}],
    ],
    ids=[
        "none",
        "no private creator",
        "VR",
        "level",
        "searchable as it is",
        "pixels",
        "path",
        "no path",
        "VR of another tag",
        "creator of a standard tag",
        "sequence",
        "long creator",
        "twice",
    ],
)
@pytest.mark.source(OPEN_SOURCE)
def test_bad_bodies(service: Service, tags: Tags, body: list[dict[str, str]]) -> None:
    """Tags that cannot be, or are searchable as it is, are 400."""
    expect(service.http.post(tags.url, json=body), 400)


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "offset=-1"])
@pytest.mark.source(OPEN_SOURCE)
def test_bad_pages(service: Service, tags: Tags, query: str) -> None:
    """The list of tags knows the limits of a search."""
    expect(service.get(f"{tags.url}?{query}"), 400)
