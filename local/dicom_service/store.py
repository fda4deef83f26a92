"""Store (PS3.18 §10.5): receive everything, then decide about one instance after the other."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from local.dicom_service import accept, extended_query_tags, store_response
from local.dicom_service.bodies import Receiver
from local.dicom_service.examine import Failure, FailureReason, Instance, examine
from local.dicom_service.faults import leaves_unfinished
from local.dicom_service.index import AlreadyStored, Target
from local.dicom_service.json_response import DICOMJSONResponse
from local.dicom_service.state import Service, service_of
from local.dicom_service.store_response import Outcome
from local.dicom_service.uids import canonical, from_path

Keep = Callable[[Service, Path, Instance], Outcome]

log = logging.getLogger(__name__)


async def store(request: Request) -> Response:
    """Store the instances in the body: POST of the studies or of one study.

    Raises:
        ServiceError: 400, 406, 413 or 415; nothing was stored.
        ClientDisconnect: the body broke off; nothing was stored.
    """
    service = service_of(request)
    accept.require_dicom_json(request.headers.getlist("accept"))
    receiver = Receiver(request, service.files, service.switches.max_request_bytes)
    try:
        study = _study(request)
        paths = await receiver.receive()
        keep = _leave_unfinished if leaves_unfinished(request) else _keep
        outcomes = [await to_thread.run_sync(_store_one, service, path, study, keep) for path in paths]
    finally:
        receiver.discard()
    return _respond(request, outcomes, study)


def _study(request: Request) -> str | None:
    study = request.path_params.get("study")
    return None if study is None else from_path(study, "StudyInstanceUID")


def _store_one(service: Service, path: Path, study: str | None, keep: Keep) -> Outcome:
    try:
        found = _examine(service, path, study)
        return found if isinstance(found, Failure) else keep(service, path, found)
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
        extended=extended_query_tags.every(service.database),
    )


def _keep(service: Service, path: Path, instance: Instance) -> Outcome:
    duplicate = _failure(FailureReason.ALREADY_EXISTS, instance)
    if service.index.exists(_target(instance)):
        return duplicate
    if service.index.is_unfinished(_target(instance)):
        return _failure(FailureReason.BEING_CREATED, instance)
    file_name = service.files.keep(path)
    try:
        service.index.add(instance, file_name)
    except AlreadyStored:  # another request was quicker
        service.files.remove([file_name])
        return duplicate
    except BaseException:
        service.files.remove([file_name])
        raise
    return instance


def _leave_unfinished(service: Service, path: Path, instance: Instance) -> Outcome:
    """Stop where a service that dies would; nobody is told of the outcome."""
    if not service.index.exists(_target(instance)):
        service.index.leave_unfinished(instance, service.files.keep(path))
    return instance


def _failure(reason: FailureReason, instance: Instance) -> Failure:
    return Failure(reason, instance.sop_class_uid, instance.sop_instance_uid)


def _target(instance: Instance) -> Target:
    found = (instance.study_instance_uid, instance.series_instance_uid, instance.sop_instance_uid)
    return Target(*(canonical(uid) for uid in found))


def _respond(request: Request, outcomes: list[Outcome], study: str | None) -> Response:
    studies_url = f"{request.url.scheme}://{request.url.netloc}/v2/studies"
    result = store_response.build(outcomes, studies_url, study)
    if result.dataset is None:
        return Response(status_code=result.status_code)
    response = DICOMJSONResponse(result.dataset, result.status_code)
    several = {keyword for outcome in outcomes if isinstance(outcome, Instance) for keyword in outcome.several_values}
    if several:
        text = f"Only the first value is indexed of: {', '.join(sorted(several))}."
        response.headers["Warning"] = f'299 {request.url.hostname}: "{text}"'
    return response
