"""A series of 256 MiB through the app: every byte arrives, and the app does not grow by it."""

from __future__ import annotations

import hashlib
import secrets
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest

from bench.memory import reset_peak_bytes, status_bytes
from local.stack import Stack
from shared.dicomweb.multipart import MultipartParser, PartData, PartEnd, boundary_of
from tests.kit.files import Sample, new_uid, pixels
from tests.kit.stack_service import Service

MIB = 1024 * 1024
INSTANCES = 4
BLOCKS = 64  # of 1 MiB in each


@dataclass(frozen=True)
class Large:
    """An instance of 64 MiB, whose pixels repeat one MiB of its own.

    Args:
        sample: names it; its pixel data, the last element, are left for us to send.
        block: what is repeated.
    """

    sample: Sample
    block: bytes = field(default_factory=lambda: secrets.token_bytes(MIB))

    @property
    def head(self) -> bytes:
        """What comes before the pixels."""
        small = self.sample.content
        return small[: small.rindex(b"\xe0\x7f\x10\x00OB") + 8] + struct.pack("<L", BLOCKS * MIB)

    def chunks(self) -> Iterator[bytes]:
        """Yield the file."""
        yield self.head
        for _ in range(BLOCKS):
            yield self.block

    @property
    def digest(self) -> str:
        """The SHA-256 of the file."""
        digest = hashlib.sha256()
        for chunk in self.chunks():
            digest.update(chunk)
        return digest.hexdigest()


@pytest.fixture
def series(stack: Stack) -> Iterator[list[Large]]:
    """The series at the service, which has it no longer afterwards."""
    names = {"study": new_uid(), "series": new_uid()}
    series = [Large(Sample(**names, elements=pixels(bytes(6)))) for _ in range(INSTANCES)]
    service = Service(stack)
    for large in series:
        service.store_streamed(large.chunks(), len(large.head) + BLOCKS * MIB)
    yield series
    service.delete(series[0].sample.study_path)


def test_every_byte_arrives_and_nothing_grows(stack: Stack, series: list[Large]) -> None:
    """Whatever is on its way at one time is small."""
    app = stack.part("app").pid
    before = reset_peak_bytes(app)
    found = []
    url, headers = stack.app_url + series[0].sample.series_path, {"x-functions-key": stack.function_key}
    with httpx.stream("GET", url, headers=headers, timeout=120, trust_env=False) as response:
        assert response.status_code == 200
        parser, digest = MultipartParser(boundary_of(response.headers["content-type"])), hashlib.sha256()
        for chunk in response.iter_raw():
            for event in parser.feed(chunk):
                if isinstance(event, PartData):
                    digest.update(event.data)
                elif isinstance(event, PartEnd):
                    found.append(digest.hexdigest())
                    digest = hashlib.sha256()
        parser.close()
    assert sorted(found) == sorted(large.digest for large in series)
    assert status_bytes("VmHWM", app) - before < 64 * MIB
