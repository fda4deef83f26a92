"""Starlette and aiohttp with nothing between them, on uvicorn and httptools: a pass-through written by hand."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import aiohttp
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route
from yarl import URL

PASSED = ("content-type", "content-length")


async def main(service: str) -> None:
    """Serve until a signal ends the process."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(auto_decompress=False, read_bufsize=256 * 1024) as app.state.session:
            yield

    async def pass_through(request: Request) -> StreamingResponse:
        session: aiohttp.ClientSession = request.app.state.session
        url = URL(f"{service}{request.url.path.removeprefix('/v2')}?{request.url.query}", encoded=True)
        upstream = await session.get(url, headers={"Accept": request.headers.get("accept", "*/*")})

        async def body() -> AsyncIterator[bytes]:
            async with upstream:
                async for chunk in upstream.content.iter_any():
                    yield chunk

        headers = {name: upstream.headers[name] for name in PASSED if name in upstream.headers}
        return StreamingResponse(body(), upstream.status, headers)

    app = Starlette(routes=[Route("/v2/{path:path}", pass_through)], lifespan=lifespan)
    # With its protocol named: asyncio sends at once, without waiting to fill a packet, only over such a one.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen(128)
    print(listening.getsockname()[1], flush=True)
    config = uvicorn.Config(app, http="httptools", loop="asyncio", log_level="error", access_log=False)
    await uvicorn.Server(config).serve([listening])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--service", required=True, help="address of the DICOM service, with the version")
    asyncio.run(main(parser.parse_args().service))
