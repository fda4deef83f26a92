"""Functions on blobs, queues and timers; each notes its calls in a file that the test reads."""

import asyncio
import json
import os
import threading
import time
from pathlib import Path

import azure.functions as func
import azurefunctions.extensions.bindings.blob as blob

app = func.FunctionApp()
PREFIX = os.environ.get("TEST_PREFIX", "t")
CALLS = Path(os.environ.get("CALLS", "calls.jsonl"))
_lock = threading.Lock()


def note(**call: object) -> None:
    with _lock, CALLS.open("a") as file:
        file.write(json.dumps(call) + "\n")


@app.blob_trigger(arg_name="client", path=f"{PREFIX}-clients/{{name}}", connection="INBOX")
async def on_client(client: blob.BlobClient) -> None:
    note(function="on_client", container=client.container_name, name=client.blob_name)
    if "fail" in client.blob_name:
        raise RuntimeError(f"CANARY {client.blob_name}")
    if "slow" in client.blob_name:
        await asyncio.sleep(float(os.environ.get("SLOW_SECONDS", "30")))
    note(function="on_client done", name=client.blob_name)


@app.blob_trigger(arg_name="content", path=f"{PREFIX}-streams/in/{{name}}.txt", connection="INBOX")
def on_stream(content: func.InputStream) -> None:
    note(function="on_stream", name=content.name, length=content.length, text=content.read().decode())


@app.blob_trigger(
    arg_name="client", path=f"{PREFIX}-events/{{name}}", connection="INBOX", source=func.BlobSource.EVENT_GRID
)
async def on_event(client: blob.BlobClient) -> None:
    note(function="on_event", name=client.blob_name)


@app.queue_trigger(arg_name="message", queue_name=f"{PREFIX}-work", connection="INBOX")
def on_message(message: func.QueueMessage) -> None:
    text = message.get_body().decode()
    note(function="on_message", text=text, dequeue_count=message.dequeue_count, id=message.id)
    if "fail" in text:
        raise RuntimeError(f"CANARY {text}")
    time.sleep(0.1)


@app.timer_trigger(arg_name="timer", schedule="%EVERY%", use_monitor=False)
async def on_timer(timer: func.TimerRequest, context: func.Context) -> None:
    note(function="on_timer", past_due=timer.past_due, name=context.function_name, id=context.invocation_id)


@app.timer_trigger(arg_name="timer", schedule="0 0 3 1 1 *")
async def on_new_year(timer: func.TimerRequest) -> None:
    note(function="on_new_year", past_due=timer.past_due)
