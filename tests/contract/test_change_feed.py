"""The change feed, an extension of the service: what was created and deleted, and what has become of it (API v2).

The feed is the whole service's: each test looks for what it did itself, in a window that begins with it.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from tests.contract.differences import contains, equal, expect
from tests.contract.feed import PAGE, Feed, story
from tests.contract.service import Service
from tests.contract.sources import AZURE_CHANGE_FEED, OPEN_SOURCE
from tests.kit.dicomweb_messages import values
from tests.kit.files import Sample

pytestmark = pytest.mark.source(AZURE_CHANGE_FEED)


@pytest.fixture
def feed(service: Service) -> Feed:
    """The change feed since the test began."""
    return Feed(service)


def test_creations_in_order(service: Service, feed: Feed) -> None:
    """Each stored instance has an entry with its UIDs, in the order of sequence and time; its state is current."""
    samples = [Sample() for _ in range(3)]
    service.stored(*samples)
    entries = feed.entries(*samples)
    uids = [(entry["studyinstanceuid"], entry["seriesinstanceuid"], entry["sopinstanceuid"]) for entry in entries]
    equal("UIDs", uids, [(sample.study, sample.series, sample.sop) for sample in samples])
    equal("actions and states", story(entries), [("create", "current")] * 3)
    sequences = [entry["sequence"] for entry in entries]
    equal("order of sequence", sequences, sorted(sequences))


@pytest.mark.source(OPEN_SOURCE)
@pytest.mark.disputed("Azure docs write the keys in PascalCase")
def test_keys(service: Service) -> None:
    """The keys of an entry are in camelCase, its action and state in PascalCase."""
    service.stored(Sample())
    entry = expect(service.get(f"{service.version_url}/changefeed/latest"), 200).json()
    keys = ("sequence", "partitionName", "studyInstanceUid", "seriesInstanceUid", "sopInstanceUid", "action")
    contains("keys", entry, *keys, "timestamp", "state")
    contains("actions", ("Create", "Delete", "Update"), entry["action"])


@pytest.mark.needs("no-partitions")
def test_default_partition(service: Service, feed: Feed) -> None:
    """Without partitions the name of the partition is Microsoft.Default."""
    sample = Sample()
    service.stored(sample)
    equal("partition", [entry["partitionname"] for entry in feed.entries(sample)], ["Microsoft.Default"])


def test_states(service: Service, feed: Feed) -> None:
    """States are those of the present: created, deleted and created again is replaced, replaced, current."""
    sample = Sample()
    service.stored(sample)
    expect(service.delete(sample.path), 204)
    equal("once deleted", story(feed.entries(sample)), [("create", "deleted"), ("delete", "deleted")])
    service.stored(sample)
    expected = [("create", "replaced"), ("delete", "replaced"), ("create", "current")]
    equal("once stored again", story(feed.entries(sample)), expected)


@pytest.mark.source(OPEN_SOURCE)
def test_metadata_of_the_present(service: Service, feed: Feed) -> None:
    """The metadata of an older entry are those of what is there now."""
    sample = Sample()
    service.stored(sample)
    expect(service.delete(sample.path), 204)
    service.stored(Sample(sample.study, sample.series, sample.sop, {0x00100020: ("LO", b"LATER")}))
    shown = [values(entry.get("metadata") or {}, "00100020") for entry in feed.entries(sample)]
    equal("PatientID in each entry", shown, [["LATER"]] * 3)


@pytest.mark.source(OPEN_SOURCE)
def test_deleted_study(service: Service, feed: Feed) -> None:
    """Deleting a study has an entry for each of its instances."""
    one = Sample()
    service.stored(one, one.sibling())
    expect(service.delete(one.study_path), 204)
    equal("actions", [action for action, _ in story(feed.entries(one))], ["create"] * 2 + ["delete"] * 2)


def test_window(service: Service, feed: Feed) -> None:
    """A window includes its start and excludes its end; any offset from UTC may be given."""
    samples = [Sample(), Sample()]
    service.stored(*samples)
    first, second = feed.entries(*samples)
    found = feed.read(startTime=first["timestamp"], endTime=second["timestamp"], limit=PAGE)
    sequences = [entry["sequence"] for entry in found]
    equal("first entry is in", first["sequence"] in sequences, True)
    equal("second entry is in", second["sequence"] in sequences, False)
    elsewhere = datetime.fromisoformat(second["timestamp"]).astimezone(timezone(timedelta(hours=5, minutes=30)))
    found = feed.read(startTime=first["timestamp"], endTime=elsewhere.isoformat(), limit=PAGE)
    equal("entries before the same time at +05:30", [entry["sequence"] for entry in found], sequences)


def test_offset(service: Service, feed: Feed) -> None:
    """An offset skips entries of the window; past its end there are none: 200 and an empty array."""
    samples = [Sample(), Sample()]
    service.stored(*samples)
    first, second = feed.entries(*samples)
    window = {"startTime": first["timestamp"], "endTime": after(second["timestamp"])}
    sequences = [entry["sequence"] for entry in feed.read(**window)]
    equal("without the first", [entry["sequence"] for entry in feed.read(**window, offset=1)], sequences[1:])
    equal("no more than the limit", [entry["sequence"] for entry in feed.read(**window, limit=1)], sequences[:1])
    equal("past the end", feed.read(**window, offset=1000), [])


def after(timestamp: str) -> str:
    """Return the next microsecond: a window that ends later would still be growing on a busy service."""
    return (datetime.fromisoformat(timestamp) + timedelta(microseconds=1)).isoformat()


def test_metadata(service: Service, feed: Feed) -> None:
    """Entries of what is there hold its metadata unless it is not wanted; those of what is deleted hold none."""
    sample = Sample()
    service.stored(sample)
    (entry,) = feed.entries(sample)
    equal("PatientID", values(entry.get("metadata") or {}, "00100020"), ["ID1"])
    without = feed.read(startTime=entry["timestamp"], includeMetadata="false", limit=PAGE)
    equal("metadata where it is not wanted", [found.get("metadata") for found in without], [None] * len(without))
    expect(service.delete(sample.path), 204)
    equal("metadata once deleted", [found.get("metadata") for found in feed.entries(sample)], [None, None])


def test_latest(service: Service, feed: Feed) -> None:
    """The latest entry is one that is not older than one's own."""
    sample = Sample()
    service.stored(sample)
    (entry,) = feed.entries(sample)
    latest = expect(service.get(f"{service.version_url}/changefeed/latest?includeMetadata=false"), 200).json()
    sequence = {key.lower(): value for key, value in latest.items()}["sequence"]
    equal("not older", sequence >= entry["sequence"], True)


