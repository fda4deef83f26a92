"""The routes for tests and for training: `/admin/…`. They need no token, and the real service has none of them."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.dicom_service.faults.counts import Counts
from local.dicom_service.faults.faults import FAULT, FAULT_NAMES, Fault, Faults
from local.dicom_service.web.errors import bad_request
from local.dicom_service.web.json_request import short_body


def routes(faults: Faults, counts: Counts) -> list[Route]:
    """Return the routes: faults are put, listed and cleared; requests are counted."""

    async def put_fault(request: Request) -> Response:
        fault = _read(await short_body(request))
        faults.standing.append(fault)
        return JSONResponse(_shown(fault), 201)

    async def list_faults(request: Request) -> Response:
        return JSONResponse([_shown(fault) for fault in faults.standing])

    async def clear_faults(request: Request) -> Response:
        faults.standing.clear()
        return Response(status_code=204)

    async def show_counts(request: Request) -> Response:
        return JSONResponse(counts.to_dict())

    async def clear_counts(request: Request) -> Response:
        counts.clear()
        return Response(status_code=204)

    return [
        Route("/admin/faults", put_fault, methods=["POST"]),
        Route("/admin/faults", list_faults, methods=["GET"]),
        Route("/admin/faults", clear_faults, methods=["DELETE"]),
        Route("/admin/requests", show_counts, methods=["GET"]),
        Route("/admin/requests", clear_counts, methods=["DELETE"]),
    ]


def _shown(fault: Fault) -> dict[str, Any]:
    return fault.model_dump()


def _read(body: bytes) -> Fault:
    """Read a fault.

    Raises:
        ServiceError: 400, with the first thing that is wrong.
    """
    try:
        return FAULT.validate_json(body)
    except ValidationError as error:
        raise bad_request(_sentence(error)) from None


def _sentence(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    if problem["type"].startswith("union_tag"):
        return f"`fault` has to be one of {', '.join(FAULT_NAMES)}."
    # The first place is the fault's name.
    field = "".join(f"`{place}`: " for place in problem["loc"][1:2])
    return f"{field}{problem['msg']}."
