"""The policy with its lists, read from a real storage account: what they say, and what may be wrong with them."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, suppress
from datetime import UTC, date, datetime, timedelta
from threading import Barrier, BrokenBarrierError
from urllib.parse import unquote, urlsplit

import pytest
from azure.storage.blob import BlobServiceClient

from purge_study.ledger.hashing import Hasher
from purge_study.ledger.row import Patient, Reading, Row, StudyKey
from purge_study.policy.dates import UNCLEAR
from purge_study.policy.reading import TOO_LARGE
from purge_study.records.restored import Restored, write_restored
from purge_study.rulebook.cache import ParseCache, Parser
from purge_study.rulebook.reading import is_stopped, is_unchanged, read_rulebook
from purge_study.rulebook.rulebook import Rulebook, RulebookFault
from shared import clock
from shared.clients import Clients
from shared.dicomweb import DICOMwebClient
from shared.settings import OWN_CONTAINERS, RETENTION_POLICY, RETENTION_RECORDS, load
from tests.kit.connection_strings import through
from tests.kit.gateway import Fault, Gateway, Moment

Put = Callable[[str, str | bytes | None], None]
HASHER = Hasher("the key of these tests")
HOLDS, DATES = "holds/litigation.csv", "anchors/last_contact.csv"
POLICY = f"""
[policy]
time_zone = "Europe/Paris"

[[rule]]
name = "everything"
keep_years = 8
from = ["study_date", "last seen"]

[[hold]]
name = "litigation"
list = "{HOLDS}"

[[anchor]]
name = "last seen"
list = "{DATES}"
max_age_days = 7
"""
GOOD = {
    "policy.toml": POLICY,
    HOLDS: "study_instance_uid;patient_id\n1.2.3;\n;0012\n#end;2\n",
    DATES: "patient_id,date\nP1,2020-02-03\n",
}
IN_FUTURE = (
    "policy, received_counts_from: it lies in the future, and until then no reception would count: write the day on "
    "which the migration ended"
)
POLICY_READ, FIRST_LIST_READ, RESTORED_LISTED = 1, 2, 4  # of the requests that reading makes


@pytest.fixture(scope="module")
def storage(azurite: str) -> Iterator[BlobServiceClient]:
    """The account, with the app's containers."""
    with BlobServiceClient.from_connection_string(azurite) as storage:
        for name in OWN_CONTAINERS:
            if not storage.get_container_client(name).exists():
                storage.create_container(name)
        yield storage


@pytest.fixture(scope="module")
def gateway(storage: BlobServiceClient) -> Iterator[Gateway]:
    """The way to it, which can fail."""
    with Gateway(storage.url.rstrip("/")) as gateway:
        yield gateway


@pytest.fixture
async def clients(azurite: str, gateway: Gateway) -> AsyncIterator[Clients]:
    """What the app works with, by that way."""
    way = through(azurite, blob=gateway.urls[0], queue="http://127.0.0.1:1/queues")
    settings = load({"DICOM_SERVICE_URL": "http://127.0.0.1:1/v2", "DICOM_STORAGE": way})
    async with aclosing(Clients.over(settings, DICOMwebClient(settings.dicom_service_url))) as clients:
        gateway.begin()
        yield clients


@pytest.fixture
def put(storage: BlobServiceClient) -> Put:
    container = storage.get_container_client(RETENTION_POLICY)

    def put(name: str, content: str | bytes | None) -> None:
        if content is None:
            container.delete_blob(name)
        else:
            container.upload_blob(name, content, overwrite=True)

    for name in container.list_blob_names():
        container.delete_blob(name)
    records = storage.get_container_client(RETENTION_RECORDS)
    for name in records.list_blob_names(name_starts_with="restored/"):
        records.delete_blob(name)
    for name, content in GOOD.items():
        put(name, content)
    return put


def study(uid: str, patient_id: str = "") -> Row:
    return Row(StudyKey("site-a", uid), reading=Reading({}, HASHER.patient(patient_id), frozenset(), 1, None))


def patient(patient_id: str) -> Patient | None:
    return HASHER.patient(patient_id)


async def test_what_it_says(clients: Clients, put: Put) -> None:
    """Whom it holds, by the names of the lists, and which dates it has."""
    rulebook = await read_rulebook(clients, HASHER)
    assert [rulebook.holds_on(study(uid)) for uid in ("1.2.3", "1.2.4")] == [("litigation",), ()]
    assert rulebook.holds_on(study("1.2.4", "12")) == ("litigation",)
    assert rulebook.anchors_of(patient("P1")) == {"last seen": date(2020, 2, 3)}
    assert (rulebook.anchors_of(patient("P2")), rulebook.anchors_of(None)) == ({}, {"last seen": UNCLEAR})
    assert list(rulebook.hashes) == list(rulebook.etags) == ["policy.toml", HOLDS, DATES]


