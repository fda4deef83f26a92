"""An answer that takes minutes: what moves is not cut, however long it takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from local.stack import Stack
from shared.dicomweb.multipart import closing_delimiter, part_head
from tests.kit.service import serving

MINUTES = 2.1
PAUSE_SECONDS = 0.5
IDLE_SECONDS = 5
BOUNDARY = b"slowly"


async def _slowly(request: Request) -> Response:
    """Answer with a study whose one part comes byte by byte."""

    async def body() -> AsyncIterator[bytes]:
        yield part_head(BOUNDARY, "application/dicom")
        ends = time.monotonic() + MINUTES * 60
        while time.monotonic() < ends:
            yield b"."
            await asyncio.sleep(PAUSE_SECONDS)
        yield closing_delimiter(BOUNDARY)

    content_type = f'multipart/related; type="application/dicom"; boundary={BOUNDARY.decode()}'
    return StreamingResponse(body(), media_type=content_type)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An app before a service that is slow."""
    with serving(Starlette(routes=[Route("/v2/studies/{study}", _slowly)])) as service:
        settings = {"DICOM_SERVICE_URL": f"{service}/v2", "LOOKUP_TIMEOUT_SECONDS": str(IDLE_SECONDS)}
        # Nothing is dropped there: it need not look for work.
        with Stack(tmp_path_factory.mktemp("slow"), auth=True, poll_seconds=5, settings=settings) as running:
            yield running


@pytest.mark.timeout(300)
def test_a_stream_of_minutes_arrives_whole(stack: Stack) -> None:
    """It takes far longer than the app lets an answer stand still, and each byte is handed on as it comes."""
    began = last = time.monotonic()
    pauses, content = [], b""
    headers = {"x-functions-key": stack.function_key}
    url = f"{stack.app_url}/studies/1.2.3"
    with httpx.stream("GET", url, headers=headers, timeout=60, trust_env=False) as response:
        assert response.status_code == 200
        for chunk in response.iter_raw():
            content += chunk
            pauses.append(time.monotonic() - last)
            last = time.monotonic()
    assert last - began > 60 * MINUTES
    assert content.endswith(closing_delimiter(BOUNDARY))
    assert content.count(b".") > 100
    # Gathered up, they would come in a few large chunks.
    assert len(pauses) > 100
