"""The reconciliation on a real storage account beside the DICOM service: it finds each kind of difference."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from azure.core.exceptions import ResourceExistsError

from local.azurite import Azurite
from shared import clock
from shared.arrivals import Arrival, Door
from shared.clients import Clients
from shared.dicomweb import Body, DICOMwebClient
from shared.purged import pointer_name
from shared.queues import ARRIVALS_POISON, BLOB_POISON, PARKED
from shared.settings import (
    ARCHIVE,
    DEFAULT_INBOX,
    OWN_CONTAINERS,
    QUARANTINE,
    QUARANTINE_REASONS,
    RECEIPTS,
    REPLACED,
    RETENTION_STATE,
    AfterStore,
)
from shared.sources import Sources
from store_on_upload.ingest import Ingest
from store_on_upload.probing.instance import CONTENT, STUDY_INSTANCE_UID
from store_on_upload.receipts.container import read_receipt, write_if_unchanged, write_receipt
from store_on_upload.receipts.receipt import Receipt, State, timestamp
from store_on_upload.reconcile import Difference, Report, reconcile
from store_on_upload.reconcile.report import MEANINGS
from store_on_upload.storing.claim import Replacement, claimed
from store_on_upload.upload import handle
from tests.kit.files import Sample
from tests.kit.runs import REPLACE, an_hour_ago, brought_in, clear, copies_of, other, uids

QUEUES = (ARRIVALS_POISON, BLOB_POISON, PARKED)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An account of this module's own: what is looked at is all of it."""
    with Azurite(tmp_path_factory.mktemp("reconcile"), in_memory=True) as running_one:
        yield running_one.connection_string


@pytest.fixture
async def ingest(clients: Clients, service: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ingest]:
    """Ingest over an empty account; the app's clock is so far ahead that nothing is still under way."""
    for name in (clients.settings.dicom_inbox_container, *OWN_CONTAINERS):
        await clear(clients.container(name))
    for name in QUEUES:
        queue = clients.queues.get_queue_client(name)
        try:
            await queue.create_queue()
        except ResourceExistsError:
            await queue.clear_messages()
    async with DICOMwebClient(f"{service}/v2") as dicom:
        yield Ingest.over(replace(clients, dicom=dicom))


async def land(ingest: Ingest, name: str, content: bytes) -> Receipt:
    """Drop a file and bring it to its verdict."""
    return await brought_in(ingest, name, content, Door.DEFERRAL)


async def later(ingest: Ingest, monkeypatch: pytest.MonkeyPatch, *, names: bool = False) -> Report:
    """Reconcile when nothing can be under way any more."""
    with monkeypatch.context() as patch:
        patch.setattr(clock, "now", lambda: datetime.now(UTC) + HOUR)
        return await reconcile(ingest.clients, names=names)


def with_policy(ingest: Ingest, after_store: str) -> Ingest:
    class Policies:
        def policy_for(self, name: str) -> object:
            return replace(ingest.clients.sources.policy_for(name), after_store=AfterStore(after_store))

    return Ingest.over(replace(ingest.clients, sources=Policies()))  # type: ignore[arg-type]  # all that is asked of it


async def populate(ingest: Ingest) -> dict[str, Sample]:
    """Bring one file to each verdict that is not a failure's, and to each end."""
    first = Sample()
    files = {f"kept {number}.dcm": first.sibling() for number in range(4)} | {"kept.dcm": first, "alone.dcm": Sample()}
    for name, sample in files.items():
        assert (await land(ingest, name, sample.content)).verdict == "stored"
    assert (await land(ingest, "again.dcm", first.content)).verdict == "duplicate"
    other = first.sibling(sop=first.sop, elements={0x00080060: ("CS", b"CT")})
    assert (await land(ingest, "other.dcm", other.content)).verdict == "conflict"
    assert (await land(ingest, "letter.dcm", b"no DICOM")).verdict == "rejected"
    assert (await land(ingest, "letter.dcm", b"no DICOM still")).verdict == "rejected"
    assert (await land(ingest, "notes.txt", b"")).verdict == "ignored"
    for policy in ("archive", "delete"):
        files[f"{policy}.dcm"] = Sample()
        assert (
            await land(with_policy(ingest, policy), f"{policy}.dcm", files[f"{policy}.dcm"].content)
        ).verdict == "stored"
    return files