async def test_its_hashes(clients: Clients, put: Put) -> None:
    """Equal contents, equal hash; a list changes that of all, not the policy's own."""
    first = await read_rulebook(clients, HASHER)
    put(HOLDS, GOOD[HOLDS])
    again = await read_rulebook(clients, HASHER)
    put(DATES, GOOD[DATES] + "P2,2020-01-01\n")
    other = await read_rulebook(clients, HASHER)
    assert first.hash == again.hash != other.hash
    assert first.policy_hash == other.policy_hash == other.hashes["policy.toml"]


MISSING, REFUSED, NO_DATE = (
    "there is no such blob",
    "storage does not give it",
    "line 2: it has no date, such as 2026-03-05",
)
SOON, UNFINISHED = "patient_id,date\nCANARY,soon\n", f"{HOLDS}: #end says 2 lines, but there are 1"
MIGRATING = '[policy]\ntime_zone = "Pacific/Kiritimati"\nreceived_counts_from = 2126-01-01\n'
BOTH = [f"{HOLDS}: {REFUSED}", f"{DATES}: {REFUSED}"]
ALL_WRONG = [f"{HOLDS}: {MISSING}", f"{DATES}, {NO_DATE}", f"{DATES}: #end says 2 lines, but there are 1"]


def refused(at: int, status: int = 403, times: int = 1) -> Fault:
    return Fault(at, Moment.BEFORE, status, times=times)


@pytest.mark.parametrize(
    ("written", "fault", "code", "problems"),
    [
        ({"policy.toml": None}, None, "no_policy", [MISSING]),
        ({}, refused(POLICY_READ, 404), "no_policy", [MISSING]),
        ({}, refused(POLICY_READ), "policy_unreadable", [REFUSED]),
        ({"policy.toml": "[policy"}, None, "policy_invalid", None),
        ({"policy.toml": MIGRATING}, None, "policy_invalid", [IN_FUTURE]),
        ({"policy.toml": b"#" * (64 * 1024 + 1)}, None, "policy_invalid", [TOO_LARGE]),
        ({HOLDS: None}, None, "list_unreadable", [f"{HOLDS}: {MISSING}"]),
        ({}, refused(FIRST_LIST_READ, times=2), "list_unreadable", BOTH),
        ({}, refused(RESTORED_LISTED), "list_unreadable", ["restored/: storage does not list it"]),
        ({DATES: SOON}, None, "list_invalid", [f"{DATES}, {NO_DATE}"]),
        ({HOLDS: "patient_id\nCANARY\n#end,2\n"}, None, "list_unfinished", [UNFINISHED]),
        ({HOLDS: None, DATES: f"{SOON}#end,2\n"}, None, "list_unreadable", ALL_WRONG),
    ],
)
async def test_faults(
    clients: Clients,
    gateway: Gateway,
    put: Put,
    written: dict[str, str | bytes | None],
    fault: Fault | None,
    code: str,
    problems: list[str] | None,
) -> None:
    """Each by its code, with all that is wrong with any list; no value is told, and the text has no name."""
    for name, content in written.items():
        put(name, content)
    gateway.begin(fault)
    with pytest.raises(RulebookFault) as raised:
        await read_rulebook(clients, HASHER)
    assert (raised.value.code, str(raised.value)) == (code, code)
    assert problems is None or raised.value.problems == problems


@pytest.mark.parametrize("cache", [None, ParseCache()], ids=["read", "cached"])
async def test_a_list_that_is_too_old(
    clients: Clients, put: Put, monkeypatch: pytest.MonkeyPatch, cache: ParseCache | None
) -> None:
    for hours in (7 * 24 - 1, 7 * 24 + 1):
        later = datetime.now(UTC) + timedelta(hours=hours)
        monkeypatch.setattr(clock, "now", lambda later=later: later)
        if hours < 7 * 24:
            await read_rulebook(clients, HASHER, cache)
    with pytest.raises(RulebookFault, match="list_too_old") as raised:
        await read_rulebook(clients, HASHER, cache)
    assert raised.value.problems == [f"{DATES}: it was written more than 7 days ago"]


