"""Streaming HTTP functions, each of which shows one thing the host must get right."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path

import azure.functions as func
from azurefunctions.extensions.http.fastapi import JSONResponse, Request, Response, StreamingResponse

# The extension's own web server, where there is one, would print query strings and exception texts.
for name in ("uvicorn.access", "uvicorn.error"):
    logging.getLogger(name).addFilter(lambda record: False)

GO_ON = Path(os.environ.get("GO_ON", "go_on"))
CLOSED = Path(os.environ.get("CLOSED", "closed"))

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.route(route="echo/{first}/{*rest}", methods=["GET", "POST", "PUT"])
async def echo(req: Request) -> JSONResponse:
    body = b"".join([chunk async for chunk in req.stream()])
    headers = sorted([name, value] for name, value in req.headers.items())
    return JSONResponse(
        {
            "method": req.method,
            "params": dict(req.path_params),
            "query": req.url.query,
            "url": str(req.url),
            "headers": headers,
            "size": len(body),
        }
    )


@app.route(route="loop", methods=["GET"])
async def loop(req: Request) -> Response:
    return Response(type(asyncio.get_running_loop()).__module__)


@app.route(route="chunks/{count:int}", methods=["GET"])
async def chunks(req: Request) -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        for number in range(int(req.path_params["count"])):
            yield f"chunk {number}\n".encode()
            # The client lets us go on by making the file that it was told of.
            while not GO_ON.exists():  # noqa: ASYNC110, ASYNC240 - the other side is another process
                await asyncio.sleep(0.02)

    return StreamingResponse(body(), media_type="text/plain")


@app.route(route="endless", methods=["GET"])
async def endless(req: Request) -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 1024
                await asyncio.sleep(0.02)
        finally:
            CLOSED.write_text("closed")  # noqa: ASYNC240 - a few bytes

    return StreamingResponse(body())


@app.route(route="broken", methods=["GET"])
async def broken(req: Request) -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        await asyncio.sleep(0.1)
        raise RuntimeError("CANARY in a broken stream")

    return StreamingResponse(body())


@app.route(route="large/{mebibytes:int}", methods=["GET"])
async def large(req: Request) -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        block = bytes(1024 * 1024)
        for _ in range(int(req.path_params["mebibytes"])):
            yield block

    return StreamingResponse(body())


@app.route(route="raises", methods=["GET"])
async def raises(req: Request) -> Response:
    raise ValueError("CANARY in an exception")


@app.route(route="nothing", methods=["GET"])
async def nothing(req: Request) -> Response:
    return None


@app.route(route="slow/{seconds:int}", methods=["GET"])
async def slow(req: Request) -> Response:
    await asyncio.sleep(int(req.path_params["seconds"]))
    return Response("at last")


@app.route(route="blocking", methods=["GET"])
def blocking(req: Request) -> Response:
    return Response("from a thread", media_type="text/plain")


@app.route(route="bare", methods=["GET"])
async def bare(req: Request) -> Response:
    return Response(b"no type", status_code=203)


@app.route(route="says", methods=["GET"])
async def says(req: Request) -> Response:
    logging.info('{"event": "said by logging"}')
    print("said by print")  # noqa: T201 - this is what the test is about
    return Response(status_code=204)


@app.route(route="open", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def anonymous(req: Request) -> Response:
    return Response("anonymous", headers={"vary": "Accept"})


@app.route(route="admin-only", methods=["GET"], auth_level=func.AuthLevel.ADMIN)
async def admin_only(req: Request) -> Response:
    return Response("admin")


@app.function_name("B_second")
@app.route(route="order/{x}", methods=["GET"])
async def second(req: Request) -> Response:
    return Response("second")


@app.function_name("a_first")
@app.route(route="order/{*rest}", methods=["GET"])
async def first(req: Request) -> Response:
    return Response("first")


@app.function_name("Aa_specific")
@app.route(route="order/exact", methods=["GET", "POST"])
async def specific(req: Request) -> Response:
    return Response("specific")
