"""The routes for tests and for training: `/admin/…`. They need no token, and the real service has none of them."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.dicom_service import clock
from local.dicom_service.faults.counts import Counts
from local.dicom_service.faults.faults import FAULT, FAULT_NAMES, Fault, Faults
from local.dicom_service.web.errors import bad_request
from local.dicom_service.web.json_request import short_body

_FURTHEST_SECONDS = 100 * 366 * 24 * 3600


class ClockSetting(BaseModel):
    """How far the service's clock is ahead of the machine's."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ahead_seconds: float = Field(allow_inf_nan=False, ge=-_FURTHEST_SECONDS, le=_FURTHEST_SECONDS)


_CLOCK_SETTING = TypeAdapter(ClockSetting)
_T = TypeVar("_T")


def routes(faults: Faults, counts: Counts) -> list[Route]:
    """Return the routes: faults are put, listed and cleared; requests are counted; the clock is set."""

    async def put_fault(request: Request) -> Response:
        fault = _read(FAULT, await short_body(request))
        faults.standing.append(fault)
        return JSONResponse(_shown(fault), 201)

    async def list_faults(request: Request) -> Response:
        return JSONResponse([_shown(fault) for fault in faults.standing])

    async def clear_faults(request: Request) -> Response:
        faults.standing.clear()
        return Response(status_code=204)

    async def show_counts(request: Request) -> Response:
        return JSONResponse(counts.to_dict())

    async def show_traces(request: Request) -> Response:
        return JSONResponse(counts.traces())

    async def clear_counts(request: Request) -> Response:
        counts.clear()
        return Response(status_code=204)

    async def set_clock(request: Request) -> Response:
        clock.set_ahead(_read(_CLOCK_SETTING, await short_body(request)).ahead_seconds)
        request.app.state.service.expiry.changed()
        return _clock()

    async def show_clock(request: Request) -> Response:
        return _clock()

    return [
        Route("/admin/faults", put_fault, methods=["POST"]),
        Route("/admin/faults", list_faults, methods=["GET"]),
        Route("/admin/faults", clear_faults, methods=["DELETE"]),
        Route("/admin/requests", show_counts, methods=["GET"]),
        Route("/admin/requests", clear_counts, methods=["DELETE"]),
        Route("/admin/traces", show_traces, methods=["GET"]),
        Route("/admin/clock", set_clock, methods=["POST"]),
        Route("/admin/clock", show_clock, methods=["GET"]),
    ]


def _shown(fault: Fault) -> dict[str, Any]:
    return fault.model_dump()


def _clock() -> Response:
    return JSONResponse({"ahead_seconds": clock.ahead_seconds()})


def _read(wanted: TypeAdapter[_T], body: bytes) -> _T:
    """Read what was asked for.

    Raises:
        ServiceError: 400, with the first thing that is wrong.
    """
    try:
        return wanted.validate_json(body)
    except ValidationError as error:
        raise bad_request(_sentence(error)) from None


def _sentence(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    if problem["type"].startswith("union_tag"):
        return f"`fault` has to be one of {', '.join(FAULT_NAMES)}."
    field = "".join(f"`{place}`: " for place in problem["loc"][-1:])
    return f"{field}{problem['msg']}."
