"""A request to put a study back, over HTTP: approved, read, done."""

from __future__ import annotations

from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from purge_study.ledger.row import StudyKey
from purge_study.records.vaulted import deletion_folder
from shared.answering import read_query
from shared.approval import read_body
from shared.arrivals import name_of_restored
from shared.clients import get_clients
from shared.dicomweb import check_uid
from shared.dicomweb.partitions import DEFAULT_PARTITION, partition_path

from .answering import check_approval_key, refused, visible_partitions, who_may_approve
from .bodies import RestoreRequest, read
from .restoring import restore


async def restore_study(http: HttpRequest) -> Response:
    """Have a study stored again from the vault, and answer with how many instances are on their way.

    Raises:
        InvalidParameter: that is no UID, or no partition's name.
        ConfigurationError: the app is not configured.
        Refused: the caller may not restore, the request is not understood, or there is nothing to put back.
        UnreadableRecord, DICOMwebError, AzureError: not possible now; a second call goes on.
    """
    clients = get_clients()
    check_approval_key(http, clients.settings)
    key = _key(http)
    visible = visible_partitions(http, clients.settings)
    wanted = read(RestoreRequest, await read_body(http))
    requested_by = who_may_approve(http, clients.settings, wanted.requested_by)
    if visible is not None and key.partition not in visible:
        raise refused("not-in-vault")
    begun = await restore(clients, key, requested_by)
    told = {
        "study_instance_uid": key.uid,
        "partition": key.partition,
        "deletion_id": begun.deletion_id,
        "sent": begun.sent,
        "held_until": begun.held_until.isoformat(),
        "receipts": name_of_restored(deletion_folder(key, begun.deletion_id)),
    }
    return JSONResponse(told, 202)


def _key(http: HttpRequest) -> StudyKey:
    uid = http.path_params["study"]
    check_uid("study_instance_uid", uid)
    partition = read_query(http, "partition").get("partition", DEFAULT_PARTITION)
    partition_path(partition)
    return StudyKey(partition, uid)
