"""A request for a replay, over HTTP: approved, read, done."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from shared.approval import REPLAY_HEADER, is_approved, read_body
from store_on_upload.files.naming import is_name
from store_on_upload.ingest import get_ingest

from .answering import refused
from .replay import replay_all, replay_one


def _blob_name(value: str) -> str:
    if not is_name(value):
        raise ValueError("not the name of a blob")
    return value


class ReplayRequest(BaseModel):
    """The body: a file's name in quarantine, or all."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    name: Annotated[str, AfterValidator(_blob_name)] | None = None
    all: bool = False
    dry_run: bool = True
    continuation: str | None = Field(default=None, max_length=256)

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Self:
        if (self.name is None) != self.all:
            raise ValueError("one of name and all")
        if self.continuation is not None and not self.all:
            raise ValueError("only all has a continuation")
        return self


async def replay_quarantine(http: HttpRequest) -> Response:
    """Send files in quarantine through the handler again, and answer with their number.

    Raises:
        ConfigurationError: the app is not configured.
        Refused: the request is not approved or not understood, or there is no such file.
        AzureError: storage failed; some may have been sent.
    """
    ingest = get_ingest()
    key = ingest.clients.settings.replay_key
    if key is None:
        raise refused("no-replay-key")
    if not is_approved(http, REPLAY_HEADER, key):
        raise refused("wrong-replay-key")
    wanted = read_request(await read_body(http))
    if wanted.name is None:
        done = await replay_all(ingest, dry_run=wanted.dry_run, continuation=wanted.continuation)
    elif (found := await replay_one(ingest, wanted.name, dry_run=wanted.dry_run)) is not None:
        done = found
    else:
        raise refused("not-in-quarantine")
    return JSONResponse(asdict(done))


def read_request(body: bytes) -> ReplayRequest:
    """Read the body of a request.

    Raises:
        Refused: it is not what it should be.
    """
    try:
        return ReplayRequest.model_validate_json(body)
    except ValidationError:
        raise refused("invalid-body") from None