@pytest.mark.parametrize(
    "query",
    [
        "?startTime=yesterday",
        "?startTime=",
        "?startTime=2024-02-30T00:00:00Z",
        "?startTime=2024-01-01T00:00:00",
        "?startTime=2024-01-01T00:00:00%2B15:00",
        "?startTime=2024-01-01T00:00:00+01:00",  # not encoded, it is a blank
        "?endTime=2024-01-01T00:00:00.1234567",
        "?startTime=2024-01-01T00:00:00Z&endTime=2024-01-01T00:00:00Z",
        "?startTime=2024-01-01T00:00:00Z&endTime=2024-01-01T01:00:00%2B01:00",
        "?startTime=2024-01-02T00:00:00Z&endTime=2024-01-01T00:00:00Z",
        "?limit=0",
        "?limit=-1",
        "?limit=201",
        "?limit=ten",
        "?limit=",
        "?offset=-1",
        "?offset=9223372036854775808",
        "?offset=1.5",
        "?includeMetadata=0",
        "?includeMetadata=maybe",
        "/latest?includeMetadata=0",
    ],
)
@pytest.mark.source(OPEN_SOURCE)
def test_bad_parameters(service: Service, query: str) -> None:
    """Times without a zone, empty and reversed windows, and what is no number or boolean in range, are 400."""
    response = expect(service.get(f"{service.version_url}/changefeed{query}"), 400)
    equal("media type", response.headers["Content-Type"].partition(";")[0], "text/plain")
