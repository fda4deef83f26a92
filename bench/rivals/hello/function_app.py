"""The least app: one function of HTTP, by the same frameworks."""

import azure.functions as func
from azurefunctions.extensions.http.fastapi import JSONResponse, Request

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="health/live", methods=["GET"])
async def live(req: Request) -> JSONResponse:
    """Say hello."""
    return JSONResponse({"status": "ok"})
