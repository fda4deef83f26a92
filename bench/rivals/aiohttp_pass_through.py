"""aiohttp's server before aiohttp's client: the least that a pass-through can be in Python."""

from __future__ import annotations

import argparse
import asyncio
import logging

import aiohttp
from aiohttp import web
from yarl import URL

PASSED = ("Content-Type", "Content-Length")


async def main(service: str) -> None:
    """Serve until a signal ends the process."""
    logging.disable()  # who hangs up is none of its concern
    async with aiohttp.ClientSession(auto_decompress=False, read_bufsize=256 * 1024) as session:

        async def pass_through(request: web.BaseRequest) -> web.StreamResponse:
            url = URL(service + request.raw_path.removeprefix("/v2"), encoded=True)
            async with session.get(url, headers={"Accept": request.headers.get("Accept", "*/*")}) as upstream:
                headers = {name: upstream.headers[name] for name in PASSED if name in upstream.headers}
                response = web.StreamResponse(status=upstream.status, headers=headers)
                await response.prepare(request)
                async for chunk in upstream.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
                return response

        server = web.Server(pass_through, access_log=None)
        listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
        print(listening.sockets[0].getsockname()[1], flush=True)
        await listening.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--service", required=True, help="address of the DICOM service, with the version")
    asyncio.run(main(parser.parse_args().service))
