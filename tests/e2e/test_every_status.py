"""Every lookup with every status that it can have, through the functions host and the DICOM service."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from local import samples
from local.stack import Stack
from query_api.lookup import Route
from query_api.routes import ROUTES
from tests.kit.drop_box import instance_of
from tests.kit.stack_service import Service

PARTITION = "every-status"
NOWHERE = {"study": "1.2.3", "series": "1.2.3.4", "instance": "1.2.3.4.5"}
NO_UIDS = {"study": "x_", "series": "x_", "instance": "x_"}

# Which lookups there are, by what they have in common.
SEARCHES = [route for route in ROUTES if route.transaction == "search"]
RETRIEVALS = [route for route in ROUTES if route.transaction == "retrieve"]
METADATA = [route for route in RETRIEVALS if route.resource.endswith("metadata")]
OF_SERVICE = [route for route in ROUTES if route.transaction != "openapi"]  # the others ask nobody

Told = dict[str, tuple[int | str, str | None]]


@dataclass(frozen=True)
class Place:
    """A stack that has a picture of 30 frames in colour.

    Args:
        uids: of that picture, by the names of the routes' parameters.
    """

    stack: Stack
    uids: dict[str, str]

    def url(self, route: Route, uids: dict[str, str]) -> str:
        """Return the address of a lookup of that picture, or of other UIDs."""
        parameters = {"partition": PARTITION, "frames": "1", **self.uids, **uids}
        return f"{self.stack.app_url}/{route.path.format(**parameters)}"


@dataclass(frozen=True)
class World:
    """A service without partitions, and one with them."""

    plain: Place
    partitioned: Place

    def place_of(self, route: Route) -> Place:
        """Return where a lookup of this route finds the picture."""
        return self.partitioned if "{partition}" in route.path else self.plain

    @contextmanager
    def failing(self, **fault: object) -> Iterator[None]:
        """Have both services fail."""
        for place in (self.plain, self.partitioned):
            Service(place.stack).inject(**{"kind": "any", "requests": None, **fault})
        try:
            yield
        finally:
            for place in (self.plain, self.partitioned):
                Service(place.stack).mend()

    async def ask(
        self,
        routes: list[Route],
        *,
        method: str = "GET",
        key: str | None = None,
        uids: dict[str, str] | None = None,
        suffix: str = "",
        **options: Any,
    ) -> Told:
        """Ask all at once, and return each one's status, or how it failed, with the code of a problem."""

        async def one(client: httpx.AsyncClient, route: Route) -> tuple[int | str, str | None]:
            place = self.place_of(route)
            headers = {"x-functions-key": place.stack.function_key if key is None else key}
            headers |= options.get("headers", {})
            try:
                response = await client.request(
                    method, place.url(route, uids or {}) + suffix, headers=headers, params=options.get("params")
                )
            except httpx.RemoteProtocolError:
                return "cut", None
            return response.status_code, _code(response)

        async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
            told = await asyncio.gather(*(one(client, route) for route in routes))
        return {route.name: answer for route, answer in zip(routes, told, strict=True)}


def _code(response: httpx.Response) -> str | None:
    if response.headers.get("content-type") != "application/problem+json":
        return None
    assert response.headers["cache-control"] == "private, no-cache"
    assert response.headers["x-request-id"]
    code: str = response.json()["code"]
    return code


def all_of(routes: list[Route], status: int | str, code: str | None = None) -> Told:
    return {route.name: (status, code) for route in routes}


@pytest.fixture(scope="module")
def world(stack: Stack, partitioned_stack: Stack) -> World:
    """The two stacks, with the same picture in each."""
    content = samples.pydicom_file("examples_ybr_color.dcm")
    one = instance_of(content)
    uids = {"study": one.study, "series": one.series, "instance": one.sop}
    Service(stack).store(content)
    Service(partitioned_stack, PARTITION).store(content)
    return World(Place(stack, uids), Place(partitioned_stack, uids))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_200(world: World, method: str) -> None:
    """All find the picture."""
    assert await world.ask(list(ROUTES), method=method) == all_of(list(ROUTES), 200)


async def test_400(world: World) -> None:
    """A parameter that nobody knows, and UIDs that are none."""
    told = await world.ask(OF_SERVICE, params={"nonsense": "1"})
    assert told == all_of(OF_SERVICE, 400, "invalid-parameter")
    with_uids = [route for route in ROUTES if "{study}" in route.path]
    assert await world.ask(with_uids, uids=NO_UIDS) == all_of(with_uids, 400, "invalid-parameter")


async def test_401(world: World) -> None:
    """The host's own, before the app is asked."""
    assert await world.ask(list(ROUTES), key="wrong") == all_of(list(ROUTES), 401)
    assert await world.ask(list(ROUTES), key="wrong", suffix="/nowhere") == all_of(list(ROUTES), 401)


async def test_404(world: World) -> None:
    """No such study; no such path. A search of a study that is not there finds nothing."""
    told = await world.ask(RETRIEVALS, uids=NOWHERE)
    assert {name: status for name, (status, _) in told.items()} == {route.name: 404 for route in RETRIEVALS}
    assert {code for _, code in told.values()} <= {"not-found", "no-picture"}
    assert await world.ask(SEARCHES, uids=NOWHERE) == all_of(SEARCHES, 200)
    assert await world.ask(list(ROUTES), suffix="/no/where") == all_of(list(ROUTES), 404, "unknown-path")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_405(world: World, method: str) -> None:
    """Nothing here can write or delete."""
    assert await world.ask(list(ROUTES), method=method) == all_of(list(ROUTES), 405, "method-not-allowed")


async def test_414(world: World) -> None:
    """Longer than what goes into a request."""
    told = await world.ask(list(ROUTES), params={"PatientName": "x" * 9000})
    assert {name: status for name, (status, _) in told.items()} == {route.name: 414 for route in ROUTES}


@pytest.mark.parametrize(
    ("status", "told", "code"),
    [(429, 429, "service-throttles"), (503, 503, "service-busy"), (500, 502, "service-failed")],
)
async def test_when_the_service_fails(world: World, status: int, told: int, code: str) -> None:
    """429 and 503 are passed on; an error of the service's is not one of ours."""
    with world.failing(fault="status", status=status, retry_after="100"):
        assert await world.ask(OF_SERVICE) == all_of(OF_SERVICE, told, code)
    assert await world.ask(OF_SERVICE) == all_of(OF_SERVICE, 200)


async def test_cut(world: World) -> None:
    """What is cut in the middle is cut for the caller, too; what is asked for again arrives after all."""
    with world.failing(fault="cut", bytes=700, kind="retrieve"):
        routes = [route for route in RETRIEVALS if route.resource in ("study", "series", "instance")]
        assert await world.ask(routes) == all_of(routes, "cut")
    for kind, routes in (
        ("metadata", METADATA),
        ("frames", [route for route in RETRIEVALS if route.resource == "frames"]),
    ):
        with world.failing(fault="cut", bytes=700, kind=kind):
            assert await world.ask(routes) == all_of(routes, "cut")
    with world.failing(fault="cut", bytes=20, kind="search", requests=1):
        one_each = [SEARCHES[0], next(route for route in SEARCHES if "{partition}" in route.path)]
        assert await world.ask(one_each) == all_of(one_each, 200)
