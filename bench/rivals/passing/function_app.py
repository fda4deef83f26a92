"""An app that passes searches on by aiohttp and looks at nothing: the least that an app under the host costs."""

import os
from collections.abc import AsyncIterator

import aiohttp
import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, StreamingResponse

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
_open: list[aiohttp.ClientSession] = []  # once there is an event loop


@app.route("studies", methods=["GET"])
async def search(req: Request) -> StreamingResponse:
    """Answer a search as the service does."""
    if not _open:
        _open.append(aiohttp.ClientSession(auto_decompress=False, read_bufsize=256 * 1024))
    url, headers = f"{os.environ['SERVICE']}/studies?{req.url.query}", {"Accept": "application/dicom+json"}
    upstream = await _open[0].get(url, headers=headers)
    length = {"Content-Length": upstream.headers["Content-Length"]}
    return StreamingResponse(_passed_on(upstream), media_type=upstream.content_type, headers=length)


async def _passed_on(upstream: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async with upstream:
        async for chunk in upstream.content.iter_any():
            yield chunk