async def test_a_list_replaced_while_it_is_read(clients: Clients, gateway: Gateway, put: Put) -> None:
    long = GOOD[HOLDS].partition("#end")[0] + "9.9;\n" * 300_000
    put(HOLDS, long)
    gateway.begin(Fault(FIRST_LIST_READ + 1, Moment.BEFORE, meanwhile=lambda: put(HOLDS, long[:-5])))
    with pytest.raises(RulebookFault, match="list_unreadable"):
        await read_rulebook(clients, HASHER)


@pytest.mark.parametrize("cache", [None, ParseCache()], ids=["read", "cached"])
async def test_one_blob_for_two_lists_replaced_between(
    clients: Clients, gateway: Gateway, put: Put, cache: ParseCache | None
) -> None:
    """Both are the same version, or nothing is deleted."""
    put("policy.toml", f'{POLICY}\n[[hold]]\nname = "again"\nlist = "{HOLDS}"\n')
    await read_rulebook(clients, HASHER, cache)
    gateway.begin(Fault(FIRST_LIST_READ + 1, Moment.BEFORE, meanwhile=lambda: put(HOLDS, "patient_id\n")))
    with pytest.raises(RulebookFault, match="list_unreadable") as raised:
        await read_rulebook(clients, HASHER, cache)
    assert raised.value.problems == [f"{HOLDS}: it changed while it was read"]


def versions_named(gateway: Gateway) -> dict[str, list[bool]]:
    found: dict[str, list[bool]] = {}
    for step in gateway.steps:
        _, _, container, *names = urlsplit(step.path).path.split("/")
        if container == RETENTION_POLICY:
            found.setdefault(unquote("/".join(names)), []).append("if-none-match" in step.headers)
    return found


async def test_a_cache_holds_so_many_lines(clients: Clients, gateway: Gateway, put: Put) -> None:
    cache = ParseCache(most_lines=2)
    rulebook = await read_rulebook(clients, HASHER, cache)
    gateway.begin()
    again = await read_rulebook(clients, HASHER, cache)
    assert versions_named(gateway) == {"policy.toml": [True], HOLDS: [True], DATES: [True]}
    assert again.anchors["last seen"] is rulebook.anchors["last seen"]
    del rulebook, again
    gc.collect()  # what pytest holds of a frame may be in a cycle
    gateway.begin()
    await read_rulebook(clients, HASHER, cache)
    assert versions_named(gateway) == {"policy.toml": [True], HOLDS: [True], DATES: [False]}


async def test_a_cache_forgets_what_the_policy_names_no_more(clients: Clients, gateway: Gateway, put: Put) -> None:
    cache = ParseCache(most_lines=2)
    await read_rulebook(clients, HASHER, cache)
    put("policy.toml", POLICY.replace("holds/litigation.csv", "holds/new.csv"))
    put("holds/new.csv", "study_instance_uid\n")
    for known in (False, True):
        gateway.begin()
        await read_rulebook(clients, HASHER, cache)
        assert versions_named(gateway)["anchors/last_contact.csv"] == [known]


async def test_a_cache_tells_keys_apart(clients: Clients, put: Put) -> None:
    cache, other = ParseCache(), Hasher("another key")
    await read_rulebook(clients, HASHER, cache)
    rulebook = await read_rulebook(clients, other, cache)
    row = Row(StudyKey("site-a", "1.2.4"), reading=Reading({}, other.patient("12"), frozenset(), 1, None))
    assert rulebook.holds_on(row) == ("litigation",)
    assert rulebook.anchors_of(other.patient("P1")) == {"last seen": date(2020, 2, 3)}


async def test_readings_at_once_parse_each_version_once(clients: Clients, gateway: Gateway, put: Put) -> None:
    cache = ParseCache()
    rulebooks = await asyncio.gather(*(read_rulebook(clients, HASHER, cache) for _ in range(4)))
    for requests in versions_named(gateway).values():
        assert sorted(requests) == [False, True, True, True]
    assert len({id(rulebook.holds["litigation"]) for rulebook in rulebooks}) == 1
    assert len({rulebook.hash for rulebook in rulebooks}) == 1


async def test_two_lists_are_not_parsed_at_once(clients: Clients, put: Put) -> None:
    cache, both, together = ParseCache(), Barrier(2), list[bool]()

    def parse(content: bytes) -> Meeting:
        with suppress(BrokenBarrierError):
            both.wait(1)
            together.append(True)
        return Meeting()

    async def read(name: str) -> None:
        blob = clients.container(RETENTION_POLICY).get_blob_client(name)
        assert await cache.read(blob, Parser("meeting", parse, 1000), lambda version: None)

    await asyncio.gather(read(HOLDS), read(DATES))
    assert not together


