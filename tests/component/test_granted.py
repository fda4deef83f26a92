"""The guard that stands for Azure's roles: an app may do what infra/ gives it, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobClient, BlobServiceClient
from azure.storage.queue import QueueClient

from shared.queues import ARRIVALS, PARKED
from shared.settings import (
    ACCESS_AUDIT,
    ARCHIVE,
    DEFAULT_INBOX,
    QUARANTINE,
    RECEIPTS,
    RETENTION_POLICY,
    RETENTION_RECORDS,
    VAULT,
)
from tests.kit.rights import REFUSAL, TABLES, Rights, granted

CONTAINERS = (DEFAULT_INBOX, QUARANTINE, RECEIPTS, ARCHIVE, VAULT, RETENTION_POLICY, RETENTION_RECORDS, ACCESS_AUDIT)
NAME = "by rights.txt"


class Identity:
    """What an app reaches, with its rights."""

    def __init__(self, settings: dict[str, str], rights: Rights) -> None:
        self._settings = settings
        self.rights = rights

    def blob(self, container: str, account: str = "DICOM_STORAGE", name: str = NAME) -> BlobClient:
        """Return a blob of one of its accounts."""
        return BlobServiceClient.from_connection_string(self._settings[account]).get_blob_client(container, name)

    def record(self, container: str) -> BlobClient:
        """Return one of the account of the records."""
        return self.blob(container, "RECORDS_STORAGE")

    def queue(self, name: str) -> QueueClient:
        """Return a queue."""
        return QueueClient.from_connection_string(self._settings["DICOM_STORAGE"], name)

    def tables(self) -> TableServiceClient:
        """Return the tables."""
        return TableServiceClient.from_connection_string(self._settings["DICOM_STORAGE"])


@pytest.fixture
def app(request: pytest.FixtureRequest, azurite: str) -> Iterator[Identity]:
    """An app by its name, where each container holds a blob, and each queue a message."""
    with BlobServiceClient.from_connection_string(azurite) as storage:
        for name in CONTAINERS:
            with suppress(ResourceExistsError):
                storage.create_container(name)
            blob = storage.get_blob_client(name, NAME)
            blob.upload_blob(
                b"content", blob_type="AppendBlob" if name == ACCESS_AUDIT else "BlockBlob", overwrite=True
            )
        for name in (ARRIVALS, PARKED):
            with QueueClient.from_connection_string(azurite, name) as queue:
                with suppress(ResourceExistsError):
                    queue.create_queue()
                queue.send_message("{}")
        with granted(request.param, azurite) as (settings, rights):
            yield Identity(settings, rights)
        for name in CONTAINERS:  # as other tests are to find them
            for blob_name in (NAME, f"{NAME} anew"):
                with suppress(HttpResponseError):
                    storage.get_blob_client(name, blob_name).delete_blob()
        for name in (ARRIVALS, PARKED):
            with QueueClient.from_connection_string(azurite, name) as queue:
                queue.delete_queue()


def copied(to: str, source: str) -> Callable[[Identity], object]:
    """Have a blob copied."""
    return lambda app: app.blob(to).start_copy_from_url(app.blob(source).url)


def kept_in_a_table(app: Identity) -> None:
    """Have something written to a table, and read again."""
    table = app.tables().create_table_if_not_exists("byrights")
    entity = {"PartitionKey": "1", "RowKey": "2"}
    table.submit_transaction([("upsert", entity)])
    assert list(table.list_entities()) == [table.get_entity("1", "2")] == [entity]


Act = Callable[[Identity], object]
MAY: list[tuple[str, Act]] = [
    ("ingest", lambda app: app.blob(DEFAULT_INBOX).download_blob().readall()),
    ("ingest", lambda app: app.blob(DEFAULT_INBOX).delete_blob()),
    ("ingest", lambda app: app.blob(RECEIPTS).upload_blob(b"other", overwrite=True)),
    ("ingest", copied(ARCHIVE, DEFAULT_INBOX)),
    ("ingest", lambda app: app.queue(ARRIVALS).receive_message()),
    ("ingest", lambda app: app.queue(PARKED).send_message("{}")),
    ("lookups", lambda app: app.record(ACCESS_AUDIT).append_block(b"line")),
    ("retention", lambda app: app.record(RETENTION_RECORDS).acquire_lease(15).release()),
    ("retention", lambda app: app.blob(VAULT, name=f"{NAME} anew").upload_blob(b"a copy")),
    ("retention", lambda app: app.blob(VAULT).download_blob().readall()),
    ("retention", lambda app: app.queue(ARRIVALS).send_message("{}")),
    ("retention", kept_in_a_table),
]
MAY_NOT: list[tuple[str, Act, str]] = [
    # another container, another account, no container at all
    ("ingest", lambda app: app.blob(RETENTION_POLICY).download_blob(), "GET blob of retention-policy"),
    ("ingest", lambda app: app.record(DEFAULT_INBOX).download_blob(), "GET blob of dicom-inbox"),
    ("retention", lambda app: app.blob(RETENTION_RECORDS).download_blob(), "GET blob of retention-records"),
    ("ingest", lambda app: app.queue("other").send_message("{}"), "POST messages of other"),
    # what a smaller role leaves out
    ("ingest", lambda app: app.blob(RECEIPTS).delete_blob(), "DELETE blob of dicom-receipts"),
    ("ingest", lambda app: app.blob(VAULT).set_blob_metadata({"a": "b"}), "PUT blob metadata of dicom-vault"),
    ("lookups", lambda app: app.record(ACCESS_AUDIT).download_blob(), "GET blob of access-audit"),
    ("lookups", lambda app: app.record(ACCESS_AUDIT).create_append_blob(), "PUT blob of access-audit"),
    ("retention", lambda app: app.record(RETENTION_RECORDS).delete_blob(), "DELETE blob of retention-records"),
    ("retention", lambda app: app.blob(VAULT).delete_blob(), "DELETE blob of dicom-vault"),
    ("retention", lambda app: app.blob(VAULT).upload_blob(b"other", overwrite=True), "PUT blob of dicom-vault"),
    ("retention", lambda app: app.blob(VAULT).stage_block("AAAA", b"other"), "PUT blob block of dicom-vault"),
    ("retention", lambda app: app.queue(ARRIVALS).receive_message(), "GET messages of dicom-arrivals"),
    ("retention", lambda app: app.queue(ARRIVALS).get_queue_properties(), "GET queue metadata of dicom-arrivals"),
    # a copy takes a right at each end
    ("ingest", copied(VAULT, DEFAULT_INBOX), "PUT blob of dicom-vault"),
    ("ingest", copied(ARCHIVE, RETENTION_POLICY), "PUT blob of dicom-archive"),
    # what nobody does, though a role allows some of it
    ("ingest", lambda app: app.blob(DEFAULT_INBOX).set_blob_tags({"a": "b"}), "PUT blob tags of dicom-inbox"),
    ("ingest", lambda app: app.blob(DEFAULT_INBOX).create_snapshot(), "PUT blob snapshot of dicom-inbox"),
    ("ingest", lambda app: app.queue(ARRIVALS).peek_messages(), "GET messages peekonly of dicom-arrivals"),
    ("ingest", lambda app: app.tables().create_table("byrights"), f"POST tables of {TABLES}"),
]


@pytest.mark.parametrize(("app", "act"), MAY, indirect=["app"])
def test_what_is_given_may_be_done(app: Identity, act: Act) -> None:
    """And is noted."""
    act(app)
    assert app.rights.refused == []
    assert app.rights.used


@pytest.mark.parametrize(("app", "act", "told"), MAY_NOT, indirect=["app"])
def test_what_is_not_given_is_refused(app: Identity, act: Act, told: str) -> None:
    """As Azure refuses it."""
    with pytest.raises(HttpResponseError) as refused:
        act(app)
    assert (refused.value.status_code, getattr(refused.value, "error_code", None)) == (403, REFUSAL)
    assert app.rights.refused == [told]
    assert app.rights.used == set()


@pytest.mark.parametrize("app", ["lookups"], indirect=True)
def test_a_right_is_used_as_soon_as_it_is_needed(app: Identity) -> None:
    """Until then it is given for nothing."""
    right = (ACCESS_AUDIT, "containers/blobs/add/action")
    assert app.rights.unused == {right}
    with suppress(ResourceExistsError):
        app.record(ACCESS_AUDIT).create_append_blob(match_condition=MatchConditions.IfMissing)
    assert app.rights.used == {right}
    assert app.rights.unused == set()
