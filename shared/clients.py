"""The composition root: one DICOM client and one client of each storage service for the whole process."""

from __future__ import annotations

from dataclasses import dataclass

from azure.data.tables.aio import TableServiceClient
from azure.identity.aio import DefaultAzureCredential
from azure.storage.blob.aio import ContainerClient
from azure.storage.queue.aio import QueueServiceClient

from shared import settings as app_settings
from shared.dicomweb import DICOMwebClient
from shared.dicomweb.transport import default_transport
from shared.entra_auth import EntraAuth
from shared.settings import ConfigurationError, Settings
from shared.sources import Sources, read_sources
from shared.storage import Storage
from shared.telemetry.recording import is_on
from shared.telemetry.service_calls import ServiceCalls

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
    storage: Storage
    sources: Sources
    credentials: tuple[EntraAuth | DefaultAzureCredential, ...] = ()

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
        """Return clients of the storage accounts that the settings name, beside one of the DICOM service.

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
            storage=Storage.over(settings, credential),
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
        """Return one of the app's containers, of the account that holds it."""
        return self.storage.container(name)

    @property
    def queues(self) -> QueueServiceClient:
        """The queues of the inbox's account."""
        return self.storage.queues

    @property
    def tables(self) -> TableServiceClient | None:
        """The tables of the inbox's account; None where their address is not set."""
        return self.storage.tables

    async def aclose(self) -> None:
        """Close every connection."""
        await self.dicom.aclose()
        await self.lookups.aclose()
        await self.storage.aclose()
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
    by_address = settings.dicom_storage_blob_service_uri or settings.records_storage_blob_service_uri
    credential = DefaultAzureCredential() if by_address else None
    observer = ServiceCalls() if is_on() else None
    dicom = DICOMwebClient(settings.dicom_service_url, auth=auth, observer=observer)
    transport = default_transport(settings.lookup_concurrency + _SPARE_CONNECTIONS)
    lookups = DICOMwebClient(settings.dicom_service_url, auth=auth, transport=transport, observer=observer)
    return Clients.over(settings, dicom, sources, lookups=lookups, auth=auth, credential=credential)
