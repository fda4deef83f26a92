"""Store (PS3.18 §10.5): receive everything, then decide about one instance after the other."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from anyio import CancelScope, to_thread
from starlette.requests import Request
from starlette.responses import Response

from local.dicom_service import expiry
from local.dicom_service.extended_query_tags import rows as extended_query_tags
from local.dicom_service.faults.faults import leaves_unfinished
from local.dicom_service.instances.examine import Failure, FailureReason, Instance, examine
from local.dicom_service.instances.uids import canonical, from_path
from local.dicom_service.retrieve import accept
from local.dicom_service.state import Service
from local.dicom_service.store import response as store_response
from local.dicom_service.store.bodies import Receiver
from local.dicom_service.store.response import Outcome
from local.dicom_service.stored.index import AlreadyStored, Target
from local.dicom_service.web.json_response import DICOMJSONResponse
from local.dicom_service.web.requests import base_url, partition_to_store_in, service_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Asked:
    """What a request says of all its instances."""

    study_instance_uid: str | None
    partition_key: int
    replace: bool
    lifetime: int | None
    keep: Callable[[Service, Path, Instance, _Asked], Outcome]


async def store(request: Request) -> Response:
    """Store the instances in the body: POST or PUT of the studies or of one study.

    PUT is an extension of the Azure service to DICOMweb: it replaces an instance that is there.

    Raises:
        ServiceError: 400, 406, 413 or 415; nothing was stored.
        ClientDisconnect: the body broke off; nothing was stored.
    """
    service = service_of(request)
    accept.require_dicom_json(request.headers.getlist("accept"))
    receiver = Receiver(request, service.files, service.switches.max_request_bytes)
    try:
        asked = await _asked(request)
        paths = await receiver.receive()
        limiter = service.examining
        outcomes = [await to_thread.run_sync(_store_one, service, path, asked, limiter=limiter) for path in paths]
    finally:
        with CancelScope(shield=True):
            await to_thread.run_sync(receiver.discard)
    if asked.lifetime is not None:
        service.expiry.changed()
    return _respond(request, outcomes, asked.study_instance_uid)


async def _asked(request: Request) -> _Asked:
    study = request.path_params.get("study")
    return _Asked(
        study_instance_uid=None if study is None else from_path(study, "StudyInstanceUID"),
        partition_key=(await partition_to_store_in(request)).key,
        replace=request.method == "PUT",
        lifetime=expiry.ticks_of(request.headers),
        keep=_leave_unfinished if leaves_unfinished(request) else _keep,
    )


def _store_one(service: Service, path: Path, asked: _Asked) -> Outcome:
    try:
        found = _examine(service, path, asked.study_instance_uid)
        return found if isinstance(found, Failure) else asked.keep(service, path, found, asked)
    except Exception as error:
        # One instance's trouble must not take the others of its request along. The text might quote values.
        log.error("store failed: %s", type(error).__name__)
        return Failure(FailureReason.PROCESSING_FAILURE)


def _examine(service: Service, path: Path, study: str | None) -> Instance | Failure:
    switches = service.switches
    return examine(
        path,
        study_instance_uid=study,
        implicit_vr=switches.implicit_vr,
        preamble=switches.preamble,
        mismatch_code=switches.mismatch_code,
        max_bytes=switches.max_request_bytes,
        extended=extended_query_tags.read_all(service.database),
    )


def _keep(service: Service, path: Path, instance: Instance, asked: _Asked) -> Outcome:
    target = _target(instance, asked)
    duplicate = _failure(FailureReason.ALREADY_EXISTS, instance)
    if not asked.replace and service.index.exists(target):
        return duplicate
    if service.index.is_unfinished(target):
        return _failure(FailureReason.BEING_CREATED, instance)
    file_name = service.files.keep(path)
    try:
        replaced = service.index.add(target, instance, file_name, replace=asked.replace, lifetime=asked.lifetime)
    except AlreadyStored:  # another request was quicker
        service.files.remove([file_name])
        return duplicate
    except BaseException:
        service.files.remove([file_name])
        raise
    service.files.remove(replaced)
    return instance


def _leave_unfinished(service: Service, path: Path, instance: Instance, asked: _Asked) -> Outcome:
    """Stop where a service that dies would; nobody is told of the outcome."""
    target = _target(instance, asked)
    if not service.index.exists(target):
        service.index.leave_unfinished(target, service.files.keep(path))
    return instance


def _failure(reason: FailureReason, instance: Instance) -> Failure:
    return Failure(reason, instance.sop_class_uid, instance.sop_instance_uid)


def _target(instance: Instance, asked: _Asked) -> Target:
    found = (instance.study_instance_uid, instance.series_instance_uid, instance.sop_instance_uid)
    return Target(asked.partition_key, *(canonical(uid) for uid in found))


def _respond(request: Request, outcomes: list[Outcome], study: str | None) -> Response:
    partition = request.path_params.get("partition")
    prefix = "" if partition is None else f"/partitions/{partition}"
    studies_url = f"{base_url(request)}{prefix}/studies"
    result = store_response.build(outcomes, studies_url, study)
    if result.dataset is None:
        return Response(status_code=result.status_code)
    response = DICOMJSONResponse(result.dataset, result.status_code)
    several = {keyword for outcome in outcomes if isinstance(outcome, Instance) for keyword in outcome.several_values}
    if several:
        text = f"Only the first value is indexed of: {', '.join(sorted(several))}."
        response.headers["Warning"] = f'299 {request.url.hostname}: "{text}"'
    return response
