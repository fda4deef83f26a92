"""What ingest knows of studies that retention has deleted, on a real storage account."""

from __future__ import annotations

from dataclasses import replace

import pytest
from azure.core.exceptions import HttpResponseError

from shared.clients import Clients
from shared.purged import pointer_name
from shared.settings import RETENTION_STATE
from store_on_upload.storing.purged import PurgedStudies
from tests.kit.connection_strings import through
from tests.kit.files import new_uid
from tests.kit.gateway import Fault, Gateway, Moment


@pytest.mark.parametrize("content", [b"", b"a note", b'{"deletion_id": "an id"}'])
async def test_a_pointer_keeps_out_whatever_it_says(clients: Clients, content: bytes) -> None:
    """It need not be readable; the same study in another partition is another one."""
    uid = new_uid()
    await clients.container(RETENTION_STATE).upload_blob(pointer_name("site-a", uid), content)
    purged = PurgedStudies(clients)
    assert [await purged.has(partition, uid) for partition in ("site-a", "site-b", None)] == [True, False, False]


async def test_where_retention_has_no_place(clients: Clients) -> None:
    """An installation without retention has no such container, and keeps nothing out."""
    storage = replace(clients.storage)
    storage._containers[RETENTION_STATE] = clients.container("no-such-container")
    purged = PurgedStudies(replace(clients, storage=storage))
    assert not await purged.has(None, new_uid())
    assert not await purged.has_any(None)


async def test_whether_there_is_any(clients: Clients) -> None:
    """In one partition, whatever there is in those whose names begin alike."""
    await clients.container(RETENTION_STATE).upload_blob(pointer_name("ward-7", new_uid()), b"")
    purged = PurgedStudies(clients)
    assert [await purged.has_any(partition) for partition in ("ward", "ward-7", "ward-71")] == [False, True, False]


async def test_what_cannot_be_told(clients: Clients) -> None:
    """Storage that refuses is no answer: the file waits."""
    url = clients.storage.container(RETENTION_STATE).url.rpartition("/")[0]
    with Gateway(url) as gateway:
        gateway.begin(Fault(1, Moment.BEFORE, status=403, times=9))
        way = through(clients.settings.dicom_storage or "", blob=gateway.urls[0])
        settings = clients.settings.model_copy(update={"dicom_storage": way})
        behind = Clients.over(settings, clients.dicom)
        purged = PurgedStudies(behind)
        for asking in (purged.has(None, new_uid()), purged.has_any(None)):
            with pytest.raises(HttpResponseError):
                await asking
        await behind.storage.aclose()
