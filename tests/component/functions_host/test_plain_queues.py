"""Queues of plain text, the queues of what was set aside, and the app's clock, against a real Azurite."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from tests.component.functions_host.running import APPS, WORKERS, RunningHost, running
from tests.component.functions_host.world import World, new_world

OPTIONS = ("--poll-seconds", "0.1", "--lock-seconds", "1", "--clock-ahead-seconds", "864000")


@dataclass
class Shared:
    """A running app whose host.json says `"messageEncoding": "none"`."""

    host: RunningHost
    world: World

    def put(self, text: str) -> None:
        with self.world.queue(f"{self.world.prefix}-plain") as queue:
            queue.send_message(text)

    def fire(self, function: str, text: str = "") -> None:
        answer = httpx.post(f"{self.host.url}/admin/functions/{function}", json={"input": text})
        assert answer.status_code == 202


@pytest.fixture(scope="module", params=WORKERS)
def app(request: pytest.FixtureRequest, azurite: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """The app of plain queues, its clock ten days ahead."""
    world = new_world(azurite, tmp_path_factory.mktemp(f"queues-{request.param}"))
    with running(APPS / "queues", world.folder, request.param, *OPTIONS, settings=world.settings()) as host:
        yield Shared(host, world)


@pytest.mark.parametrize("text", ['{"a": "é 🫀"}', base64.b64encode(b'{"a": 1}').decode(), "not base64!", "\ufeff{}"])
def test_a_message_arrives_as_it_lay_in_the_queue(app: Shared, text: str) -> None:
    """Text is not decoded, whether it is base64 or not, on a queue or by hand."""
    app.put(text)
    app.world.calls.wait("on_plain", text=text)
    app.fire("on_plain", text)
    assert app.world.calls.wait("on_plain", 2, text=text)[0]["dequeue_count"] == 1


@pytest.mark.parametrize("text", ["fail 🫀", base64.b64encode(b"a fail").decode() + "fail"])
def test_what_is_set_aside_calls_the_function_of_its_queue(app: Shared, text: str) -> None:
    """The copy on `<queue>-poison` is the message unchanged."""
    app.put(text)
    app.world.calls.wait("on_plain_poison", text=text)
    assert len(app.world.calls.of("on_plain", text=text)) == 1
