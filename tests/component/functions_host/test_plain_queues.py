"""Queues of plain text, the queues of what was set aside, and the app's clock, against a real Azurite."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from azure.storage.queue import QueueServiceClient

from tests.component.functions_host.running import APPS, WORKERS, RunningHost, running, wait_for
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


def test_behind_a_poison_queue_there_is_no_other(app: Shared) -> None:
    """What fails there comes back when its lock runs out, beyond maxDequeueCount."""
    app.put("fail twice")
    calls = app.world.calls.wait("on_plain_poison", 2, text="fail twice")
    assert [call["dequeue_count"] for call in calls] == [1, 2]
    wait_for(lambda: not app.world.texts(f"{app.world.prefix}-plain-poison"))
    with QueueServiceClient.from_connection_string(app.world.connection) as queues:
        names = {queue.name for queue in queues.list_queues(name_starts_with=app.world.prefix)}
    assert names == {f"{app.world.prefix}-plain", f"{app.world.prefix}-plain-poison"}


def test_a_blob_that_was_given_up_calls_the_function_of_that_queue(app: Shared) -> None:
    """The blob trigger's own messages are base64, whatever host.json says of the app's queues."""
    app.world.drop("clients", "a b.dcm")
    mine = {"FunctionId": "Host.Functions.on_client", "ContainerName": f"{app.world.prefix}-clients"}

    def about_mine() -> list[dict[str, str]]:
        texts = [call["text"] for call in app.world.calls.of("on_blob_poison")]
        contents = [json.loads(base64.b64decode(text)) for text in texts]
        return [content for content in contents if mine.items() <= content.items()]

    [content] = wait_for(about_mine)
    assert content["BlobName"] == "a b.dcm"


def test_the_apps_clock_runs_ahead(app: Shared) -> None:
    """`shared.clock.now` is replaced before the app is loaded; the host's own clock is the machine's."""
    before = datetime.now(UTC)
    app.fire("on_new_year")
    [call] = app.world.calls.wait("on_new_year")
    ahead = datetime.fromisoformat(call["now"]) - timedelta(days=10)
    assert before <= ahead <= datetime.now(UTC)
