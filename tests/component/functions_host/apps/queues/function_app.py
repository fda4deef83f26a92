"""Functions on queues of plain text and on what is set aside; each notes its calls in a file that the test reads."""

import json
import os
import threading
from pathlib import Path

import azure.functions as func
import azurefunctions.extensions.bindings.blob as blob

from shared import clock

app = func.FunctionApp()
PREFIX = os.environ["TEST_PREFIX"]
CALLS = Path(os.environ["CALLS"])
_lock = threading.Lock()


def note(function: str, message: func.QueueMessage) -> str:
    text = message.get_body().decode()
    with _lock, CALLS.open("a") as file:
        file.write(json.dumps({"function": function, "text": text, "dequeue_count": message.dequeue_count}) + "\n")
    return text


@app.queue_trigger(arg_name="message", queue_name=f"{PREFIX}-plain", connection="INBOX")
async def on_plain(message: func.QueueMessage) -> None:
    if "fail" in note("on_plain", message):
        raise RuntimeError("no")


@app.queue_trigger(arg_name="message", queue_name=f"{PREFIX}-plain-poison", connection="INBOX")
async def on_plain_poison(message: func.QueueMessage) -> None:
    if "twice" in note("on_plain_poison", message) and message.dequeue_count == 1:
        raise RuntimeError("no")


@app.queue_trigger(arg_name="message", queue_name="webjobs-blobtrigger-poison", connection="INBOX")
async def on_blob_poison(message: func.QueueMessage) -> None:
    note("on_blob_poison", message)


@app.blob_trigger(arg_name="client", path=f"{PREFIX}-clients/{{name}}", connection="INBOX")
async def on_client(client: blob.BlobClient) -> None:
    raise RuntimeError("no")


@app.timer_trigger(arg_name="timer", schedule="0 0 3 1 1 *")
def on_new_year(timer: func.TimerRequest) -> None:
    with _lock, CALLS.open("a") as file:
        file.write(json.dumps({"function": "on_new_year", "now": clock.now().isoformat()}) + "\n")
