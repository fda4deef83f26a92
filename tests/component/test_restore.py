"""Studies put back from the vault: over HTTP, on a real storage account, into a real (local) DICOM service."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

import pytest
from azure.core.exceptions import HttpResponseError

from local.azurite import Azurite
from purge_study.executing import execute
from purge_study.executing.looking import Seen, read_contents
from purge_study.executing.reasons import Changed
from purge_study.executing.record import intent_of
from purge_study.executing.warrant import Warrant
from purge_study.ledger.hashing import Hasher
from purge_study.ledger.ledger import Ledger
from purge_study.ledger.reading import read_study
from purge_study.ledger.row import Row, StudyKey
from purge_study.policy.policy import needed_keywords
from purge_study.records.restored import (
    HELD_DAYS,
    RESTORED,
    Restored,
    holds_of_restore,
    read_restored,
    write_restored,
)
from purge_study.records.tombstones import read_tombstone_of
from purge_study.records.vaulted import manifest_name
from purge_study.requests import restoring
from purge_study.rulebook.judging import judge_row
from purge_study.rulebook.rulebook import Rulebook
from purge_study.run import Run
from shared import clock
from shared.arrivals import Arrival, Door, name_of_restored
from shared.dicomweb import Body
from shared.dicomweb.partitions import DEFAULT_PARTITION
from shared.queues import ARRIVALS, Queues
from shared.settings import RETENTION_RECORDS, RETENTION_STATE, VAULT
from store_on_upload.ingest import Ingest
from store_on_upload.receipts.container import read_receipt
from store_on_upload.receipts.receipt import Disposition
from store_on_upload.reconcile import reconcile
from store_on_upload.upload import handle
from tests.kit import studies as retention
from tests.kit.connection_strings import endpoint, through
from tests.kit.deletions import LONG_AGO, item_of, of_long_ago
from tests.kit.files import Sample, untold
from tests.kit.gateway import Gateway, Step
from tests.kit.principals import principal
from tests.kit.purged import Purged
from tests.kit.retention_requests import APPROVED, Asked, asking, refusal
from tests.kit.runs import Recorded, run_messages
from tests.kit.service import running


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An account of this module's own: whether it adds up is asked of all of it."""
    with Azurite(tmp_path_factory.mktemp("restore"), in_memory=True) as running:
        yield running.connection_string


@pytest.fixture
async def asked(
    azurite: str, service: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Asked]:
    async with asking(azurite, service, monkeypatch, caplog) as asked:
        await Queues(asked.clients.queues).send(Arrival(("nothing.dcm",), Door.SWEEP))  # the queue is there from now on
        await asked.clients.queues.get_queue_client(ARRIVALS).clear_messages()
        yield asked


@pytest.fixture
def ingest(asked: Asked) -> Ingest:
    return Ingest.over(asked.clients)


async def drop(ingest: Ingest, sample: Sample) -> None:
    """Upload a file and have it handled."""
    name = f"{sample.sop}.dcm"
    await ingest.clients.inbox.get_blob_client(name).upload_blob(sample.content, overwrite=True)
    await handle(ingest, Arrival((name,), Door.BLOB))


async def verdict_on(ingest: Ingest, name: str) -> tuple[str | None, str | None]:
    document = await read_receipt(ingest.clients, name)
    assert document is not None
    return document.newest.verdict, document.newest.reason


async def stored(ingest: Ingest, sample: Sample) -> bytes:
    async with ingest.clients.dicom.retrieve_instance(
        study_instance_uid=sample.study, series_instance_uid=sample.series, sop_instance_uid=sample.sop
    ) as part:
        return b"".join([chunk async for chunk in part.chunks()])


async def purge(asked: Asked, ingest: Ingest, count: int = 2) -> Purged:
    first = Sample()
    samples = [first, *(first.sibling() for _ in range(count - 1))]
    for sample in samples:
        await drop(ingest, sample)
    purged = Purged.of(samples)
    await asked.leave(purged)
    await ingest.clients.dicom.delete_study(study_instance_uid=first.study)
    return purged


