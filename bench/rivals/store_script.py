"""Stores the files of a container as scripts do: with azure-storage-blob, and dicomweb-client or none, one by one.

With `--client dicomweb-client` each file is read with pydicom and stored with that; with `requests` its bytes are sent
as they are, held as a whole: what uploader functions do, such as Microsoft's importer sample.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable
from io import BytesIO

import requests
from azure.storage.blob import ContainerClient
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmread

from bench.programs import take_turns


def with_dicomweb_client(service: str) -> Callable[[bytes], None]:
    """Return what stores a file with dicomweb-client."""
    client = DICOMwebClient(service)

    def store(content: bytes) -> None:
        answer = client.store_instances([dcmread(BytesIO(content))])
        assert len(answer.ReferencedSOPSequence) == 1

    return store


def with_requests(service: str) -> Callable[[bytes], None]:
    """Return what sends a file's bytes."""
    session = requests.Session()
    session.trust_env = False  # no look for a proxy, nor for `.netrc`, at each request

    def store(content: bytes) -> None:
        answer = session.post(f"{service}/studies", data=content, headers={"Content-Type": "application/dicom"})
        answer.raise_for_status()

    return store


async def main(options: argparse.Namespace) -> None:
    """Store in rounds."""
    inbox = ContainerClient.from_container_url(f"{options.blobs}/dicom-inbox?{options.sas}", use_env_settings=False)
    store = CLIENTS[options.client](options.service)

    async def measure(prefix: str, count: int) -> float:
        started = time.perf_counter()
        names = [blob.name for blob in inbox.list_blobs(name_starts_with=prefix)][:count]
        assert len(names) == count
        for name in names:
            store(inbox.download_blob(name).readall())
        return time.perf_counter() - started

    await take_turns(measure)


CLIENTS = {"dicomweb-client": with_dicomweb_client, "requests": with_requests}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("blobs", "queues", "sas", "service"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--client", required=True, choices=CLIENTS)
    asyncio.run(main(parser.parse_args()))