class Meeting:
    """What a parser of these tests returns."""


async def test_a_large_list_that_changed(clients: Clients, gateway: Gateway, put: Put) -> None:
    cache = ParseCache()
    await read_rulebook(clients, HASHER, cache)
    long = GOOD[HOLDS].partition("#end")[0] + "9.9;\n" * 300_000
    put(HOLDS, long)
    gateway.begin()
    rulebook = await read_rulebook(clients, HASHER, cache)
    assert len(rulebook.holds["litigation"].lines) == 300_002
    assert versions_named(gateway)[HOLDS] == [True, True]


async def test_storage_that_fails_in_between(clients: Clients, gateway: Gateway, put: Put) -> None:
    cache = ParseCache()
    await read_rulebook(clients, HASHER, cache)
    for at, code in ((POLICY_READ, "policy_unreadable"), (FIRST_LIST_READ, "list_unreadable")):
        gateway.begin(Fault(at, Moment.BEFORE, 403))
        with pytest.raises(RulebookFault, match=code):
            await read_rulebook(clients, HASHER, cache)
    gateway.begin()
    await read_rulebook(clients, HASHER, cache)


async def test_a_stop(clients: Clients, gateway: Gateway, put: Put) -> None:
    """A blob of this name, whatever it holds; if that cannot be told, it counts as one."""
    assert not await is_stopped(clients)
    gateway.begin(Fault(1, Moment.BEFORE, 403))
    assert await is_stopped(clients)
    gateway.begin()
    put("STOP", b"")
    assert await is_stopped(clients)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda put: None, True),
        (lambda put: put("holds/old.csv", "beside"), True),
        (lambda put: put(HOLDS, GOOD[HOLDS]), False),
        (lambda put: put("policy.toml", POLICY), False),
        (lambda put: put(DATES, None), False),
        (lambda put: put("STOP", b""), False),
    ],
)
async def test_whether_it_stands_still(
    clients: Clients, gateway: Gateway, put: Put, change: Callable[[Put], None], expected: bool
) -> None:
    rulebook = await read_rulebook(clients, HASHER)
    change(put)
    gateway.begin()
    assert await is_unchanged(clients, rulebook) is expected
    assert len(gateway.steps) == 1


async def test_whether_it_stands_cannot_be_told(clients: Clients, gateway: Gateway, put: Put) -> None:
    rulebook = await read_rulebook(clients, HASHER)
    gateway.begin(Fault(1, Moment.BEFORE, 403))
    assert not await is_unchanged(clients, rulebook)


async def held(clients: Clients, keys: list[StudyKey]) -> list[tuple[str, ...]]:
    rulebook: Rulebook = await read_rulebook(clients, HASHER)
    return [rulebook.holds_on(Row(key)) for key in keys]


async def test_restored_studies(
    clients: Clients, storage: BlobServiceClient, gateway: Gateway, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are held until their last day is over; where it cannot be read which one that is, they are as well."""
    keys = [StudyKey("site-a", uid) for uid in ("1.1", "1.2", "1.3", "1.4")]
    now = datetime(2026, 3, 5, 12, tzinfo=UTC)
    await write_restored(clients, keys[0], Restored.at(now, "d1", "x"))
    await write_restored(clients, keys[1], Restored.at(now - timedelta(days=32), "d2", "x"))
    records = storage.get_container_client(RETENTION_RECORDS)
    records.upload_blob("restored/site-a/1.3/d3/an id.json", json.dumps({"until": "soon"}))
    await write_restored(clients, keys[3], Restored.at(now - timedelta(days=99), "d4", "x"))
    await write_restored(clients, keys[3], Restored.at(now - timedelta(days=32), "d4", "x"))
    monkeypatch.setattr(clock, "now", lambda: now)
    assert await held(clients, keys) == [("restored",), (), ("restored",), ()]
    gateway.begin(Fault(RESTORED_LISTED + 1, Moment.BEFORE, 403, times=3))
    assert await held(clients, keys) == [("restored",), ("restored",), ("restored",), ()]
    # One call of several is enough, in whatever order they stand.
    await write_restored(clients, keys[3], Restored.at(now - timedelta(days=1), "d3", "x"))
    gateway.begin()
    assert await held(clients, keys) == [("restored",), (), ("restored",), ("restored",)]
    assert await held(clients, [StudyKey("site-b", "1.1")]) == [()]
