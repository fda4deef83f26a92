"""Which account holds which container."""

from __future__ import annotations

import pytest

from shared.settings import ACCESS_AUDIT, OWN_CONTAINERS, RETENTION_RECORDS, ConfigurationError, load
from shared.storage import Storage

SERVICE = {"DICOM_SERVICE_URL": "https://host/v2"}
INBOX = {"DICOM_STORAGE": "DefaultEndpointsProtocol=https;AccountName=inbox;AccountKey=a2V5"}
RECORDS = {"RECORDS_STORAGE__blobServiceUri": "https://records.blob.core.windows.net"}


async def test_records_have_an_account_of_their_own() -> None:
    """They alone, and only where one is set."""
    for others in (RECORDS, {}):
        storage = Storage.over(load({**SERVICE, **INBOX, **others}))
        hosts = {name: storage.container(name).primary_hostname.partition(".")[0] for name in OWN_CONTAINERS}
        elsewhere = {name for name, host in hosts.items() if host == "records"}
        assert elsewhere == ({RETENTION_RECORDS, ACCESS_AUDIT} if others else set())
        await storage.aclose()


async def test_lookups_alone_reach_no_inbox() -> None:
    """What has no account is told by the setting that is missing."""
    storage = Storage.over(load({**SERVICE, **RECORDS, "ENABLED_FUNCTIONS": "query_api"}))
    assert storage.container(ACCESS_AUDIT).primary_hostname == "records.blob.core.windows.net"
    for reach in (lambda: storage.container("dicom-inbox"), lambda: storage.queues):
        with pytest.raises(ConfigurationError, match="DICOM_STORAGE__blobServiceUri"):
            reach()
    assert storage.tables is None
    await storage.aclose()
