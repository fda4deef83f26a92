"""Storage accounts: one pair of clients per connection string, with short retries.

The SDK's own retries wait a minute and more; here every caller is a loop that comes round again.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
from typing import Any

from azure.core.exceptions import AzureError, ResourceExistsError
from azure.storage.blob.aio import BlobServiceClient, ContainerClient, ExponentialRetry
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from local.functions_host.functions import LoadError, NoAccount
from local.functions_host.settings import STORAGE_CONNECTION, connection_string

HOSTS_CONTAINER = "azure-webjobs-hosts"
_NEVER_EXPIRES = -1


def _options() -> dict[str, Any]:
    retry = ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=1)
    return {"retry_policy": retry, "connection_timeout": 5, "read_timeout": 60, "use_env_settings": False}


class Account:
    """The clients of one storage account."""

    def __init__(self, connection: str) -> None:
        self.blobs = BlobServiceClient.from_connection_string(connection, **_options())
        self.queues = QueueServiceClient.from_connection_string(connection, **_options())

    async def queue(self, name: str) -> QueueClient:
        """Return a queue's client; the queue is created if it is missing."""
        client = self.queues.get_queue_client(name)
        with contextlib.suppress(ResourceExistsError):
            await client.create_queue()
        return client

    async def container(self, name: str) -> ContainerClient:
        """Return a container's client; the container is created if it is missing."""
        client = self.blobs.get_container_client(name)
        with contextlib.suppress(ResourceExistsError):
            await client.create_container()
        return client

    async def close(self) -> None:
        """Close the connections."""
        await self.blobs.close()
        await self.queues.close()


class Accounts:
    """The accounts that the app's bindings name, each opened once."""

    def __init__(self) -> None:
        self._by_connection: dict[str, Account] = {}

    def get(self, setting: str | None) -> Account:
        """Return the account whose connection string a setting holds.

        Raises:
            NoAccount: the setting is missing or holds something else.
        """
        connection = connection_string(setting)
        if connection not in self._by_connection:
            try:
                self._by_connection[connection] = Account(connection)
            except (ValueError, KeyError):
                # The SDK's message may quote the connection string.
                raise NoAccount(
                    f"the setting {setting or STORAGE_CONNECTION} holds no storage connection string"
                ) from None
        return self._by_connection[connection]

    def names(self) -> frozenset[str]:
        """Return the names of the accounts."""
        return frozenset(str(account.blobs.account_name) for account in self._by_connection.values())

    async def host_account(self) -> Account:
        """Return the host's own account, after a first call that proves that it answers.

        Raises:
            LoadError: it does not.
        """
        account = self.get(STORAGE_CONNECTION)
        try:
            await account.container(HOSTS_CONTAINER)
        except AzureError as error:
            raise LoadError(
                f"the storage account of {STORAGE_CONNECTION} does not answer ({type(error).__name__})"
            ) from None
        return account

    async def close(self) -> None:
        """Close all accounts."""
        for account in self._by_connection.values():
            await account.close()


async def send(queue: QueueClient, text: str, *, encode: bool = True, expires: bool = False) -> None:
    """Put a message on a queue, in base64 unless told otherwise."""
    body = base64.b64encode(text.encode()).decode() if encode else text
    await queue.send_message(body, **({} if expires else {"time_to_live": _NEVER_EXPIRES}))


def decode_message(text: str) -> bytes:
    """Undo the base64 of a message.

    Raises:
        ValueError: it is not base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
