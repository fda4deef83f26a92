"""Blob, queue and timer triggers of the functions host, against a real Azurite."""

from __future__ import annotations

import base64
import json
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.component.functions_host.running import APPS, WORKERS, Calls, RunningHost, running, wait_for
from tests.component.functions_host.world import POLL, World, new_world
from tests.kit.connection_strings import endpoint


@pytest.fixture
def world(azurite: str, tmp_path: Path) -> World:
    """Surroundings for a host that a test starts and ends itself."""
    return new_world(azurite, tmp_path)


@dataclass
class Shared:
    """A running storage app."""

    host: RunningHost
    world: World

    @property
    def calls(self) -> Calls:
        return self.world.calls


@pytest.fixture(scope="module", params=WORKERS)
def app(request: pytest.FixtureRequest, azurite: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """The storage app, its short timer firing every second."""
    world = new_world(azurite, tmp_path_factory.mktemp(f"storage-{request.param}"))
    settings = world.settings(EVERY="* * * * * *")
    with running(APPS / "storage", world.folder, request.param, *POLL, settings=settings) as host:
        yield Shared(host, world)


def test_a_new_blob_calls_its_function_once(app: Shared) -> None:
    """The function gets a client of the blob, whatever characters its name holds, and a receipt is kept."""
    name = "a b/é#?%20+.dcm"
    app.world.drop("clients", name)
    app.calls.wait("on_client done", name=name)
    time.sleep(0.6)  # three more polls
    assert len(app.calls.of("on_client", name=name)) == 1
    root = f"blobreceipts/{app.world.prefix}/Host.Functions.on_client/"
    with app.world.container("azure-webjobs-hosts") as hosts:
        receipts = [blob.name for blob in hosts.list_blobs(name_starts_with=root)]
    found = [receipt for receipt in receipts if receipt.endswith(f"/{app.world.prefix}-clients/{name}")]
    assert len(found) == 1
    assert found[0].removeprefix(root).startswith('"0x')


def test_an_overwritten_blob_calls_again(app: Shared) -> None:
    """A new version under an old name is new work."""
    app.world.drop("clients", "again.dcm")
    app.calls.wait("on_client done", name="again.dcm")
    app.world.drop("clients", "again.dcm")
    app.calls.wait("on_client done", 2, name="again.dcm")


def test_a_message_about_an_older_version_is_dropped(app: Shared) -> None:
    """The ETag is looked at when a message is taken: the newer version has a message of its own."""
    app.world.drop("clients", "newer.dcm")
    app.calls.wait("on_client done", name="newer.dcm")
    stale = {
        "FunctionId": "Host.Functions.on_client",
        "ContainerName": f"{app.world.prefix}-clients",
        "BlobName": "newer.dcm",
        "ETag": '"0xSTALE"',
    }
    internal = f"azure-webjobs-blobtrigger-{app.world.prefix}"
    with app.world.queue(internal) as queue:
        queue.send_message(base64.b64encode(json.dumps(stale).encode()).decode())
        wait_for(lambda: queue.get_queue_properties().approximate_message_count == 0)
    assert len(app.calls.of("on_client", name="newer.dcm")) == 1


def test_a_blob_that_fails_five_times_is_set_aside(app: Shared) -> None:
    """Five attempts at once, then the message lies on the poison queue, and no line tells the name."""
    name = "CANARY-fail.dcm"
    app.world.drop("clients", name)
    [message] = wait_for(lambda: app.world.poisoned(name))
    assert message["FunctionId"] == "Host.Functions.on_client"
    assert message["Type"] == "BlobTrigger"
    assert message["ETag"].startswith('"0x')
    assert len(app.calls.of("on_client", name=name)) == 5
    assert app.host.output.count("on_client  failed") >= 5
    assert "RuntimeError function_app.py:" in app.host.output
    assert "CANARY" not in app.host.output


def test_queue_messages_call_the_function(app: Shared) -> None:
    """The body arrives decoded, with its dequeue count; a handled message is gone."""
    _put(app, "hello")
    [call] = app.calls.wait("on_message", text="hello")
    assert (call["dequeue_count"], bool(call["id"])) == (1, True)
    wait_for(lambda: not app.world.texts(f"{app.world.prefix}-work"))


def test_a_message_that_keeps_failing_is_set_aside(app: Shared) -> None:
    """After maxDequeueCount attempts, three here, it lies on `<queue>-poison` unchanged."""
    text = _put(app, "CANARY fail")
    wait_for(lambda: text in _poison(app))
    assert [call["dequeue_count"] for call in app.calls.of("on_message", text="CANARY fail")] == [1, 2, 3]
    assert "CANARY" not in app.host.output


def _put(app: Shared, text: str) -> str:
    encoded = base64.b64encode(text.encode()).decode()
    with app.world.queue(f"{app.world.prefix}-work") as queue:
        queue.send_message(encoded)
    return encoded


def _poison(app: Shared) -> list[str]:
    try:
        return app.world.texts(f"{app.world.prefix}-work-poison")
    except Exception:
        return []


def test_a_timer_fires_by_its_schedule(app: Shared) -> None:
    """Every second here; the context carries the function's name."""
    calls = app.calls.wait("on_timer", 2)
    assert {(call["name"], call["past_due"]) for call in calls} == {("on_timer", False)}
    assert len({call["id"] for call in calls}) == len(calls)


def test_any_trigger_is_fired_by_hand(app: Shared) -> None:
    """The admin API answers 202 and calls a timer, a queue function and a blob function with its input."""
    app.world.drop("events", "by hand.dcm")
    for function, text in (
        ("on_new_year", ""),
        ("on_message", "by hand"),
        ("on_event", f"{app.world.prefix}-events/by hand.dcm"),
    ):
        answer = httpx.post(f"{app.host.url}/admin/functions/{function}", json={"input": text})
        assert answer.status_code == 202
    app.calls.wait("on_new_year")
    app.calls.wait("on_message", text="by hand")
    app.calls.wait("on_event", name="by hand.dcm")


def _deliver(app: Shared, content: object, event_type: str | None = "Notification", **query: str) -> httpx.Response:
    headers = {"aeg-event-type": event_type} if event_type else {}
    url = f"{app.host.url}/runtime/webhooks/blobs"
    return httpx.post(url, json=content, headers=headers, params=query)


def _event(app: Shared, name: str) -> dict[str, Any]:
    url = f"{endpoint(app.world.connection, 'blob')}/{app.world.prefix}-events/{name}"
    return {"eventType": "Microsoft.Storage.BlobCreated", "data": {"url": url, "eTag": "0xSTALE"}}


def test_the_webhook_validates_subscriptions(app: Shared) -> None:
    """The handshake gives the code back; a delivery without its header is 400, another extension 404."""
    asked = [{"data": {"validationCode": "code-1"}}]
    assert _deliver(app, asked, "SubscriptionValidation").json() == {"validationResponse": "code-1"}
    assert _deliver(app, asked, None).status_code == 400
    assert _deliver(app, asked, "Unsubscribe").status_code == 202
    assert httpx.post(f"{app.host.url}/runtime/webhooks/other").status_code == 404


def test_an_event_calls_its_function_without_looking_at_the_etag(app: Shared) -> None:
    """A function that waits for events is not polled for; an event calls it for what is there now."""
    app.world.drop("events", "one two.dcm")
    answer = _deliver(app, [_event(app, "one%20two.dcm")], functionName="Host.Functions.on_event")
    assert answer.status_code == 202
    app.calls.wait("on_event", name="one two.dcm")
    assert len(app.calls.of("on_event", name="one two.dcm")) == 1


def test_odd_events_end_as_they_do_in_azure(app: Shared) -> None:
    """A wrong function name is lost in silence; an event without a url fails; a deleted blob is dropped."""
    lost = _deliver(app, _event(app, "x.dcm"), functionName="Host.Functions.nobody")
    assert lost.status_code == 202
    renamed = _deliver(app, [{"data": {"destinationUrl": "x"}}], functionName="Host.Functions.on_event")
    assert renamed.status_code == 500
    gone = _deliver(app, [_event(app, "gone.dcm")], functionName="Host.Functions.on_event")
    assert gone.status_code == 202
    wait_for(lambda: not app.world.texts(f"azure-webjobs-blobtrigger-{app.world.prefix}"))
    assert not app.calls.of("on_event", name="gone.dcm")


def test_a_killed_host_leaves_nothing_undone(world: World) -> None:
    """After kill -9 in mid-call a new host calls again for that blob, and only for that one."""
    app, calls = APPS / "storage", world.calls
    with running(app, world.folder, WORKERS[0], *POLL, "--lock-seconds", "1", settings=world.settings()) as host:
        world.drop("clients", "done.dcm")
        calls.wait("on_client done", name="done.dcm")
        world.drop("clients", "slow.dcm")
        calls.wait("on_client", name="slow.dcm")
        host.stop(signal.SIGKILL)
    with running(app, world.folder, WORKERS[0], *POLL, settings=world.settings(SLOW_SECONDS="0")):
        calls.wait("on_client done", name="slow.dcm")
    assert len(calls.of("on_client", name="slow.dcm")) == 2
    assert len(calls.of("on_client", name="done.dcm")) == 1