async def test_when_all_adds_up(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each version has one verdict, and each is where its verdict says."""
    await populate(ingest)
    report = await later(ingest, monkeypatch)
    assert report.differences == {}
    assert report.verdicts == {"stored": 8, "duplicate": 1, "conflict": 1, "rejected": 2, "ignored": 1}
    assert (report.versions, report.pending, report.in_quarantine, report.overwritten) == (13, 0, 3, 0)


async def test_a_probe_that_has_expired_is_not_missed(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is its file: its receipt alone stays."""
    assert (await land(with_policy(ingest, "archive"), "probe.dcm", CONTENT)).verdict == "stored"
    await ingest.clients.dicom.delete_study(study_instance_uid=STUDY_INSTANCE_UID)
    await ingest.clients.container(ARCHIVE).delete_blob("probe.dcm")
    assert (await later(ingest, monkeypatch)).differences == {}


async def test_what_is_under_way_is_pending(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A blob that has just come, and one that is put off, are no differences."""
    await ingest.clients.inbox.upload_blob("new.dcm", b"x")
    await write_receipt(ingest.clients, waiting("waits.dcm", timestamp(datetime.now(UTC) + 2 * HOUR)))
    report = await reconcile(ingest.clients)
    assert (report.differences, report.pending, report.versions) == ({}, 2, 2)


def waiting(name: str, due_at: str) -> Receipt:
    return Receipt(name, "1", 1, timestamp(datetime.now(UTC)), state=State.DEFERRED, reason="stopped", due_at=due_at)


async def test_each_difference_is_found(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each in its kind, and nothing else; names only where they are asked for."""
    files = await populate(ingest) | {"newer.dcm": await replaced_by(ingest, "newer.dcm", monkeypatch)}
    for name in ("gone.dcm", "unexplained.dcm", "lost.dcm"):
        await land(ingest, name, b"no DICOM")
    for deed in DEEDS:
        await deed(ingest, files)
    report = await later(ingest, monkeypatch, names=True)
    assert {kind: sorted(names) for kind, names in report.names.items()} == EXPECTED
    queued = {Difference.POISONED: 2, Difference.PARKED: 1}
    assert report.differences == {kind: len(names) for kind, names in EXPECTED.items()} | queued
    unnamed = await later(ingest, monkeypatch)
    assert (unnamed.differences, unnamed.names) == (report.differences, {})
    assert not any(name in str(unnamed.to_json()) for names in EXPECTED.values() for name in names)


EXPECTED = {
    Difference.WITHOUT_RECEIPT: ["kept 0.dcm", "kept 2.dcm"],
    Difference.OVERDUE: ["waits.dcm"],
    Difference.RECEIPT_INVALID: ["elsewhere.dcm", "new.dcm"],
    Difference.NOT_IN_SERVICE: ["alone.dcm", "alone.dcm", "kept 1.dcm"],
    Difference.NOT_IN_QUARANTINE: ["gone.dcm", "lost.dcm"],
    Difference.REASON_WITHOUT_FILE: ["lost.dcm"],
    Difference.WITHOUT_REASON: ["unexplained.dcm"],
    Difference.QUARANTINED_WITHOUT_RECEIPT: ["foreign.dcm"],
    Difference.NOT_IN_ARCHIVE: ["archive.dcm"],
    Difference.ARCHIVED_WITHOUT_RECEIPT: ["forgotten.dcm"],
    Difference.NOT_IN_REPLACED: ["newer.dcm"],
    Difference.REPLACED_WITHOUT_RECEIPT: ["Microsoft.Default/1/2/3/4-5.dcm"],
    Difference.NOT_DISPOSED: ["leased.dcm"],
}


async def forget_a_receipt(ingest: Ingest, files: dict[str, Sample]) -> None:
    await ingest.clients.container(RECEIPTS).delete_blob("kept 0.dcm")


async def drop_unseen(ingest: Ingest, files: dict[str, Sample]) -> None:
    await ingest.clients.inbox.upload_blob("kept 2.dcm", b"a newer version", overwrite=True)


async def lose_a_message(ingest: Ingest, files: dict[str, Sample]) -> None:
    await write_receipt(ingest.clients, waiting("waits.dcm", timestamp(datetime.now(UTC))))


async def write_over_a_receipt(ingest: Ingest, files: dict[str, Sample]) -> None:
    await ingest.clients.container(RECEIPTS).upload_blob("new.dcm", b"nonsense")


async def move_a_receipt(ingest: Ingest, files: dict[str, Sample]) -> None:
    receipts = ingest.clients.container(RECEIPTS)
    content = await (await receipts.download_blob("alone.dcm")).readall()
    properties = await receipts.get_blob_client("alone.dcm").get_blob_properties()
    await receipts.upload_blob("elsewhere.dcm", content, metadata=properties.metadata)


async def delete_one_instance_of_many_and_one_alone(ingest: Ingest, files: dict[str, Sample]) -> None:
    await delete_instance(ingest, files["kept 1.dcm"])
    await delete_instance(ingest, files["alone.dcm"])


async def delete_instance(ingest: Ingest, sample: Sample) -> None:
    await ingest.clients.dicom.delete_instance(
        study_instance_uid=sample.study, series_instance_uid=sample.series, sop_instance_uid=sample.sop
    )


async def delete_from_quarantine(ingest: Ingest, files: dict[str, Sample]) -> None:
    await ingest.clients.container(QUARANTINE).delete_blob("lost.dcm")
    await ingest.clients.container(QUARANTINE).delete_blob("gone.dcm")
    await ingest.clients.container(QUARANTINE_REASONS).delete_blob("gone.dcm.json")
    await ingest.clients.container(QUARANTINE_REASONS).delete_blob("unexplained.dcm.json")


async def put_into_quarantine(ingest: Ingest, files: dict[str, Sample]) -> None:
    await ingest.clients.container(QUARANTINE).upload_blob("foreign.dcm", b"x")
    reason = b'{"blob": "foreign.dcm", "etag": "1"}'
    await ingest.clients.container(QUARANTINE_REASONS).upload_blob("foreign.dcm.json", reason)


async def delete_from_archive(ingest: Ingest, files: dict[str, Sample]) -> None:
    await ingest.clients.container(ARCHIVE).delete_blob("archive.dcm")


async def forget_what_is_archived(ingest: Ingest, files: dict[str, Sample]) -> None:
    await land(with_policy(ingest, "archive"), "forgotten.dcm", Sample().content)
    await ingest.clients.container(RECEIPTS).delete_blob("forgotten.dcm")


async def lease_what_is_to_be_deleted(ingest: Ingest, files: dict[str, Sample]) -> None:
    inbox = ingest.clients.inbox
    await inbox.upload_blob("leased.dcm", Sample().content)
    lease = await inbox.get_blob_client("leased.dcm").acquire_lease()
    await handle(with_policy(ingest, "delete"), Arrival(("leased.dcm",), Door.BLOB))
    await lease.release()


async def poison(ingest: Ingest, files: dict[str, Sample]) -> None:
    for name in QUEUES:
        await ingest.clients.queues.get_queue_client(name).send_message("x")


async def lose_one_copy_and_leave_another(ingest: Ingest, files: dict[str, Sample]) -> None:
    copies = ingest.clients.container(REPLACED)
    await clear(copies, copies_of(files["newer.dcm"]))
    await copies.upload_blob("Microsoft.Default/1/2/3/4-5.dcm", b"of a run that died")


DEEDS: list[Callable[[Ingest, dict[str, Sample]], Awaitable[None]]] = [
    forget_a_receipt,
    drop_unseen,
    lose_a_message,
    write_over_a_receipt,
    move_a_receipt,
    delete_one_instance_of_many_and_one_alone,
    delete_from_quarantine,
    put_into_quarantine,
    delete_from_archive,
    forget_what_is_archived,
    lease_what_is_to_be_deleted,
    lose_one_copy_and_leave_another,
    poison,
]


def test_every_kind_is_tried_and_explained() -> None:
    """None is without a case above, nor without a word for the operator."""
    assert {*EXPECTED, Difference.POISONED, Difference.PARKED} == set(Difference) == set(MEANINGS)


async def test_what_retention_deleted_is_no_difference(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pointer tells."""
    files = await populate(ingest)
    sample = files["alone.dcm"]
    await ingest.clients.container(RETENTION_STATE).upload_blob(pointer_name(None, sample.study), b"{}")
    await delete_instance(ingest, sample)
    report = await later(ingest, monkeypatch)
    assert (report.differences, report.purged) == ({}, 1)


async def replaced_by(ingest: Ingest, name: str, monkeypatch: pytest.MonkeyPatch) -> Sample:
    """Store an instance, and have a file take its place."""
    sample, settings = Sample(), ingest.clients.settings.model_copy(update=REPLACE)
    with an_hour_ago(monkeypatch):
        await ingest.clients.dicom.store_instance(Body.from_bytes(sample.content))
    replacing = Ingest.over(replace(ingest.clients, settings=settings, sources=Sources(settings)))
    assert (await land(replacing, name, other(sample))).verdict == "replaced"
    return sample


async def test_a_copy_is_known_by_a_receipt_or_by_the_latest_replacement(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as either is there; a run that has died between the two has lost nothing."""
    sample = await replaced_by(ingest, "newer.dcm", monkeypatch)
    report = await later(ingest, monkeypatch)
    assert (report.differences, report.in_replaced) == ({}, 1)
    receipts = ingest.clients.container(RECEIPTS)
    standing = await read_receipt(ingest.clients, "newer.dcm")
    assert standing is not None
    await receipts.delete_blob("newer.dcm")
    without_receipt = {Difference.WITHOUT_RECEIPT: 1}  # the file's own
    assert (await later(ingest, monkeypatch)).differences == without_receipt
    replaced = standing.newest.replaced
    assert replaced is not None
    async with claimed(ingest.clients, None, uids(sample)) as claim:
        await claim.note(Replacement("another.dcm", "1", "2026-01-01T00:00:00Z", replace(replaced, kept_as="another")))
    unknown = {**without_receipt, Difference.REPLACED_WITHOUT_RECEIPT: 1}
    assert (await later(ingest, monkeypatch)).differences == unknown
    await claim.blob.upload_blob(b"damaged", overwrite=True)
    assert (await later(ingest, monkeypatch)).differences == unknown
    await write_receipt(ingest.clients, standing.newest)
    assert (await later(ingest, monkeypatch)).differences == {}


async def test_the_copy_of_a_purged_study_may_be_deleted(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its prefix; then it is not missed."""
    sample = await replaced_by(ingest, "newer.dcm", monkeypatch)
    await delete_instance(ingest, sample)
    await ingest.clients.container(RETENTION_STATE).upload_blob(pointer_name(None, sample.study), b"{}")
    assert (await later(ingest, monkeypatch)).differences == {}
    await clear(ingest.clients.container(REPLACED), f"Microsoft.Default/{sample.study}/")
    report = await later(ingest, monkeypatch)
    assert (report.differences, report.in_replaced) == ({}, 0)


@pytest.mark.parametrize("container", [ARCHIVE, QUARANTINE])
async def test_versions_of_one_name(ingest: Ingest, monkeypatch: pytest.MonkeyPatch, container: str) -> None:
    """Each has a copy; none is missed once it is too old to be listed in its receipt."""
    for _ in range(3):
        content = Sample().content if container == ARCHIVE else b"no DICOM"
        await land(with_policy(ingest, "archive"), "f.dcm", content)
    clients = ingest.clients
    assert (await later(ingest, monkeypatch)).differences == {}
    standing = await read_receipt(clients, "f.dcm")
    assert standing is not None
    oldest = standing.earlier[0]
    unlisted = replace(standing, earlier=standing.earlier[1:])
    await write_if_unchanged(clients, unlisted)
    kind = {ARCHIVE: Difference.ARCHIVED_WITHOUT_RECEIPT, QUARANTINE: Difference.QUARANTINED_WITHOUT_RECEIPT}
    assert (await later(ingest, monkeypatch)).differences == {kind[container]: 1}
    rewritten = await read_receipt(clients, "f.dcm")
    assert rewritten is not None
    await write_if_unchanged(clients, replace(rewritten, dropped={str(oldest.verdict): 1}))
    assert (await later(ingest, monkeypatch)).differences == {}


async def test_folders_are_no_files(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a hierarchical namespace each container lists its folders: none of them is a difference."""
    for container in (DEFAULT_INBOX, RECEIPTS, QUARANTINE, QUARANTINE_REASONS, ARCHIVE, REPLACED):
        marker = ingest.clients.container(container).get_blob_client("ward 7")
        await marker.upload_blob(b"", metadata={"hdi_isfolder": "true"})
    assert (await later(ingest, monkeypatch)).differences == {}


@pytest.mark.parametrize("name", ["x" * 1024, f"x~{'0' * 64}"], ids=["long", "as if shortened"])
async def test_a_name_that_cannot_have_a_suffix(ingest: Ingest, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Each version is found in quarantine or in the archive, and its reason beside it."""
    for content in (Sample().content[:-4], Sample().content[:-6], Sample().content, Sample().content):
        await land(with_policy(ingest, "archive"), name, content)
    report = await later(ingest, monkeypatch)
    assert (report.differences, report.in_quarantine) == ({}, 2)
    [lost, _] = [one async for one in ingest.clients.container(QUARANTINE).list_blob_names()]
    await ingest.clients.container(QUARANTINE).delete_blob(lost)
    assert (await later(ingest, monkeypatch)).differences[Difference.REASON_WITHOUT_FILE] == 1


async def test_what_was_overwritten_before_it_could_be_moved_is_no_loss(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its producer has sent a newer version in its place; that is counted."""
    await land(ingest, "letter.dcm", b"no DICOM")
    await land(ingest, "letter.dcm", b"no DICOM still")
    for container, suffix in ((QUARANTINE, ""), (QUARANTINE_REASONS, ".json")):
        await ingest.clients.container(container).delete_blob(f"letter.dcm{suffix}")
    report = await later(ingest, monkeypatch)
    assert (report.differences, report.overwritten) == ({}, 1)


async def test_requests_to_the_service_are_few(ingest: Ingest, service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One search answers for the instances of a study."""
    first = Sample()
    for number in range(20):
        await land(ingest, f"{number}.dcm", first.sibling().content)
    async with httpx.AsyncClient(trust_env=False) as http:
        await http.delete(f"{service}/admin/requests")
        assert (await later(ingest, monkeypatch)).differences == {}
        asked = (await http.get(f"{service}/admin/requests")).json()
    assert sum(count["requests"] for count in asked.values()) == 2  # the second page is empty
