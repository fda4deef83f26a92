"""The storage accounts: one client of each service for the whole process."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from azure.data.tables.aio import TableServiceClient
from azure.identity.aio import DefaultAzureCredential
from azure.storage.blob.aio import BlobServiceClient, ContainerClient, ExponentialRetry
from azure.storage.queue.aio import QueueServiceClient

from shared.settings import ACCESS_AUDIT, RETENTION_RECORDS, ConfigurationError, Settings

_RECORDS = frozenset({RETENTION_RECORDS, ACCESS_AUDIT})

S = TypeVar("S", BlobServiceClient, QueueServiceClient, TableServiceClient)

# Each GET is held in memory as a whole. The first brings what `shared.part10` reads; less would take two.
_FIRST_GET_BYTES = 1024 * 1024
_NEXT_GET_BYTES = 4 * 1024 * 1024
# What is uploaded goes in blocks of this size; a larger body would hold up all else while it is sent.
_PUT_BYTES = 1024 * 1024
_SIZES: dict[str, Any] = {
    "max_single_get_size": _FIRST_GET_BYTES,
    "max_chunk_get_size": _NEXT_GET_BYTES,
    "max_single_put_size": _PUT_BYTES,
    "max_block_size": _PUT_BYTES,
}


@dataclass(frozen=True)
class Storage:
    """The account of the inbox, with its queues and tables, and that of the records, where it is another.

    An app of `query_api` alone may have neither.
    """

    inbox: BlobServiceClient | None
    records: BlobServiceClient | None
    inbox_queues: QueueServiceClient | None
    tables: TableServiceClient | None
    # Making one costs more than a small request's other work.
    _containers: dict[str, ContainerClient] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def over(cls, settings: Settings, credential: DefaultAzureCredential | None = None) -> Storage:
        """Return clients of the accounts that the settings name.

        Args:
            settings: of the app.
            credential: for accounts that are named by address.
        """
        inbox, records = settings.dicom_storage, settings.records_storage
        queues, tables = settings.dicom_storage_queue_service_uri, settings.dicom_storage_table_service_uri
        inbox_blobs, records_blobs = settings.dicom_storage_blob_service_uri, settings.records_storage_blob_service_uri
        return cls(
            inbox=_client(BlobServiceClient, inbox, inbox_blobs, credential, **_options(), **_SIZES),
            records=_client(BlobServiceClient, records, records_blobs, credential, **_options(), **_SIZES),
            inbox_queues=_client(QueueServiceClient, inbox, queues, credential, **_options()),
            tables=_client(TableServiceClient, inbox, tables if credential else None, credential),
        )

    def container(self, name: str) -> ContainerClient:
        """Return a container, of the account that holds it.

        Raises:
            ConfigurationError: there is no such account.
        """
        if name not in self._containers:
            account = self.records if self.records is not None and name in _RECORDS else self.inbox
            if account is None:
                raise _not_set()
            self._containers[name] = account.get_container_client(name)
        return self._containers[name]

    @property
    def queues(self) -> QueueServiceClient:
        """The queues of the inbox's account.

        Raises:
            ConfigurationError: there is no such account.
        """
        if self.inbox_queues is None:
            raise _not_set()
        return self.inbox_queues

    async def aclose(self) -> None:
        """Close every connection."""
        for service in (self.inbox, self.records, self.inbox_queues, self.tables):
            if service is not None:
                await service.close()


async def time_of(container: ContainerClient) -> datetime:
    """Return the time by the clock of the container's storage account.

    Blobs have their times from the same clock, so that their age does not depend on the app's.

    Raises:
        AzureError: storage failed.
    """
    dates: list[str] = []
    await container.get_container_properties(
        raw_response_hook=lambda answer: dates.append(answer.http_response.headers["date"])
    )
    return parsedate_to_datetime(dates[-1])


def _not_set() -> ConfigurationError:
    return ConfigurationError(["DICOM_STORAGE__blobServiceUri: must be set for all but lookups"])


def _retry() -> ExponentialRetry:
    # The SDK's default waits 15 s before the first retry; our own deferral is there for what takes longer.
    return ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=3)


def _options() -> dict[str, Any]:
    """Return what clients of blobs and queues have in common, made anew for each: a policy belongs to one client."""
    # Else each request waits for two threads: one looks for a `.netrc`, one for a proxy. The DICOM client asks neither.
    return {"retry_policy": _retry(), "use_env_settings": False}


def _client(
    service: type[S],
    connection: str | None,
    address: str | None,
    credential: DefaultAzureCredential | None,
    **options: Any,
) -> S | None:
    """Return a client: by connection string where there is one, else by address; None without either."""
    if connection is not None:
        return service.from_connection_string(connection, **options)
    return None if address is None else service(address, credential=credential, **options)