async def test_a_study_comes_back(asked: Asked, ingest: Ingest) -> None:
    purged = await purge(asked, ingest, 3)
    # This process knows the tombstone, and for a minute would not look again.
    assert await ingest.purged.has(None, purged.key.uid, look_again=True)
    response = await asked.restore(purged)
    prefix = name_of_restored(f"{purged.partition}/{purged.key.uid}/{purged.deletion_id}/")
    until = (datetime.now(UTC) + timedelta(hours=14)).date() + timedelta(days=HELD_DAYS)
    assert response.status_code == 202
    assert response.json() == {
        "study_instance_uid": purged.key.uid,
        "partition": purged.partition,
        "deletion_id": purged.deletion_id,
        "sent": 3,
        "held_until": until.isoformat(),
        "receipts": prefix,
    }
    assert await run_messages(ingest) == 3
    for sample in purged.instances:
        assert isinstance(sample, Sample)
        assert await stored(ingest, sample) == sample.content
        document = await read_receipt(ingest.clients, f"{prefix}{sample.series}/{sample.sop}.dcm")
        assert document is not None
        assert (document.newest.verdict, document.newest.partition) == ("stored", None)
        assert document.newest.sha256 == hashlib.sha256(sample.content).hexdigest()
        assert document.newest.disposition is Disposition.KEEP
        assert await asked.has(VAULT, purged.name_of(sample))
    assert await holds_of_restore(asked.clients, purged.key, until) == (RESTORED,)
    assert await holds_of_restore(asked.clients, purged.key, until + timedelta(days=1)) == ()
    assert not await asked.has(RETENTION_STATE, purged.pointer_name)
    assert await read_tombstone_of(asked.clients, purged.key, purged.deletion_id) == purged.tombstone()
    report = await reconcile(asked.clients, grace_seconds=0)
    assert (dict(report.differences), report.pending, report.purged) == ({}, 0, 0)


async def test_a_study_that_its_files_do_not_tell(asked: Asked, ingest: Ingest) -> None:
    sample = untold()
    await purge(asked, ingest, 1)
    purged = Purged.of([sample])
    for (container, name), content in purged.blobs().items():
        await asked.clients.container(container).upload_blob(name, content)
    await drop(ingest, sample)
    assert await verdict_on(ingest, f"{sample.sop}.dcm") == ("rejected", "study_unknown")
    assert (await asked.restore(purged)).status_code == 202
    await run_messages(ingest)
    assert await verdict_on(ingest, name_of_restored(purged.name_of(sample))) == ("stored", None)
    assert await stored(ingest, sample) == sample.content


async def test_twice_is_harmless(asked: Asked, ingest: Ingest) -> None:
    """A second call sends all again, which the service has by then; the receipts say stored, as before."""
    purged = await purge(asked, ingest)
    assert (await asked.restore(purged)).status_code == 202
    assert (await asked.restore(purged)).status_code == 202
    assert await run_messages(ingest) == 4
    for sample in purged.instances:
        assert await verdict_on(ingest, name_of_restored(purged.name_of(sample))) == ("stored", None)


async def test_what_was_deleted_after_a_restore_comes_back_again(asked: Asked, ingest: Ingest) -> None:
    purged = await purge(asked, ingest, 1)
    [sample] = purged.instances
    assert isinstance(sample, Sample)
    for _ in range(2):
        assert (await asked.restore(purged)).status_code == 202
        await run_messages(ingest)
        assert await stored(ingest, sample) == sample.content
        await ingest.clients.dicom.delete_study(study_instance_uid=sample.study)


