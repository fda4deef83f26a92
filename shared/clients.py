"""The composition root: one DICOM client and one client of each storage service for the whole process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from azure.data.tables.aio import TableServiceClient
from azure.identity.aio import DefaultAzureCredential
from azure.storage.blob.aio import BlobServiceClient, ContainerClient, ExponentialRetry
from azure.storage.queue.aio import QueueServiceClient

from shared import settings as app_settings
from shared.dicomweb import DICOMwebClient
from shared.dicomweb.transport import default_transport
from shared.entra_auth import EntraAuth
from shared.settings import ConfigurationError, Settings
from shared.sources import Sources, read_sources

# Each GET is held in memory as a whole. The first brings what `store_on_upload.part10` reads; less would take two.
_FIRST_GET_BYTES = 1024 * 1024
_NEXT_GET_BYTES = 4 * 1024 * 1024
# What is uploaded goes in blocks of this size; a larger body would hold up all else while it is sent.
_PUT_BYTES = 1024 * 1024
# Of the lookups' connections, beside one for each lookup: for searches that ask several things at once.
_SPARE_CONNECTIONS = 64


@dataclass(frozen=True)
class Clients:
    """What the functions work with; `credentials` are closed with it.

    `lookups` is for the DICOM service as well, over connections of its own: callers that read slowly hold theirs for as
    long as they like, and ingest does not wait for them.
    """

    settings: Settings
    dicom: DICOMwebClient
    lookups: DICOMwebClient
    storage: BlobServiceClient
    queues: QueueServiceClient
    tables: TableServiceClient | None
    sources: Sources
    credentials: tuple[EntraAuth | DefaultAzureCredential, ...] = ()
    # Making one costs more than a small request's other work.
    _containers: dict[str, ContainerClient] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def over(
        cls,
        settings: Settings,
        dicom: DICOMwebClient,
        sources: Sources | None = None,
        *,
        lookups: DICOMwebClient | None = None,
        auth: EntraAuth | None = None,
        credential: DefaultAzureCredential | None = None,
    ) -> Clients:
        """Return clients of the storage account that the settings name, beside one of the DICOM service.

        Args:
            settings: of the app.
            dicom: the client of the DICOM service; all that is handed over is closed with the clients.
            sources: without them, the settings hold for all files.
            lookups: the client that lookups use; the same one if None.
            auth: the DICOM clients' own.
            credential: for storage; None where the settings have a connection string.
        """
        return cls(
            settings,
            dicom,
            lookups or dicom,
            storage=_blob_service(settings, credential),
            queues=_queue_service(settings, credential),
            tables=_table_service(settings, credential),
            sources=sources or Sources(settings),
            credentials=tuple(one for one in (auth, credential) if one is not None),
        )

    @property
    def inbox(self) -> ContainerClient:
        """The container that files are dropped into."""
        return self.container(self.settings.dicom_inbox_container)

    def dicom_in(self, partition: str | None) -> DICOMwebClient:
        """Return the client for a partition of the service, or for a service without partitions.

        Raises:
            InvalidParameter: that is no partition's name.
        """
        return self.dicom if partition is None else self.dicom.partition(partition)

    def container(self, name: str) -> ContainerClient:
        """Return a container of the inbox's account."""
        if name not in self._containers:
            self._containers[name] = self.storage.get_container_client(name)
        return self._containers[name]

    async def aclose(self) -> None:
        """Close every connection."""
        await self.dicom.aclose()
        await self.lookups.aclose()
        await self.storage.close()
        await self.queues.close()
        if self.tables is not None:
            await self.tables.close()
        for credential in self.credentials:
            await (credential.aclose() if isinstance(credential, EntraAuth) else credential.close())


_clients: Clients | None = None


def get_clients() -> Clients:
    """Return the process's clients; the first caller creates them, inside the running event loop.

    Raises:
        ConfigurationError: settings are missing or wrong.
    """
    global _clients
    if _clients is None:
        _clients = _create(*_configuration())
    return _clients


def _configuration() -> tuple[Settings, Sources]:
    """Read the settings and the sources, and tell what is wrong with either at once."""
    problems: list[str] = []
    try:
        settings = app_settings.load()
    except ConfigurationError as error:
        problems += error.problems
    try:
        sources = read_sources(app_settings.sources_path())
    except ConfigurationError as error:
        problems += error.problems
    if problems:
        raise ConfigurationError(problems)
    return settings, Sources(settings, sources)


def _create(settings: Settings, sources: Sources) -> Clients:
    # The credential's chain ends at the managed identity in Azure and at `az login` on a laptop;
    # AZURE_TOKEN_CREDENTIALS names one of them.
    auth = EntraAuth(DefaultAzureCredential, settings.dicom_token_scope)
    # Of its own for storage: the DICOM client drops one whose token was refused.
    credential = None if settings.dicom_storage else DefaultAzureCredential()
    dicom = DICOMwebClient(settings.dicom_service_url, auth=auth)
    transport = default_transport(settings.lookup_concurrency + _SPARE_CONNECTIONS)
    lookups = DICOMwebClient(settings.dicom_service_url, auth=auth, transport=transport)
    return Clients.over(settings, dicom, sources, lookups=lookups, auth=auth, credential=credential)


def _retry() -> ExponentialRetry:
    # The SDK's default waits 15 s before the first retry; our own deferral is there for what takes longer.
    return ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=3)


def _of_any_service() -> dict[str, Any]:
    # Else each request waits for two threads: one looks for a `.netrc`, one for a proxy. The DICOM client asks neither.
    return {"retry_policy": _retry(), "use_env_settings": False}


def _blob_service(settings: Settings, credential: DefaultAzureCredential | None = None) -> BlobServiceClient:
    """Return the client of the inbox account's blobs: by its connection string where that is set, else by address."""
    options: dict[str, Any] = {
        **_of_any_service(),
        "max_single_get_size": _FIRST_GET_BYTES,
        "max_chunk_get_size": _NEXT_GET_BYTES,
        "max_single_put_size": _PUT_BYTES,
        "max_block_size": _PUT_BYTES,
    }
    if settings.dicom_storage is not None:
        return BlobServiceClient.from_connection_string(settings.dicom_storage, **options)
    return BlobServiceClient(str(settings.dicom_storage_blob_service_uri), credential=credential, **options)


def _queue_service(settings: Settings, credential: DefaultAzureCredential | None = None) -> QueueServiceClient:
    """Return the client of the inbox account's queues: by its connection string where that is set, else by address."""
    if settings.dicom_storage is not None:
        return QueueServiceClient.from_connection_string(settings.dicom_storage, **_of_any_service())
    return QueueServiceClient(str(settings.dicom_storage_queue_service_uri), credential=credential, **_of_any_service())


def _table_service(settings: Settings, credential: DefaultAzureCredential | None = None) -> TableServiceClient | None:
    """Return the client of the inbox account's tables; None where its address is not set."""
    if settings.dicom_storage is not None:
        return TableServiceClient.from_connection_string(settings.dicom_storage)
    if settings.dicom_storage_table_service_uri is None or credential is None:
        return None
    return TableServiceClient(settings.dicom_storage_table_service_uri, credential=credential)
