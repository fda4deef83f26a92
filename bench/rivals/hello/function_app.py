"""The least app, by the same frameworks: what the functions host and its extension cost by themselves."""

from collections.abc import AsyncIterator

import azure.functions as func
from azurefunctions.extensions.http.fastapi import JSONResponse, Request, StreamingResponse

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="health/live", methods=["GET"])
async def live(req: Request) -> JSONResponse:
    """Say that it is there: the first answer of a cold start."""
    return JSONResponse({"status": "ok"})


@app.route("studies", methods=["GET"])
async def search(req: Request) -> StreamingResponse:
    """Answer any search with the same few bytes, streamed."""
    return StreamingResponse(_nothing_found(), media_type="application/dicom+json")


async def _nothing_found() -> AsyncIterator[bytes]:
    yield b"[{}]"