@pytest.mark.parametrize("step", ["write_restored", "_check_no_intent", "remove_pointer", "_send"])
async def test_a_call_that_was_cut_off_is_finished_by_another(
    asked: Asked, ingest: Ingest, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    purged = await purge(asked, ingest)
    with monkeypatch.context() as patch:
        patch.setattr(restoring, step, _fails)
        assert refusal(await asked.restore(purged)) == (503, "storage-failed")
    is_held = await read_restored(asked.clients, purged.key) is not None
    assert is_held == (step != "write_restored")
    assert is_held or await asked.has(RETENTION_STATE, purged.pointer_name)
    assert (await asked.restore(purged)).status_code == 202
    assert await run_messages(ingest) == 2
    assert await asked.has(RETENTION_RECORDS, purged.tombstone_name)
    assert not await asked.has(RETENTION_STATE, purged.pointer_name)


async def _fails(*_: object) -> None:
    raise HttpResponseError


async def test_a_file_of_the_inbox_stays_out(asked: Asked, ingest: Ingest) -> None:
    purged = await purge(asked, ingest)
    before, after = Sample(study=purged.key.uid), Sample(study=purged.key.uid)
    await drop(Ingest.over(asked.clients), before)
    assert await verdict_on(ingest, f"{before.sop}.dcm") == ("rejected", "purged")
    assert (await asked.restore(purged)).status_code == 202
    await drop(Ingest.over(asked.clients), after)
    assert await verdict_on(ingest, f"{after.sop}.dcm") == ("stored", None)
    await run_messages(ingest)


async def test_what_is_deleted_again_meanwhile_stays_deleted(asked: Asked, ingest: Ingest) -> None:
    purged = await purge(asked, ingest, 1)
    assert (await asked.restore(purged)).status_code == 202
    await asked.leave(purged)
    assert await run_messages(ingest) == 1
    [sample] = purged.instances
    name = purged.name_of(sample)
    assert await verdict_on(ingest, name_of_restored(name)) == ("rejected", "purged")
    assert await asked.has(VAULT, name)
    # Asked for anew, the verdict is given anew.
    assert (await asked.restore(purged)).status_code == 202
    await run_messages(ingest)
    assert await verdict_on(ingest, name_of_restored(name)) == ("stored", None)


async def test_other_bytes_in_its_place_are_left_alone(asked: Asked, ingest: Ingest) -> None:
    purged = await purge(asked, ingest, 1)
    [sample] = purged.instances
    assert isinstance(sample, Sample)
    assert (await asked.restore(purged)).status_code == 202
    other = replace(sample, elements={0x00081030: ("LO", b"another one")})
    await ingest.clients.dicom.store_instance(Body.from_bytes(other.content))
    await run_messages(ingest)
    name = purged.name_of(sample)
    assert await verdict_on(ingest, name_of_restored(name)) == ("conflict", "other_bytes")
    assert await asked.has(VAULT, name)
    report = await reconcile(asked.clients, names=True, grace_seconds=0)
    assert not [one for names in report.names.values() for one in names if sample.sop in one]


async def test_an_outage_is_waited_for(asked: Asked, ingest: Ingest) -> None:
    purged = await purge(asked, ingest, 1)
    restored = Arrival((purged.name_of(purged.instances[0]),), Door.RESTORE, container=VAULT)
    await asked.put("dicom-control", "STOP", b"")
    stopped = replace(Ingest.over(asked.clients), queues=Recorded())
    try:
        await handle(stopped, restored)
    finally:
        await asked.clients.container("dicom-control").delete_blob("STOP")
    assert isinstance(stopped.queues, Recorded)
    [(later, delay)] = stopped.queues.sent
    assert (later, delay > 0) == (replace(restored, tries=1), True)


GOOD_BODY = b'{"requested_by": "A. Reader"}'
WRONG_KEY, INVALID_BODY, INVALID_NAME = (403, "wrong-approval-key"), (400, "invalid-body"), (400, "invalid-parameter")


@pytest.mark.parametrize(
    ("path", "key", "body", "expected"),
    [
        pytest.param("1.2.3/restore", {}, b"{", WRONG_KEY, id="no key"),
        pytest.param("1.2.3/restore", {"x-approval-key": ""}, b"{", WRONG_KEY, id="an empty key"),
        pytest.param("1.2.3/restore", {"x-approval-key": "another one, as long"}, b"{", WRONG_KEY, id="another key"),
        pytest.param("1.2.3/restore", APPROVED, b"", INVALID_BODY, id="no body"),
        pytest.param("1.2.3/restore", APPROVED, b"{}", INVALID_BODY, id="no name"),
        pytest.param("1.2.3/restore", APPROVED, b'{"requested_by": ""}', INVALID_BODY, id="an empty name"),
        pytest.param("1.2.3/restore", APPROVED, b'{"requested_by": 1}', INVALID_BODY, id="a name that is a number"),
        pytest.param("1.2.3/restore", APPROVED, b'{"requested_by": "A", "x": 1}', INVALID_BODY, id="another field"),
        pytest.param("canary_/restore", APPROVED, GOOD_BODY, INVALID_NAME, id="no UID"),
        pytest.param("1.2.3/restore?partition=a/b", APPROVED, GOOD_BODY, INVALID_NAME, id="no partition"),
    ],
)
async def test_a_request_is_refused(
    asked: Asked, path: str, key: dict[str, str], body: bytes, expected: tuple[int, str]
) -> None:
    assert refusal(await asked.http.post(f"retention/vault/{path}", headers=key, content=body)) == expected


async def test_a_study_that_was_not_deleted(asked: Asked, ingest: Ingest) -> None:
    purged = Purged.of([Sample()])
    assert refusal(await asked.restore(purged)) == (404, "not-in-vault")
    await asked.leave(purged)
    await asked.clients.container(RETENTION_STATE).delete_blob(purged.pointer_name)
    assert refusal(await asked.restore(purged)) == (404, "not-in-vault")
    assert await run_messages(ingest) == 0


async def test_a_study_without_a_copy(asked: Asked, ingest: Ingest) -> None:
    bare, expired = await purge(asked, ingest), await purge(asked, ingest)
    none = bare.tombstone() | {"vault": None, "restorable_until": None}
    await asked.put(RETENTION_RECORDS, bare.tombstone_name, json.dumps(none).encode())
    for container, name in expired.blobs():
        if container == VAULT:
            await asked.clients.container(VAULT).delete_blob(name)
    for purged in (bare, expired):
        assert refusal(await asked.restore(purged)) == (404, "not-in-vault")
        assert await asked.has(RETENTION_STATE, purged.pointer_name)


def _other_manifest(purged: Purged) -> bytes:
    return purged.manifest().replace(b'"bytes":', b'"bytes":1')


def _no_manifest(purged: Purged) -> bytes:
    return b"{"


@pytest.mark.parametrize("content", [_other_manifest, _no_manifest, lambda purged: b""])
async def test_another_manifest_is_refused(asked: Asked, ingest: Ingest, content: Callable[[Purged], bytes]) -> None:
    purged = await purge(asked, ingest)
    await asked.put(VAULT, manifest_name(purged.key, purged.deletion_id), content(purged))
    assert refusal(await asked.restore(purged)) == (409, "vault-incomplete")
    assert await asked.has(RETENTION_STATE, purged.pointer_name)
    assert await run_messages(ingest) == 0


@pytest.mark.parametrize("content", [None, b"short"])
async def test_an_instance_that_is_missing(asked: Asked, ingest: Ingest, content: bytes | None) -> None:
    purged = await purge(asked, ingest)
    name = purged.name_of(purged.instances[1])
    if content is None:
        await asked.clients.container(VAULT).delete_blob(name)
    else:
        await asked.put(VAULT, name, content)
    assert refusal(await asked.restore(purged)) == (409, "vault-incomplete")
    assert await asked.has(RETENTION_STATE, purged.pointer_name)


class StorageAhead:
    """Moves the clock of a storage account: the header `Date` of its answers.

    Args:
        by: how far it is ahead of the times at which blobs were written.
    """

    def __init__(self) -> None:
        self.by = timedelta()

    def __call__(self, step: Step, answer: bytes) -> bytes:
        head, end, body = answer.partition(b"\r\n\r\n")
        return re.sub(rb"(?<=\r\nDate: )[^\r]+", self._later, head) + end + body

    def _later(self, date: re.Match[bytes]) -> bytes:
        return format_datetime(parsedate_to_datetime(date[0].decode()) + self.by, usegmt=True).encode()


@pytest.mark.parametrize(("vault_days", "margin"), [(1, timedelta(hours=2.4)), (90, timedelta(days=1))])
async def test_copies_that_expire_soon(
    azurite: str,
    service: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    vault_days: int,
    margin: timedelta,
) -> None:
    ahead = StorageAhead()
    with Gateway(endpoint(azurite, "blob"), rewritten=ahead) as gateway:
        settings = {"DICOM_STORAGE": through(azurite, blob=gateway.urls[0]), "VAULT_DAYS": str(vault_days)}
        async with asking(azurite, service, monkeypatch, caplog, **settings) as asked:
            purged = await purge(asked, Ingest.over(asked.clients))
            copies = [asked.clients.container(VAULT).get_blob_client(purged.name_of(one)) for one in purged.instances]
            written = min([(await copy.get_blob_properties()).last_modified for copy in copies])
            ahead.by = timedelta(days=vault_days, minutes=1) - margin
            response = await asked.restore(purged)
            assert refusal(response) == (409, "vault-expiring")
            expire_at = datetime.fromisoformat(response.json()["copies_expire_at"])
            assert expire_at == written + timedelta(days=vault_days)
            assert await asked.has(RETENTION_STATE, purged.pointer_name)
            assert await read_restored(asked.clients, purged.key) is None
            ahead.by -= timedelta(minutes=10)
            for years in (-10, 10):
                now = datetime.now(UTC) + timedelta(days=365 * years)
                monkeypatch.setattr(clock, "now", lambda now=now: now)
                assert (await asked.restore(purged)).status_code == 202


async def test_a_deletion_that_is_not_finished(asked: Asked, ingest: Ingest) -> None:
    purged = await purge(asked, ingest)
    intent = f"intents/{purged.partition}/{purged.key.uid}.json"
    await asked.put(RETENTION_STATE, intent, b"{}")
    assert refusal(await asked.restore(purged)) == (409, "deletion-unfinished")
    assert await asked.has(RETENTION_STATE, purged.pointer_name)
    assert await holds_of_restore(asked.clients, purged.key, clock.now().date()) == (RESTORED,)
    await asked.clients.container(RETENTION_STATE).delete_blob(intent)
    assert (await asked.restore(purged)).status_code == 202


async def test_by_a_clock_that_is_behind(asked: Asked, ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    purged = await purge(asked, ingest, 1)
    now = clock.now
    with monkeypatch.context() as patch:
        patch.setattr(clock, "now", lambda: now() - timedelta(days=365))
        assert (await asked.restore(purged)).status_code == 202
    until = now().date() + timedelta(days=HELD_DAYS)
    assert await holds_of_restore(asked.clients, purged.key, until) == (RESTORED,)


async def test_of_a_deletion_and_a_restore_one_sees_the_other(asked: Asked, ingest: Ingest) -> None:
    sample = of_long_ago()
    await drop(ingest, sample)
    key = StudyKey(DEFAULT_PARTITION, sample.study)
    await write_restored(asked.clients, key, Restored.at(clock.now(), "an id", "A. Reader"))
    hasher = Hasher("the ledger's key, of tests")
    run = Run(asked.clients, await Ledger.open(asked.clients), hasher, (), ends_at=math.inf)
    rules = Rulebook(retention.policy('[[rule]]\nname = "all"\nkeep_years = 1'), {"policy.toml": "5e"}, {})
    reading, contents = await read_study(run, key, needed_keywords(rules.policy)), await read_contents(run, key)
    assert contents
    row = Row(key, LONG_AGO, reading)
    await run.ledger.write([row])
    item = item_of(judge_row(rules, row, [row], clock.now().date()))
    seen, warrant = Seen(clock.now(), row, contents), Warrant(rules, "a plan", "5e")
    intent = intent_of("another id", item, warrant, asked.clients.settings, seen, None, clock.now())
    with pytest.raises(Changed, match="hold"):
        await execute._carry_out(run, item, warrant, seen, None, intent)
    assert await stored(ingest, sample) == sample.content
    assert not await asked.has(RETENTION_STATE, f"intents/{key.partition}/{key.uid}.json")


async def test_records_that_somebody_else_has_written(asked: Asked, ingest: Ingest) -> None:
    purged = await purge(asked, ingest)
    for content in (b"{", b"[]", b'{"vault": {"folder": "a/"}, "deletion_id": "1"}'):
        await asked.put(RETENTION_RECORDS, purged.tombstone_name, content)
        assert refusal(await asked.restore(purged)) == (500, "record-unreadable")
    for content in (b"{", b"[]", b"{}", b'{"deletion_id": 1}', b'{"deletion_id": "another"}'):
        await asked.put(RETENTION_STATE, purged.pointer_name, content)
        assert refusal(await asked.restore(purged)) == (500, "record-unreadable")
        assert await asked.has(RETENTION_STATE, purged.pointer_name)


async def test_deleted_anew_while_it_is_put_back(asked: Asked, ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    purged = await purge(asked, ingest)
    anew = json.dumps(purged.pointer() | {"deletion_id": "another"}).encode()

    async def delete_anew(*_: object) -> None:
        await asked.put(RETENTION_STATE, purged.pointer_name, anew)

    monkeypatch.setattr(restoring, "_check_no_intent", delete_anew)
    assert refusal(await asked.restore(purged)) == (409, "deletion-unfinished")
    assert await asked.has(RETENTION_STATE, purged.pointer_name)
    assert await run_messages(ingest) == 0


async def test_a_partition_that_may_not_be_seen(
    azurite: str, service: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"CALLER_PARTITIONS": "Radiology=Microsoft.Default", "WEBSITE_AUTH_ENABLED": "true"}
    async with asking(azurite, service, monkeypatch, caplog, **settings) as asked:
        purged = await purge(asked, Ingest.over(asked.clients))
        for headers in ({}, {"x-ms-client-principal": principal(("oid", "1"), ("roles", "Other"))}):
            assert refusal(await asked.restore(purged, **headers)) == (404, "not-in-vault")
        radiology = principal(("oid", "1"), ("roles", "Radiology"))
        response = await asked.restore(purged, **{"x-ms-client-principal": radiology})
        assert response.status_code == 202


async def test_with_entra_an_approver_restores(
    azurite: str, service: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    approver = "11111111-2222-3333-4444-555555555555"
    settings = {"WEBSITE_AUTH_ENABLED": "true", "APPROVERS": approver}
    async with asking(azurite, service, monkeypatch, caplog, **settings) as asked:
        purged = await purge(asked, Ingest.over(asked.clients), 1)
        other = principal(("oid", "99999999-2222-3333-4444-555555555555"))
        for headers in ({}, {"x-ms-client-principal": other}):
            assert refusal(await asked.restore(purged, **headers)) == (403, "not-an-approver")
        assert await asked.has(RETENTION_STATE, purged.pointer_name)
        response = await asked.restore(purged, **{"x-ms-client-principal": principal(("oid", approver))})
        assert response.status_code == 202
        restored = await read_restored(asked.clients, purged.key)
        assert restored is not None
        assert restored.requested_by == approver


async def test_a_partition_of_a_service_that_has_some(
    azurite: str,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with running(tmp_path_factory.mktemp("partitioned"), partitions=True) as root:
        async with asking(azurite, root, monkeypatch, caplog) as asked:
            ingest, sample = Ingest.over(asked.clients), Sample()
            for partition in ("site-a", "Microsoft.Default"):
                purged = Purged.of([sample], partition=partition)
                await asked.leave(purged)
                assert (await asked.restore(purged)).status_code == 202
                await run_messages(ingest)
                dicom = asked.clients.dicom_in(partition)
                assert len([one async for one in dicom.iter_instances(study_instance_uid=sample.study)]) == 1


async def test_nothing_of_a_study_is_in_the_log(asked: Asked, ingest: Ingest) -> None:
    purged = await purge(asked, ingest, 1)
    assert (await asked.restore(purged)).status_code == 202
    assert refusal(await asked.restore(Purged.of([Sample()]))) == (404, "not-in-vault")
    await run_messages(ingest)
    assert [line["status"] for line in asked.requests()] == [202, 404]
    text = "".join(record.getMessage() for record in asked.log.records)
    assert purged.key.uid not in text
    assert "A. Reader" not in text
