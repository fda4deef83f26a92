"""The blob trigger: containers are polled, each new version becomes a message, messages call functions.

The message queue is the host's own, `azure-webjobs-blobtrigger-{host id}`; events from Event Grid
join it through the webhook.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.blob import BlobProperties
from azure.storage.blob.aio import BlobClient
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from local.functions_host.functions import Function, LoadError, TypedValue
from local.functions_host.invocations import Invocation, InvocationFailed, Invoker
from local.functions_host.output import say
from local.functions_host.queue_pump import Unreadable
from local.functions_host.settings import STORAGE_CONNECTION, resolve_percent
from local.functions_host.storage import Account, Accounts, decode_message, send

POISON_QUEUE = "webjobs-blobtrigger-poison"
_GONE = frozenset({404, 412})


@dataclass(frozen=True)
class BlobSource:
    """What a blob-triggered function listens to."""

    function: Function
    account: Account
    connection: str
    container: str
    pattern: re.Pattern[str]


def read_source(function: Function, accounts: Accounts) -> BlobSource:
    """Read a blob trigger's path and connection.

    Raises:
        LoadError: the path or the connection is no good.
    """
    connection = str(function.trigger.get("connection") or STORAGE_CONNECTION)
    path = resolve_percent(str(function.trigger.get("path", "")))
    container, _, name = path.partition("/")
    if not container or "{" in container:
        raise LoadError(f"{function.name}: the path {path!r} must begin with a container's name")
    return BlobSource(function, accounts.get(connection), connection, container, _name_pattern(name))


def _name_pattern(template: str) -> re.Pattern[str]:
    """Compile `{name}`, `in/{name}.dcm` and the like; a parameter takes any text, slashes too."""
    if not template:
        return re.compile(r".*", re.DOTALL)
    pieces = re.split(r"\{[^{}]+\}", template)
    return re.compile(".+".join(re.escape(piece) for piece in pieces), re.DOTALL)


def trigger_message(function_id: str | None, container: str, name: str, etag: str) -> str:
    """Return the message that stands for one version of a blob."""
    return json.dumps(
        {
            "Type": "BlobTrigger",
            "FunctionId": function_id,
            "BlobType": "BlockBlob",
            "ContainerName": container,
            "BlobName": name,
            "ETag": f'"{etag.strip(chr(34))}"',
        }
    )


class BlobCalls:
    """Handles the messages of the internal queue."""

    def __init__(self, sources: Iterable[BlobSource], invoker: Invoker, host_account: Account) -> None:
        self._sources = {source.function.qualified_name: source for source in sources}
        self._invoker = invoker
        self._host_account = host_account
        self._poison_queues: dict[int, QueueClient] = {}

    async def handle(self, message: QueueMessage) -> bool:
        """Call the function that a message is for; return whether that is done with.

        Raises:
            Unreadable: the message is not one of ours.
        """
        content = _read(message)
        function_id = content.get("FunctionId")
        if not function_id:
            say("blob trigger", "Invalid function ID")
            return False
        source = self._sources.get(str(function_id))
        if source is None:
            return True  # the real host drops it in silence, too
        return await self._call(source, content)

    async def _call(self, source: BlobSource, content: Mapping[str, Any]) -> bool:
        container, name = str(content["ContainerName"]), str(content["BlobName"])
        blob = source.account.blobs.get_blob_client(container, name)
        properties = await _properties(blob)
        if properties is None:
            return True
        if not source.function.from_event_grid and _differ(properties.etag, content["ETag"]):
            return True  # a newer version has a message of its own
        try:
            await self._invoker.run(await invocation_for(source, blob, properties))
        except InvocationFailed:
            return False
        except ResourceNotFoundError:
            return True  # went away before its content was read
        return True

    async def poison(self, message: QueueMessage) -> None:
        """Put the message, unchanged, on the poison queue in the blob's account."""
        try:
            source = self._sources.get(str(_read(message).get("FunctionId")))
        except Unreadable:
            source = None
        account = source.account if source else self._host_account
        if id(account) not in self._poison_queues:
            self._poison_queues[id(account)] = await account.queue(POISON_QUEUE)
        await send(self._poison_queues[id(account)], str(message.content), encode=False, expires=True)
        name = source.function.name if source else "blob trigger"
        say(name, "given up", f"its message was moved to {POISON_QUEUE}")

    async def by_hand(self, function: Function, path: str) -> None:
        """Call a function for a blob named by `container/name`, once, without retries."""
        source = self._sources[function.qualified_name]
        container, _, name = path.partition("/")
        try:
            blob = source.account.blobs.get_blob_client(container, name)
            properties = await blob.get_blob_properties()
            await self._invoker.run(await invocation_for(source, blob, properties))
        except InvocationFailed:
            pass  # reported by the invoker
        except (HttpResponseError, ValueError) as error:
            say(function.name, "not called", type(error).__name__)


def _read(message: QueueMessage) -> dict[str, Any]:
    try:
        content = json.loads(decode_message(str(message.content)))
    except ValueError:
        raise Unreadable from None
    if not isinstance(content, dict):
        raise Unreadable
    return content


async def _properties(blob: BlobClient) -> BlobProperties | None:
    try:
        return await blob.get_blob_properties()
    except HttpResponseError as error:
        if error.status_code in _GONE:
            return None
        raise


def _differ(one: str, other: str) -> bool:
    return one.strip('"') != str(other).strip('"')


async def invocation_for(source: BlobSource, blob: BlobClient, properties: BlobProperties) -> Invocation:
    """Return the call for one blob: a reference for a client parameter, else its content.

    Raises:
        ResourceNotFoundError: the blob is gone.
    """
    if source.function.wants_client:
        reference = {
            "Connection": source.connection,
            "ContainerName": blob.container_name,
            "BlobName": blob.blob_name,
        }
        return Invocation(source.function, TypedValue("model_binding_data", json.dumps(reference)))
    download = await blob.download_blob()
    content = TypedValue("bytes", await download.readall())
    return Invocation(source.function, content, _metadata(blob, properties))


def _metadata(blob: BlobClient, properties: BlobProperties) -> dict[str, TypedValue]:
    path = f"{blob.container_name}/{blob.blob_name}"
    described = {
        "ContentLength": properties.size,
        "Length": properties.size,
        "ETag": properties.etag,
        "ContentType": properties.content_settings.content_type,
        "LastModified": properties.last_modified.isoformat(),
        "BlobType": "Block",
    }
    return {
        "BlobTrigger": TypedValue("string", path),
        "Uri": TypedValue("string", blob.url.partition("?")[0]),
        "Properties": TypedValue("json", json.dumps(described)),
        "Metadata": TypedValue("json", json.dumps(properties.metadata or {})),
    }
