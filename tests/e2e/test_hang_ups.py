"""Callers that hang up midway, or hold on, through the functions host: they leave nothing behind, and starve nobody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from local.stack import Stack
from tests.kit.drop_box import DropBox, make_instance, wait_for
from tests.kit.files import Sample, pixels
from tests.kit.stack_service import Service

CALLERS = 200
LARGE = Sample(elements=pixels(bytes(8 * 1024 * 1024), rows=2048, columns=4096))
_ESTABLISHED = "01"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One that answers so many at a time."""
    settings = {"LOOKUP_CONCURRENCY": str(CALLERS)}
    with Stack(tmp_path_factory.mktemp("hang-ups"), auth=True, settings=settings) as running:
        Service(running).store(LARGE.content)
        yield running


async def test_two_hundred_callers_that_hang_up_midway(stack: Stack) -> None:
    """No connection to the service stays open, no place stays taken, and the app goes on."""
    limits = httpx.Limits(max_connections=None)
    headers = {"x-functions-key": stack.function_key}
    async with httpx.AsyncClient(headers=headers, timeout=60, trust_env=False, limits=limits) as http:
        await asyncio.gather(*(_hang_up(http, stack.app_url + LARGE.path) for _ in range(CALLERS)))
        await asyncio.to_thread(wait_for, lambda: len(_hung_up(stack)) == CALLERS, "not all are over")
        await asyncio.to_thread(wait_for, lambda: _connections_to(stack.ports.dicom) == 0, "some are open still")
        whole = await http.get(stack.app_url + LARGE.path)
        assert whole.content == LARGE.content


async def test_callers_that_hold_on_do_not_starve_ingest(stack: Stack) -> None:
    """As many lookups as there may be wait for the service; meanwhile a file is stored, and the app is ready."""
    service = Service(stack)
    limits = httpx.Limits(max_connections=None)
    headers = {"x-functions-key": stack.function_key}
    async with httpx.AsyncClient(headers=headers, timeout=150, trust_env=False, limits=limits) as http:
        service.inject(fault="delay", kind="retrieve", seconds=100, requests=None)
        callers = [asyncio.create_task(http.get(stack.app_url + LARGE.path)) for _ in range(CALLERS)]
        await asyncio.to_thread(wait_for, lambda: _connections_to(stack.ports.dicom) >= CALLERS, "not all are there")
        receipt = await asyncio.to_thread(DropBox(stack).settle, "meanwhile.dcm", make_instance().content)
        assert (receipt["verdict"], receipt["attempts"]) == ("stored", 1)
        assert (await http.get(f"{stack.app_url}/health/ready")).status_code == 200
        assert not any(caller.done() for caller in callers)
        for caller in callers:
            caller.cancel()
        service.mend()
        await asyncio.to_thread(wait_for, lambda: _connections_to(stack.ports.dicom) <= 2, "some are open still")


async def _hang_up(http: httpx.AsyncClient, url: str) -> None:
    async with http.stream("GET", url) as response:
        assert response.status_code == 200
        async for _ in response.aiter_raw():
            return


def _hung_up(stack: Stack) -> list[str]:
    lines = (
        line[line.find("{") :] for line in (stack.folder / "app.log").read_text().splitlines() if '"lookup"' in line
    )
    return [line for line in lines if json.loads(line).get("error") == "ClientDisconnect"]


def _connections_to(port: int) -> int:
    """Count the connections of this machine to a port of itself (proc(5), net/tcp)."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(line.split()[2].endswith(f":{port:04X}") and line.split()[3] == _ESTABLISHED for line in lines)
