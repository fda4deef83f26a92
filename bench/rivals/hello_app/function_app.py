"""A function app that streams a few bytes: what the functions host and its extension cost by themselves."""

from collections.abc import AsyncIterator

import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, StreamingResponse

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


async def _nothing_found() -> AsyncIterator[bytes]:
    yield b"[{}]"


@app.route("studies", methods=["GET"])
async def search(req: Request) -> StreamingResponse:
    """Answer any search with the same."""
    return StreamingResponse(_nothing_found(), media_type="application/dicom+json")
