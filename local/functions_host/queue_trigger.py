"""The queue trigger: messages call functions, and go to `<queue>-poison` after too many tries."""

from __future__ import annotations

import json
from datetime import datetime

from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from local.functions_host.functions import Function, TypedValue
from local.functions_host.invocations import Invocation, InvocationFailed, Invoker
from local.functions_host.listeners import Listeners
from local.functions_host.output import say
from local.functions_host.queue_pump import PumpSettings, QueuePump, Unreadable
from local.functions_host.settings import HostSettings, QueueSettings, resolve_percent
from local.functions_host.storage import Account, Accounts, decode_message

_POISON = "-poison"


def read_queue_name(function: Function) -> str:
    """Return the name of the queue a function listens to.

    Raises:
        LoadError: a setting in the name is missing.
    """
    # The service knows lower-case names only; the host lowers them.
    return resolve_percent(str(function.trigger["queueName"])).lower()


async def listen(
    function: Function, accounts: Accounts, invoker: Invoker, settings: HostSettings, listeners: Listeners
) -> None:
    """Start draining a function's queue; the queue is created if it is missing.

    Raises:
        LoadError: the trigger's connection or queue name is no good.
        AzureError: storage does not answer.
    """
    account = accounts.get(function.trigger.get("connection"))
    name = read_queue_name(function)
    queue = await account.queue(name)
    calls = QueueCalls(function, account, f"{name}{_POISON}", invoker, settings.queues)
    poison = None if name.endswith(_POISON) else calls.poison
    listeners.add(function.name, QueuePump(queue, _pump_settings(settings), calls.handle, poison))


def _pump_settings(settings: HostSettings) -> PumpSettings:
    queues = settings.queues
    return PumpSettings(
        parallelism=queues.batch_size + queues.new_batch_threshold,
        batch_size=queues.batch_size,
        max_dequeue_count=queues.max_dequeue_count,
        retry_after_seconds=queues.visibility_timeout_seconds,
        lock_seconds=settings.lock_seconds,
        poll_seconds=settings.poll_seconds,
    )


class QueueCalls:
    """Handles the messages of one queue."""

    def __init__(
        self, function: Function, account: Account, poison_name: str, invoker: Invoker, settings: QueueSettings
    ) -> None:
        self._function = function
        self._account = account
        self._poison_name = poison_name
        self._poison_queue: QueueClient | None = None
        self._invoker = invoker
        self._settings = settings

    async def handle(self, message: QueueMessage) -> bool:
        """Call the function with a message; return whether it succeeded.

        Raises:
            Unreadable: the message is not base64 although host.json says so.
        """
        try:
            await self._invoker.run(Invocation(self._function, self._body(message), _metadata(message)))
        except InvocationFailed:
            return False
        return True

    def _body(self, message: QueueMessage) -> TypedValue:
        text = str(message.content)
        if not self._settings.base64:
            return TypedValue("string", text)
        try:
            return body_value(decode_message(text))
        except ValueError:
            say(self._function.name, "Message decoding has failed! Check MessageEncoding settings")
            raise Unreadable from None

    async def poison(self, message: QueueMessage) -> None:
        """Put the message, unchanged, on the poison queue."""
        if self._poison_queue is None:
            self._poison_queue = await self._account.queue(self._poison_name)
        await self._poison_queue.send_message(message.content)


def body_value(body: bytes) -> TypedValue:
    """Return a message's body as the host sends it: text where it is text."""
    try:
        return TypedValue("string", body.decode())
    except UnicodeDecodeError:
        return TypedValue("bytes", body)


def _metadata(message: QueueMessage) -> dict[str, TypedValue]:
    return {
        "Id": TypedValue("string", message.id),
        "PopReceipt": TypedValue("string", message.pop_receipt),
        "DequeueCount": TypedValue("json", json.dumps(message.dequeue_count)),
        "ExpirationTime": _time(message.expires_on),
        "InsertionTime": _time(message.inserted_on),
        "NextVisibleTime": _time(message.next_visible_on),
    }


def _time(moment: datetime | None) -> TypedValue:
    return TypedValue("string", f"{moment:%Y-%m-%dT%H:%M:%S+00:00}" if moment else "")


def by_hand(function: Function, text: str) -> Invocation:
    """Return a call with a message that never was on a queue."""
    return Invocation(function, TypedValue("string", text), {"DequeueCount": TypedValue("json", "1")})
